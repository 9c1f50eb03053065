import { afterEach, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { EnhancedMethod } from '../src/auth/enhanced-method.ts';
import { FlappingWatch } from '../src/auth/flapping-watch.ts';
import { passwordsOf } from './doubles/passwords.ts';
import { TestGateway } from './doubles/test-gateway.ts';

let gateway: TestGateway;
afterEach(() => gateway.stop());

const users = new Map([
  ['ann', 'lovelace'],
  ['eve', 'mallory'],
]);
/** Proves who one is with the first word. */
const oneWord: EnhancedMethod = {
  name: 'one-word',
  begin: () => ({
    next: (data) => {
      const identity = Buffer.from(data ?? []).toString();
      return { kind: 'decided', outcome: { reasonCode: ReasonCode.SUCCESS, identity }, data: undefined };
    },
  }),
};

async function watched(): Promise<string[]> {
  const banned: string[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => 0 };
  const watch = new FlappingWatch(passwordsOf(users), {
    connectsMax: 3,
    windowMs: 1_000,
    clock,
    ban: (clientId) => banned.push(clientId),
  });
  gateway = await TestGateway.start({}, watch, undefined, undefined, undefined, [oneWord]);
  return banned;
}

test('whoever asks for the client id of somebody else, and is refused, gets nobody banned', async () => {
  const banned = await watched();
  const ann = await gateway.raw();
  expect(await ann.hello('lamp', { username: 'ann', password: Buffer.from('lovelace') })).toMatchObject({
    reasonCode: ReasonCode.SUCCESS,
  });
  for (let i = 0; i < 10; i++) {
    const eve = await gateway.raw();
    expect(await eve.hello('lamp', { username: 'eve', password: Buffer.from('mallory') })).toMatchObject({
      reasonCode: ReasonCode.NOT_AUTHORIZED,
    });
  }
  expect(banned).toEqual([]);
  ann.send({ type: PacketType.PINGREQ });
  expect((await ann.next()).type).toBe(PacketType.PINGRESP);
});

test('who proves itself in steps is counted as well', async () => {
  const banned = await watched();
  const reasonCodes: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    const client = await gateway.raw();
    const properties = { authenticationMethod: 'one-word', authenticationData: Buffer.from('ann') };
    reasonCodes.push((await client.hello('moth', { properties })) as unknown as { reasonCode: number });
    client.destroy();
  }
  expect(reasonCodes.map((packet) => (packet as { reasonCode: number }).reasonCode)).toEqual([
    0,
    0,
    0,
    ReasonCode.BANNED,
    ReasonCode.BANNED,
  ]);
  expect(banned).toEqual(['moth']);
});
