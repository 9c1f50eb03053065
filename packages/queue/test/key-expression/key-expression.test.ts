import { describe, expect, test } from '@jest/globals';
import { FUNCTIONS } from '@sluice/queue/key-expression/functions/function-table';
import { compileKeyExpression } from '@sluice/queue/key-expression/key-expression';
import fc from 'fast-check';
import { compiled, environment, keyOf, message, refusalOf } from './fixtures.ts';

const P = 'message.headers.properties.User-Property';

describe('variables', () => {
  test.each([
    ['message.id', 'id-1'],
    ['message.qos', '1'],
    ['message.from', 'device-7'],
    ['message.topic', 'plant/a/line/3'],
    ['message.timestamp', '1700000000000'],
    ['message.flags.retain', 'false'],
    ['message.flags.dup', 'true'],
    ['message.headers.peerhost', '10.0.0.1'],
    ['message.headers.peername', '10.0.0.1:5000'],
    ['message.headers.proto_ver', '5'],
    ['message.headers.protocol', 'mqtt'],
    ['message.headers.client_attrs.site', 'north'],
    ['message.headers.properties.Content-Type', 'text/plain'],
    [`${P}.key`, 'last'],
    ['  message.from\n', 'device-7'],
    ['message.headers.username', '<message.headers.username is not bound in this message>'],
    ['message.extra.any', '<message.extra.any is not bound in this message>'],
    ['message.headers.client_attrs.__proto__', '<message.headers.client_attrs.__proto__ is not bound in this message>'],
    [`${P}.missing`, `<${P}.missing is not bound in this message>`],
  ])('%s is %j', (source, key) => expect(keyOf(source)).toBe(key));

  test('a user property may have dots in its name, an empty value, or a lone last name', () => {
    expect(keyOf(`${P}.a.b`, { properties: { userProperties: ['a.b', 'v'] } })).toBe('v');
    expect(keyOf(`${P}.a`, { properties: { userProperties: ['a', ''] } })).toBe('');
    expect(keyOf(`${P}.a`, { properties: undefined })).toContain('not bound');
    // A value called like the name is not the name.
    expect(keyOf(`${P}.a`, { properties: { userProperties: ['b', 'a', 'c', 'x'] } })).toContain('not bound');
  });

  test('only what the expression names is read', () => {
    const untouchable = new Proxy(message(), {
      get: (target, name) => {
        if (name !== 'from') throw new Error(`${String(name)} was read`);
        return target.from;
      },
    });
    expect(compiled('message.from').evaluate(untouchable, environment)).toEqual({ ok: true, key: 'device-7' });
  });

  test('a payload is a key when it is text', () => {
    expect(keyOf('message.payload', { payload: Buffer.from('größe') })).toBe('größe');
    expect(keyOf('message.payload', { payload: Buffer.from([0xff]) })).toMatch(/^<.*not UTF-8/);
    expect(keyOf('message.payload', { payload: Buffer.from([0xef, 0xbb, 0xbf, 0x61]) })).toBe('\ufeffa');
  });
});

describe('what is absent', () => {
  test.each([
    [`coalesce(${P}.none, message.headers.username, message.from)`, 'device-7'],
    [`coalesce([${P}.none, '', message.from])`, 'device-7'],
    [`coalesce(lower(${P}.none), 'x')`, 'x'],
    [`coalesce(nth(7, tokens(message.topic, '/')), 'x')`, 'x'],
    [`coalesce(json_value(message.payload, 'nothing'), 'x')`, 'x'],
    [`coalesce(json_value('{"a":null}', 'a'), 'x')`, 'x'],
    [`coalesce(regex_extract(message.from, '([0-9]+)'))`, '7'],
    [`coalesce(regex_extract(message.from, '[0-9]+'), 'vin-1000')`, 'vin-1000'],
    [`coalesce(${P}.none)`, ''],
    [`coalesce('', '')`, ''],
    [`iif(${P}.none, 'a', 'b')`, 'b'],
    [`iif(${P}.key, 'a', 'b')`, 'a'],
    [`iif('', 'a', 'b')`, 'b'],
    [`iif(true, message.from, ${P}.none)`, 'device-7'],
    [`iif(num_gt(message.qos, 0), message.from, 'q0')`, 'device-7'],
    [`is_empty(${P}.none)`, 'true'],
    [`is_empty('')`, 'true'],
    [`is_empty(message.from)`, 'false'],
    [`iif(is_empty(message.headers.username), 'anonymous', message.headers.username)`, 'anonymous'],
  ])('%s is %j', (source, key) => expect(keyOf(source)).toBe(key));

  test.each([
    [`concat('a', ${P}.none)`, 'not bound'],
    [`iif(true, ${P}.none, 'b')`, 'not bound'],
    [`not(${P}.none)`, 'not bound'],
    [`coalesce(hexstr2bin(message.topic), 'x')`, 'hexadecimal'],
    [`is_empty(hexstr2bin(message.topic))`, 'hexadecimal'],
  ])('%s fails: %s', (source, reason) => expect(keyOf(source)).toMatch(new RegExp(`^<.*${reason}`)));
});

