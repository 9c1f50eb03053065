import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readJsonPath } from '../../src/key-expression/functions/json-path.ts';
import { JSON_DEPTH_MAX, JsonScan } from '../../src/key-expression/functions/json-scan.ts';
import { Failure } from '../../src/key-expression/value.ts';

/** What `JSON.parse` finds, as JSON; undefined when there is nothing, null when the text is not JSON. */
function naive(json: string, names: readonly string[]): string | undefined | null {
  let node: unknown;
  try {
    node = JSON.parse(json);
  } catch {
    return null;
  }
  for (const name of names) {
    if (typeof node !== 'object' || node === null || Array.isArray(node) || !Object.hasOwn(node, name))
      return undefined;
    node = (node as Record<string, unknown>)[name];
  }
  return JSON.stringify(node);
}

function scanned(json: string, names: readonly string[]): string | undefined | null {
  const bytes = Buffer.from(json);
  const scan = new JsonScan(bytes);
  const place = scan.find(names);
  if (place === 'malformed') return null;
  if (place === 'absent') return undefined;
  if (place === 'too-deep') throw new Error('too deep');
  expect(scan.isAscii).toBe(bytes.every((byte) => byte < 0x80));
  return JSON.stringify(JSON.parse(bytes.toString('utf8', place.start, place.end)));
}

/** As it stands there; undefined when it does not. */
function foundIn(json: string, names: readonly string[]): string | undefined {
  const bytes = Buffer.from(json);
  const scan = new JsonScan(bytes);
  const place = scan.find(names);
  if (typeof place === 'object') expect(scan.isAscii).toBe(bytes.every((byte) => byte < 0x80));
  return typeof place === 'object' ? bytes.toString('utf8', place.start, place.end) : undefined;
}

const NAMES = ['a', 'b', 'ab', '', '"', '\\', 'ä', 'ä€😀', '😀', '😁', '\ud83d', '\n', '__proto__'];
const name = fc.constantFrom(...NAMES);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, false, 0, -1.5e-7, 1e300, 12, '', 'x', '"', '\\', '\u0000', '{"a":1}'),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie('tree')), { maxLength: 4 }).map((pairs) => new Members(pairs)),
  ),
}));

/** Members in order, names twice if need be: what an object cannot hold. */
class Members {
  readonly pairs: readonly (readonly [string, unknown])[];
  constructor(pairs: readonly (readonly [string, unknown])[]) {
    this.pairs = pairs;
  }
}

/** Of a name that is there twice the last counts. */
function member(node: unknown, name: string): unknown {
  return node instanceof Members ? node.pairs.findLast(([key]) => key === name)?.[1] : undefined;
}

function written(node: unknown, space: string, escaped: boolean): string {
  if (Array.isArray(node)) return `[${space}${node.map((each) => written(each, space, escaped)).join(`,${space}`)}]`;
  if (!(node instanceof Members)) return JSON.stringify(node);
  const members = node.pairs.map(([key, value]) => {
    const plain = JSON.stringify(key);
    const quoted = escaped ? `"${plain.slice(1, -1).replace(/[a\u0080-\u{10ffff}]/gu, inFull)}"` : plain;
    return `${space}${quoted}${space}:${space}${written(value, space, escaped)}`;
  });
  return `{${members.join(',')}${space}}`;
}

