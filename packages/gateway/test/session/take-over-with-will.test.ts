import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { SessionSink } from '@sluice/store-client/session/attached-sessions';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { SessionAnswer } from '@sluice/store-client/session/session-questions';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
import { StoredSessions } from '../../src/session/stored-sessions.ts';
import type { RawClient } from '../doubles/raw-client.ts';
import { TestGateway, until } from '../doubles/test-gateway.ts';

/** Whoever has the client's will loses it to the next open, and is told before that is answered, as stores do. */
let sinks: Map<string, SessionSink>;
let epoch: number;
let held: ((answer: SessionAnswer) => void)[] | undefined;
let gateway: TestGateway;

beforeEach(async () => {
  sinks = new Map();
  epoch = 0;
  held = undefined;
  const client = {
    open: async (_partition: number, { clientId, will }: { clientId: string; will: object | undefined }) => {
      const former = sinks.get(clientId);
      sinks.delete(clientId);
      former?.lost();
      if (held !== undefined) return await new Promise<SessionAnswer>((resolve) => held?.push(resolve));
      return plainSessionAnswer({ epoch: will === undefined ? 0 : ++epoch });
    },
    attach: ({ clientId }: { clientId: string }, _window: number, sink: SessionSink) => sinks.set(clientId, sink),
    detach: (clientId: string) => sinks.delete(clientId),
    close: async () => plainSessionAnswer(),
  } as unknown as SessionClient;
  const sessions = new StoredSessions({ client, topology: { partitionCount: 1 }, expiryWithoutPropertyS: 60 });
  gateway = await TestGateway.start({}, undefined, undefined, undefined, sessions);
});
afterEach(() => gateway.stop());

const willOf = (willDelayIntervalS: number) => ({
  topic: 'end',
  payload: Buffer.from('gone'),
  qos: 0 as const,
  retain: false,
  properties: { willDelayIntervalS },
});

async function comes(clientId: string, will?: ReturnType<typeof willOf>, cleanStart = false): Promise<RawClient> {
  const raw = await gateway.raw();
  expect(await raw.hello(clientId, { cleanStart, ...(will === undefined ? {} : { will }) })).toMatchObject({
    type: PacketType.CONNACK,
    reasonCode: ReasonCode.SUCCESS,
  });
  return raw;
}

async function subscribes(raw: RawClient): Promise<void> {
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 2 } as const;
  raw.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [{ filter: 't', qos: 0, ...options }] });
  expect((await raw.next()).type).toBe(PacketType.SUBACK);
}

async function isToldOfTakeOver(raw: RawClient): Promise<void> {
  expect(await raw.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: ReasonCode.SESSION_TAKEN_OVER });
  await raw.untilClosed();
}

test.each([
  ['had a will', willOf(0), undefined],
  ['leaves a will', undefined, willOf(0)],
  ['had one and leaves one', willOf(0), willOf(0)],
])('whose expiry is 0 goes on with its session over another connection where it %s', async (_case, before, after) => {
  const first = await comes('x', before);
  await subscribes(first);
  const second = await gateway.raw();
  const hello = { cleanStart: false, ...(after === undefined ? {} : { will: after }) };
  expect(await second.hello('x', hello)).toMatchObject({ reasonCode: 0, sessionPresent: true });
  await isToldOfTakeOver(first);
  const publisher = await gateway.connect();
  await publisher.publishAsync('t', 'for whoever has it');
  const got = (await second.next()) as PublishPacket;
  expect(got).toMatchObject({ type: PacketType.PUBLISH, topic: 't' });
  // And on.
  const third = await gateway.raw();
  expect(await third.hello('x', { cleanStart: false })).toMatchObject({ reasonCode: 0, sessionPresent: true });
  await isToldOfTakeOver(second);
  expect(gateway.gateway.counts().sessions).toBe(2);
});

// With its connection such a session ends, and its will is due before the delay is over [MQTT-3.1.3-9]: published, it
// cannot belong to a session that goes on.
test.each([
  ['its will has a delay', willOf(60), false],
  ['the start is clean', willOf(0), true],
])('begins anew where %s', async (_case, will, cleanStart) => {
  const first = await comes('x', will);
  const second = await gateway.raw();
  expect(await second.hello('x', { cleanStart })).toMatchObject({ reasonCode: 0, sessionPresent: false });
  await isToldOfTakeOver(first);
  expect(gateway.gateway.counts().sessions).toBe(1);
});

test('ends with its connection when the one that was to go on with it came to nothing', async () => {
  const first = await comes('x', willOf(0));
  held = [];
  const second = await gateway.raw();
  void second.hello('x', { cleanStart: false }).catch(() => {});
  await until(() => held?.length === 1);
  second.destroy();
  await until(() => gateway.gateway.counts().connections === 1);
  held.pop()?.(plainSessionAnswer({ epoch: 0 }));
  await isToldOfTakeOver(first);
  expect(gateway.gateway.counts().sessions).toBe(0);
});
