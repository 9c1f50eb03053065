// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { describe, expect, test } from '@jest/globals';
import { parseRulesFile } from '../../src/config/rules-file.ts';

const problemsOf = (text: string): string[] => {
  const parsed = parseRulesFile(text);
  return parsed.ok ? [] : parsed.problems.map(({ line, message }) => `${line}: ${message}`);
};

test('a rule a topic, in the order of the file', () => {
  const parsed = parseRulesFile(`
- permission: allow
  action: publish
  users: [ann]
  addresses: [10.0.0.0/8]
  topics: ["home/\${username}/#", "eq a/+"]
  qos: [0, 1]
- { permission: deny, topics: ["#"] }
`);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join());
  expect(parsed.rules.map(({ rules }) => rules.map(({ topic }) => topic))).toEqual([
    ['home/${username}/#', 'eq a/+'],
    ['#'],
  ]);
  expect(parsed.rules[0]).toMatchObject({ users: new Set(['ann']), clientIds: undefined });
  expect(parsed.rules[0]?.rules[0]).toMatchObject({ permission: 'allow', action: 'publish', qos: [0, 1] });
  expect(parsed.rules[1]?.rules[0]).toMatchObject({ permission: 'deny', action: 'all', retain: undefined });
});

describe('what is wrong is said with its line, and refuses the file', () => {
  test.each([
    ['rules: []', /^1: must be a list of rules/],
    ['- allow', /^1: rule 1 must be a map/],
    ['- { permission: allow, topics: [a] }\n- { topics: [a] }', /^2: rule 2 needs permission/],
    ['- { permission: allow, topics: [a], user: [x] }', /unknown key "user": did you mean users/],
    ['- { permission: allow, action: read, topics: [a] }', /none of publish, subscribe, consume, all/],
    ['- { permission: allow }', /needs topics/],
    ['- { permission: allow, topics: [] }', /needs topics/],
    ['- { permission: allow, topics: ["a/#/b"] }', /"a\/#\/b" that is not a topic filter/],
    ['- { permission: allow, topics: ["${user}/x"] }', /knows no placeholders but \$\{username\} and \$\{clientid\}/],
    ['- { permission: allow, topics: ["$q/jobs"] }', /names a way of reading, not a topic/],
    ['- { permission: allow, topics: [a], users: [] }', /users that are no list with at least one text/],
    ['- { permission: allow, topics: [a], addresses: [10.0.0.0/40] }', /"10.0.0.0\/40" that is neither/],
    ['- { permission: allow, topics: [a], qos: [3] }', /qos that is no list/],
    ['- { permission: allow, topics: [a], retain: yes }', /retain that is neither/],
    ['- [', /is not valid YAML/],
  ])('%s', (text, expected) => {
    expect(problemsOf(text)[0]).toMatch(expected);
  });
});

test.each([
  ['an alias without its anchor', '- { permission: allow, action: publish, topics: [*home] }', 1],
  ['an item that is one', '- { permission: deny, topics: ["#"] }\n- *everything', 2],
])('%s is a wrong rule, and nothing that is thrown', (_what, text, line) => {
  expect(parseRulesFile(text)).toEqual({
    ok: false,
    problems: [{ line, message: expect.stringContaining('in quotes') }],
  });
});