/** By `\\u`, each half of it. */
function inFull(character: string): string {
  return [...Array(character.length).keys()]
    .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`)
    .join('');
}

describe('finds what is there', () => {
  test('in any JSON, by any path', () => {
    fc.assert(
      fc.property(
        tree,
        fc.array(name, { minLength: 1, maxLength: 3 }),
        fc.constantFrom('', ' ', '\r\n\t'),
        fc.boolean(),
        (node, names, space, escaped) => {
          const json = space + written(node, space, escaped) + space;
          const child = names.reduce(member, node);
          expect(foundIn(json, names)).toBe(child === undefined ? undefined : written(child, space, escaped));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('and refuses what it refuses', () => {
    fc.assert(
      fc.property(
        tree,
        fc.nat(),
        fc.constantFrom('', ',', '}', ']', '"', '\\', '0', '.', 'e', '-', '\n', ':', 'n', '\u0001'),
        (node, at, put) => {
          // By characters: half of one is no text.
          const json = [...written(node, '', false)];
          json.splice(at % (json.length + 1), 1, put);
          const broken = json.join('');
          const found = scanned(broken, ['a']);
          // V8 (Node.js 24 and 26) takes a name that begins with an escape for a known one that is a backslash.
          if (broken.includes('\\')) expect(found === null).toBe(naive(broken, ['a']) === null);
          else expect(found).toBe(naive(broken, ['a']));
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test.each([
    '',
    ' ',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    '[1,]',
    '[,]',
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '--1',
    'nul',
    'truex',
    '{}{}',
    "{'a':1}",
    '"\\x"',
    '"\\u12g4"',
    '"a\tb"',
    '\u00a01',
  ])('%j', (json) => {
    expect(scanned(json, ['a'])).toBe(naive(json, ['a']));
    expect(scanned(json, ['a'])).toBeNull();
  });
});

describe('bytes that are no text', () => {
  const lead = Buffer.from('{"k":"v","x":"');
  const end = Buffer.from('"}');
  test.each([
    ['half a character', [0xc3]],
    ['a longer form than needed', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0xbd]],
    ['no character', [0xf5, 0x80, 0x80, 0x80]],
  ])('%s', (_what, bytes) => {
    const json = Buffer.concat([lead, Buffer.from(bytes), end]);
    for (const path of ['k', 'x', 'none']) {
      expect(readJsonPath(json, path)).toMatchObject({ absent: false, reason: expect.stringContaining('not UTF-8') });
    }
    expect(readJsonPath(Buffer.concat([Buffer.from(bytes), Buffer.from('{"k":"v"}')]), 'k')).toBeInstanceOf(Failure);
  });

  test('nor is a text with half a character in it, which would become another one', () => {
    expect(readJsonPath('{"k":"v\ud83d"}', 'k')).toMatchObject({ reason: expect.stringContaining('half a character') });
    expect(readJsonPath('{"k":"v\ud83d\ude00"}', 'k')).toBe('v\ud83d\ude00');
  });

  test('a text may be longer in bytes than in characters', () => {
    const json = `{"x":"${'€'.repeat(500_000)}","k":"v€"}`;
    expect(readJsonPath(json, 'k')).toBe('v€');
    expect(readJsonPath(Buffer.from(json), 'k')).toMatchObject({ reason: expect.stringContaining('more than') });
  });
});

describe('what a publisher may try', () => {
  const MEGABYTE = 1024 * 1024;
  const around = (inner: string): string => `{"x":${inner},"k":"v"}`;

  test('nesting is followed to its bound, and no further', () => {
    const nested = (levels: number): string => around('['.repeat(levels) + ']'.repeat(levels));
    expect(readJsonPath(nested(JSON_DEPTH_MAX - 1), 'k')).toBe('v');
    expect(readJsonPath(nested(JSON_DEPTH_MAX), 'k')).toMatchObject({
      reason: expect.stringContaining('512 containers'),
    });
    for (const path of ['k', 'x']) {
      expect(readJsonPath(around('['.repeat(500_000) + ']'.repeat(500_000)), path)).toBeInstanceOf(Failure);
      expect(readJsonPath(around('{"a":'.repeat(170_000)), path)).toBeInstanceOf(Failure);
    }
  });

  test('a long list is not built', () => {
    expect(readJsonPath(around(`[${'1,'.repeat(40_000)}1]`), 'x')).toMatchObject({
      reason: expect.stringContaining('list of more'),
    });
    expect(readJsonPath(around(`[${'1,'.repeat(30_000)}1]`), 'x')).toHaveLength(30_001);
  });

  test.each([
    ['names', `{${Array.from({ length: 88_000 }, (_, i) => `"k${i}":1`).join(',')},"k":"v"}`],
    ['numbers', around(`[${'1,'.repeat(500_000)}1]`)],
    ['objects', around(`[${'{},'.repeat(330_000)}1]`)],
    ['escapes', around(`"${'\\u0041'.repeat(170_000)}"`)],
    ['short escapes', around(`"${'\\n'.repeat(500_000)}"`)],
    ['names in escapes', `{${'"\\u006b":1,'.repeat(90_000)}"k":"v"}`],
  ])('a megabyte of %s is passed over, and nothing of it kept', (_what, json) => {
    expect(json.length).toBeGreaterThan(0.85 * MEGABYTE);
    expect(readJsonPath(json, 'k')).toBe('v');
    // It takes up to eleven times a look at each character; measured beside it, since machines differ.
    const bytes = Buffer.from(json);
    expect(readJsonPath(bytes, 'k')).toBe('v');
    const scanMs = fastestMs(() => readJsonPath(bytes, 'k'));
    expect(scanMs / fastestMs(() => lookedAt(json))).toBeLessThan(40);
  });
});

/** In processor time: the clock would measure who else is running. */
function fastestMs(act: () => unknown): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i++) {
    const before = process.cpuUsage();
    act();
    const { user, system } = process.cpuUsage(before);
    fastest = Math.min(fastest, (user + system) / 1000);
  }
  return fastest;
}

function lookedAt(text: string): number {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i);
  return sum;
}