describe('an expression that is wrong is refused with the place and a hint', () => {
  test.each([
    ['', 'empty', 0],
    ['   ', 'empty', 0],
    ['lowr(message.from)', 'did you mean lower', 0],
    ['concat(lower(message.from), uper(message.topic))', 'did you mean upper', 28],
    ['message.form', 'did you mean message.from', 0],
    ['clientid', 'no message has a variable', 0],
    ['message.payload.device.id', "json_value(message.payload, 'device.id')", 0],
    ['lower(payload.id)', "json_value(message.payload, 'id')", 6],
    ['encrypt(message.from)', 'known are any_to_str, ascii', 0],
    ['lower()', 'takes 1 arguments, not 0', 0],
    ["split('a')", 'takes 2 to 3 arguments, not 1', 0],
    ['concat()', 'at least 1', 0],
    ['iif(true, 1)', 'takes 3 arguments, not 2', 0],
    ['message.from message.topic', "unexpected 'm'", 13],
    ["'abc", 'not closed', 0],
    ['lower(message.from', 'expected , or )', 18],
    ['lower(message.from,)', 'nothing follows the comma', 19],
    ['lower(,)', "unexpected ','", 6],
    ["concat(['a' 'b'])", 'expected , or ]', 12],
    ["concat([['a']])", "unexpected '['", 8],
    ["['a']", 'an array cannot be a key', 0],
    ["tokens(message.topic, '/')", 'the result is a list', 0],
    ["iif(true, tokens('a', '/'), split('a', '/'))", 'the result is a list', 0],
    ["lower(tokens(message.topic, '/'))", 'does not take a list', 6],
    ['message.headers', 'is a map', 0],
    [`lower(${P})`, 'is a map', 6],
    ['99999999999999999999', 'too large', 0],
    ['1e999', 'too large', 0],
    ['.5', "unexpected '.'", 0],
    ['1 + 2', "unexpected '+'", 2],
    ['$foo', "unexpected '$'", 0],
    ['😀', "unexpected '😀'", 0],
    [`${'lower('.repeat(40)}message.from${')'.repeat(40)}`, 'nested deeper than 32', 192],
    [`concat('${'x'.repeat(4_100)}')`, 'longer than 4096', 4096],
    [`concat(${'timestamp_s(), '.repeat(64)}'')`, 'more than 64 calls', 952],
  ])('%s: %s', (source, problem, position) => {
    const refusal = refusalOf(source);
    expect(refusal).toContain(problem);
    expect(refusal.split(' | ').at(-1)).toBe(String(position));
  });

  test('nesting up to the bound is fine', () => {
    expect(keyOf(`${'lower('.repeat(31)}message.from${')'.repeat(31)}`)).toBe('device-7');
  });
});

describe('bounds of the key', () => {
  test('a key has at most the bytes a record can hold', () => {
    expect(keyOf('message.payload', { payload: Buffer.alloc(65_535, 'a') }).length).toBe(65_535);
    expect(keyOf('message.payload', { payload: Buffer.alloc(65_536, 'a') })).toContain('more than 65535 bytes');
    expect(keyOf('message.payload', { payload: Buffer.from('ü'.repeat(40_000)) })).toContain('more than');
  });

  test('a key is well-formed Unicode', () => {
    expect(keyOf(`json_value(message.payload, 'a')`, { payload: Buffer.from('{"a":"\\ud800"}') })).toContain(
      'well-formed',
    );
  });
});

describe('nothing throws', () => {
  const garbage = Buffer.from([0xff, 0x00, 0x5b]);
  const messages = [message(), message({ payload: garbage, properties: undefined, clientAttributes: undefined })];
  const attempt = (source: string): void => {
    const outcome = compileKeyExpression(source);
    if (!outcome.ok) {
      expect(outcome.error.position).toBeLessThanOrEqual(source.length);
      return;
    }
    for (const each of messages) {
      const result = outcome.expression.evaluate(each, environment);
      expect(typeof (result.ok ? result.key : result.reason)).toBe('string');
    }
  };

  test('on any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), attempt), { seed: 1120, numRuns: 2_000 });
    const pieces = fc.constantFrom(
      '(',
      ')',
      '[',
      ']',
      ',',
      "'",
      '"',
      ' ',
      'message.from',
      'concat',
      'nth',
      '1',
      '-',
      '.5',
    );
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 25 }).map((parts) => parts.join('')),
        attempt,
      ),
      { seed: 1120, numRuns: 3_000 },
    );
  });

  test('on any tree of calls', () => {
    const names = [...FUNCTIONS.keys(), 'coalesce', 'iif', 'is_empty'];
    const leaf = fc.oneof(
      fc.constantFrom(
        'message.from',
        'message.payload',
        'message.qos',
        `${P}.none`,
        `${P}.key`,
        'true',
        '0',
        '-1',
        '3.5',
      ),
      fc.constantFrom(
        "''",
        "'a'",
        "'sha256'",
        "'^(a|b)*$'",
        "'leading'",
        "'~s~p'",
        "'a.b'",
        "'\\x41'",
        "'c29t'",
        '5000',
      ),
    );
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        leaf,
        fc
          .tuple(fc.constantFrom(...names), fc.array(tie('tree'), { maxLength: 4 }), fc.boolean())
          .map(([name, operands, listed]) => {
            const [first = '', ...others] = operands;
            return listed ? `${name}(${first}, [${others.join(', ')}])` : `${name}(${operands.join(', ')})`;
          }),
      ),
    }));
    let evaluated = 0;
    fc.assert(
      fc.property(tree, (source) => {
        attempt(source);
        if (compileKeyExpression(source).ok) evaluated++;
      }),
      { seed: 1120, numRuns: 4_000 },
    );
    expect(evaluated).toBeGreaterThan(200);
  });
});
