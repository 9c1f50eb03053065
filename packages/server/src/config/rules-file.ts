import { createRequire } from 'node:module';
import { suggestName } from '@sluice/common/suggest-name';
import { parseAddresses, type ScopedRules } from '@sluice/gateway/auth/scoped-rules';
import { ACCESS_ACTIONS, type AccessRule, ruleTopicProblem } from '@sluice/meta/access/access-rule';
import type { Node } from 'yaml';

const load = createRequire(import.meta.url);

export type ParsedRulesFile =
  | { ok: true; rules: ScopedRules[] }
  | { ok: false; problems: { line: number; message: string }[] };

/**
 * Rules as people write them: a YAML list, each with `permission`, `action` and `topics`, and whom it concerns in
 * `users`, `clientIds` and `addresses` (all that is said must hold; without any it concerns everybody). One wrong rule
 * refuses the file: rules read without it could allow what it was written to deny.
 */
export function parseRulesFile(text: string): ParsedRulesFile {
  const { isSeq, LineCounter, parseDocument } = load('yaml') as typeof import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, strict: true });
  const lineOf = (offset: number | undefined) => lines.linePos(offset ?? 0).line;
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ pos, message }) => ({
      line: lineOf(pos[0]),
      message: `is not valid YAML: ${message.split('\n', 1)[0]}`,
    }));
    return { ok: false, problems };
  }
  if (!isSeq(document.contents)) {
    return { ok: false, problems: [{ line: 1, message: `must be a list of rules. For example: ${EXAMPLE}` }] };
  }
  const rules: ScopedRules[] = [];
  const problems: { line: number; message: string }[] = [];
  for (const [i, item] of document.contents.items.entries()) {
    const node = item as Node;
    const read = readNode(() => node.toJS(document, { maxAliasCount: ALIASES_MAX }));
    if (typeof read !== 'string') rules.push(read);
    else problems.push({ line: lineOf(node.range?.[0]), message: `rule ${i + 1} ${read}` });
  }
  return problems.length === 0 ? { ok: true, rules } : { ok: false, problems };
}

const ALIASES_MAX = 100;
const EXAMPLE = '- { permission: allow, action: publish, users: [ann], topics: ["home/#"] }';
const KEYS = ['permission', 'action', 'topics', 'users', 'clientIds', 'addresses', 'qos', 'retain'];

/** Aliases are looked up only now: `*` without quotes begins one. */
function readNode(toValue: () => unknown): ScopedRules | string {
  let value: unknown;
  try {
    value = toValue();
  } catch (error) {
    return `cannot be read: ${(error as Error).message.split('\n', 1)[0]}; write texts with * in quotes`;
  }
  return readRule(value);
}

/** The rule, or what is wrong with it. */
function readRule(value: unknown): ScopedRules | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return `must be a map. For example: ${EXAMPLE}`;
  const given = new Map(Object.entries(value));
  for (const key of given.keys()) {
    if (KEYS.includes(key)) continue;
    const meant = suggestName(key, KEYS);
    return `has an unknown key "${key}": ${meant === undefined ? `keys are ${KEYS.join(', ')}` : `did you mean ${meant}?`}`;
  }
  const permission = given.get('permission');
  if (permission !== 'allow' && permission !== 'deny') return 'needs permission: allow or deny';
  const action = given.get('action') ?? 'all';
  if (!isAction(action)) return `has an action that is none of ${ACCESS_ACTIONS.join(', ')}`;
  const topics = given.get('topics');
  if (!isTexts(topics)) return 'needs topics: a list of topic filters, for example ["home/#"]';
  for (const topic of topics) {
    const problem = ruleTopicProblem(topic);
    if (problem !== undefined) return `has a topic ${JSON.stringify(topic)} that ${problem}`;
  }
  const qos = given.get('qos');
  if (
    qos !== undefined &&
    !(Array.isArray(qos) && qos.length > 0 && qos.every((one) => one === 0 || one === 1 || one === 2))
  ) {
    return 'has a qos that is no list of 0, 1, 2';
  }
  const retain = given.get('retain');
  if (retain !== undefined && typeof retain !== 'boolean') return 'has a retain that is neither true nor false';
  const who = readWho(given);
  if (typeof who === 'string') return who;
  const rules = topics.map(
    (topic): AccessRule => ({ permission, action, topic, qos: qos as number[] | undefined, retain }),
  );
  return { ...who, rules };
}

function readWho(given: ReadonlyMap<string, unknown>): Omit<ScopedRules, 'rules'> | string {
  const [users, clientIds, addresses] = ['users', 'clientIds', 'addresses'].map((key) => given.get(key));
  for (const [key, value] of [
    ['users', users],
    ['clientIds', clientIds],
    ['addresses', addresses],
  ] as const) {
    // An empty list would concern nobody, and is rather meant as everybody.
    if (value !== undefined && !isTexts(value)) return `has ${key} that are no list with at least one text`;
  }
  const parsed = addresses === undefined ? undefined : parseAddresses(addresses as string[]);
  if (parsed !== undefined && 'wrong' in parsed) {
    return `has an address ${JSON.stringify(parsed.wrong)} that is neither an IP address nor address/prefix`;
  }
  return {
    users: users === undefined ? undefined : new Set(users as string[]),
    clientIds: clientIds === undefined ? undefined : new Set(clientIds as string[]),
    addresses: parsed?.list,
  };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string' && one !== '');
}

function isAction(value: unknown): value is AccessRule['action'] {
  return ACCESS_ACTIONS.includes(value as AccessRule['action']);
}
