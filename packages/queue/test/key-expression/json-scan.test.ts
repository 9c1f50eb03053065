import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readJsonPath } from '../../src/key-expression/functions/json-path.ts';
import { findInJson, JSON_DEPTH_MAX } from '../../src/key-expression/functions/json-scan.ts';
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
  const place = findInJson(json, names);
  if (place === 'malformed') return null;
  if (place === 'absent') return undefined;
  if (place === 'too-deep') throw new Error('too deep');
  return JSON.stringify(JSON.parse(json.slice(place.start, place.end)));
}

const NAMES = ['a', 'b', '', '"', '\\', 'ä', '\n', '__proto__'];
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

function written(node: unknown, space: string, escaped: boolean): string {
  if (Array.isArray(node)) return `[${space}${node.map((each) => written(each, space, escaped)).join(`,${space}`)}]`;
  if (!(node instanceof Members)) return JSON.stringify(node);
  const members = node.pairs.map(([key, value]) => {
    const plain = JSON.stringify(key);
    const quoted = escaped ? plain.replace('a', '\\u0061') : plain;
    return `${space}${quoted}${space}:${space}${written(value, space, escaped)}`;
  });
  return `{${members.join(',')}${space}}`;
}

describe('finds what JSON.parse finds', () => {
  test('in any JSON, by any path', () => {
    fc.assert(
      fc.property(
        tree,
        fc.array(name, { minLength: 1, maxLength: 3 }),
        fc.constantFrom('', ' ', '\r\n\t'),
        fc.boolean(),
        (node, names, space, escaped) => {
          const json = space + written(node, space, escaped) + space;
          expect(scanned(json, names)).toBe(naive(json, names));
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
          const json = written(node, '', false);
          const place = at % (json.length + 1);
          const broken = json.slice(0, place) + put + json.slice(place + 1);
          expect(scanned(broken, ['a'])).toBe(naive(broken, ['a']));
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
  ])('a megabyte of %s is passed over, and nothing of it kept', (_what, json) => {
    expect(json.length).toBeGreaterThan(0.85 * MEGABYTE);
    expect(readJsonPath(json, 'k')).toBe('v');
    // It takes up to eleven times a look at each character; measured beside it, since machines differ.
    const scanMs = fastestMs(() => readJsonPath(json, 'k'));
    expect(scanMs / fastestMs(() => lookedAt(json))).toBeLessThan(40);
  });
});

function fastestMs(act: () => unknown): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i++) {
    const startedMs = performance.now();
    act();
    fastest = Math.min(fastest, performance.now() - startedMs);
  }
  return fastest;
}

function lookedAt(text: string): number {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i);
  return sum;
}
