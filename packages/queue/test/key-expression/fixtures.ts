import { createHash } from 'node:crypto';
import type { MessageBindings } from '@sluice/queue/key-expression/bindings';
import type { KeyEnvironment } from '@sluice/queue/key-expression/environment';
import { compileKeyExpression, type KeyExpression } from '@sluice/queue/key-expression/key-expression';

export function message(overrides: Partial<MessageBindings> = {}): MessageBindings {
  return {
    id: 'id-1',
    qos: 1,
    from: 'device-7',
    topic: 'plant/a/line/3',
    payload: Buffer.from('{"id":12,"a":{"b":"deep"},"list":["x","y"]}'),
    timestampMs: 1_700_000_000_000,
    retain: false,
    dup: true,
    username: undefined,
    peerHost: '10.0.0.1',
    peerName: '10.0.0.1:5000',
    protocolVersion: 5,
    clientAttributes: new Map([['site', 'north']]),
    properties: { userProperties: ['key', 'first', 'other', 'o', 'key', 'last'], contentType: 'text/plain' },
    ...overrides,
  };
}

export const environment: KeyEnvironment = {
  nowMs: () => 1_700_000_000_999,
  randomBelow: (bound) => bound - 1,
  getenv: (name) => (name === 'SITE' ? 'north' : undefined),
  digest: (algorithm, data) =>
    createHash(algorithm === 'sha' ? 'sha1' : algorithm)
      .update(data)
      .digest(),
  base64Encode: (data) => Buffer.from(data).toString('base64'),
  base64Decode: (text) => Buffer.from(text, 'base64'),
};

export function compiled(source: string): KeyExpression {
  const outcome = compileKeyExpression(source);
  if (!outcome.ok) throw new Error(`${source}: ${outcome.error.message} at ${outcome.error.position}`);
  return outcome.expression;
}

/** The key, or the reason in angle brackets. */
export function keyOf(source: string, overrides: Partial<MessageBindings> = {}): string {
  const outcome = compiled(source).evaluate(message(overrides), environment);
  return outcome.ok ? outcome.key : `<${outcome.reason}>`;
}

/** Why the source does not compile; the empty text when it does. */
export function refusalOf(source: string): string {
  const outcome = compileKeyExpression(source);
  return outcome.ok ? '' : `${outcome.error.message} | ${outcome.error.hint} | ${outcome.error.position}`;
}
