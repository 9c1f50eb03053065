import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Packet, PacketType, type SubscribePacket, type Subscription } from '@sluice/mqtt/codec/packet';
import type { LiveRequest, LiveResponse } from '@sluice/rpc/contract/live';
import type { StoredFilter } from '@sluice/rpc/contract/sessions';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { SessionAnswer } from '@sluice/store-client/session/session-questions';
import { plainSessionAnswer } from '../../../test/harness/plain-session-answer.ts';
import { LiveRouter } from '../src/live/live-router.ts';
import { StoredSessions } from '../src/session/stored-sessions.ts';
import type { RawClient } from './doubles/raw-client.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

const SUBSCRIBE: SubscribePacket = {
  type: PacketType.SUBSCRIBE,
  packetId: 1,
  subscriptions: [{ filter: 'a', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
};

const UNSUBSCRIBE: Packet = { type: PacketType.UNSUBSCRIBE, packetId: 2, filters: ['a'] };

/** Stores that let everybody in, and answer a change of subscriptions when they are told to. */
class SlowStores {
  readonly asked: string[] = [];
  readonly #answers: ((status: SessionAnswer['status']) => void)[] = [];
  readonly client = {
    open: async () => DONE,
    attach: () => {},
    close: async () => {
      this.asked.push('end');
      return DONE;
    },
    subscribe: (_: unknown, filters: readonly StoredFilter[]) =>
      this.#ask(...filters.map(({ filter }) => `+${filter}`)),
    unsubscribe: (_: unknown, filters: readonly string[]) => this.#ask(...filters.map((filter) => `-${filter}`)),
  };

  #ask(...filters: readonly string[]): Promise<SessionAnswer> {
    this.asked.push(filters.join(' '));
    return new Promise((resolve) => this.#answers.push((status) => resolve({ ...DONE, status })));
  }

  /** The first question; as soon as there is one. */
  async answer(status: SessionAnswer['status'] = 'done'): Promise<void> {
    while (this.#answers.length === 0) await new Promise(setImmediate);
    this.#answers.shift()?.(status);
  }

  async areAsked(count: number): Promise<void> {
    while (this.asked.length < count) await new Promise(setImmediate);
  }

  get sessions(): StoredSessions {
    const client = this.client as unknown as SessionClient;
    return new StoredSessions({ client, topology: { partitionCount: 1 }, expiryWithoutPropertyS: 60 });
  }
}

const DONE = plainSessionAnswer();

let stores: SlowStores;
let gateway: TestGateway;
beforeEach(async () => {
  stores = new SlowStores();
  gateway = await TestGateway.start({}, undefined, undefined, undefined, stores.sessions);
});
afterEach(() => gateway.stop());

describe('a SUBACK of a kept session', () => {
  test('goes out when the stores have answered', async () => {
    const client = await gateway.raw();
    await client.hello('x', { properties: { sessionExpiryIntervalS: 60 } });
    client.send(SUBSCRIBE);
    client.send({ type: PacketType.PINGREQ });
    await stores.areAsked(1);
    expect(client.packets).toEqual([]);
    await stores.answer();
    expect((await client.next()).type).toBe(PacketType.SUBACK);
    expect((await client.next()).type).toBe(PacketType.PINGRESP);
  });

  test('is not kept for a filter that is refused because the gateway holds as many as it may', async () => {
    const client = await gateway.raw();
    await client.hello('x', { properties: { sessionExpiryIntervalS: 60 } });
    const full = jest.spyOn(LiveRouter.prototype, 'subscribe').mockReturnValueOnce('refused');
    const [first] = SUBSCRIBE.subscriptions as [Subscription];
    client.send({ ...SUBSCRIBE, subscriptions: [first, { ...first, filter: 'b' }] });
    await stores.answer();
    full.mockRestore();
    expect(await client.next()).toMatchObject({ reasonCodes: [0x97, 1] });
    expect(stores.asked).toEqual(['+b']);
  });

  test.each([4, 5] as const)('does not go out with the last words of its connection, MQTT %d', async (version) => {
    const client = await gateway.raw();
    const kept = { protocolVersion: version, cleanStart: false } as const;
    const properties = { sessionExpiryIntervalS: 60 };
    await client.hello('x', version === 5 ? { ...kept, properties } : kept);
    client.send(SUBSCRIBE);
    await stores.areAsked(1);
    const other = await gateway.raw();
    await other.hello('x', { cleanStart: false, properties });
    await client.untilClosed();
    expect(client.packets.map(({ type }) => type)).toEqual(version === 5 ? [PacketType.DISCONNECT] : []);
  });
});

test('what was retained while the stores took a subscription is read, although it went live before', async () => {
  const client = await gateway.raw();
  await client.hello('x', { properties: { sessionExpiryIntervalS: 60 } });
  client.send(SUBSCRIBE);
  await stores.areAsked(1);
  const publisher = await gateway.connect();
  // Its streams begin behind this one.
  await publisher.publishAsync('a', 'kept', { qos: 1, retain: true });
  await stores.answer();
  expect((await client.next()).type).toBe(PacketType.SUBACK);
  expect(await client.next()).toMatchObject({ type: PacketType.PUBLISH, topic: 'a', retain: true });
});

test('for a kept session others are asked what they have given to the stores when its streams have begun', async () => {
  const network = new InprocNetwork({ codecs: true });
  const other = network.node(2);
  const told: LiveRequest[] = [];
  other.serveChannel<LiveRequest, LiveResponse>('live', (channel) =>
    channel.onMessage((message) => {
      told.push(message);
      if ('version' in message) channel.send({ type: 'seen', version: message.version });
    }),
  );
  await gateway.stop();
  const place = { nodeId: 1, transport: network.node(1) };
  gateway = await TestGateway.start({}, undefined, place, undefined, stores.sessions);
  gateway.gateway.setPeers([1, 2]);
  const client = await gateway.raw();
  await client.hello('x', { properties: { sessionExpiryIntervalS: 60 } });
  client.send(SUBSCRIBE);
  await stores.areAsked(1);
  const versions = (): number[] => told.flatMap((message) => ('version' in message ? [message.version] : []));
  await until(() => versions().at(-1) === 2);
  gateway.retained.isHeld = true;
  await stores.answer();
  expect((await client.next()).type).toBe(PacketType.SUBACK);
  await until(() => gateway.retained.asked.length === 1);
  expect(versions()).toEqual([1, 2, 3]);
  expect(told.at(-1)).toEqual({ type: 'routes-changed', version: 3, added: [], removed: [] });
});

describe('a kept session that is taken over while the stores change its subscriptions', () => {
  const KEPT = { cleanStart: false, properties: { sessionExpiryIntervalS: 60 } };

  async function subscribed() {
    const client = await gateway.raw();
    await client.hello('x', KEPT);
    client.send(SUBSCRIBE);
    await stores.answer();
    await client.next();
    return client;
  }

  /** The gateway has what this client sent, and would have answered by now. */
  async function hasRead(client: RawClient): Promise<void> {
    const watcher = await gateway.raw();
    await watcher.hello('w');
    const [subscription] = SUBSCRIBE.subscriptions;
    watcher.send({ ...SUBSCRIBE, subscriptions: [{ ...(subscription as Subscription), filter: 't' }] });
    await watcher.next();
    const payload = new Uint8Array(0);
    client.send({ type: PacketType.PUBLISH, topic: 't', payload, qos: 0, retain: false, dup: false, packetId: 0 });
    expect((await watcher.next()).type).toBe(PacketType.PUBLISH);
    watcher.send({ type: PacketType.PINGREQ });
    expect((await watcher.next()).type).toBe(PacketType.PINGRESP);
  }

  async function takenOver() {
    const other = await gateway.raw();
    await other.hello('x', KEPT);
    return other;
  }

  test('UNSUBACK waits for the removal that its former connection asked for', async () => {
    const client = await subscribed();
    client.send(UNSUBSCRIBE);
    await stores.areAsked(2);
    const other = await takenOver();
    other.send(UNSUBSCRIBE);
    other.send({ type: PacketType.PINGREQ });
    await hasRead(other);
    expect(other.packets).toEqual([]);
    await stores.answer();
    expect((await other.next()).type).toBe(PacketType.UNSUBACK);
    expect((await other.next()).type).toBe(PacketType.PINGRESP);
    expect(stores.asked).toEqual(['+a', '-a']);
  });

  test('and nobody goes on with what the stores did not do', async () => {
    const client = await subscribed();
    client.send(UNSUBSCRIBE);
    await stores.areAsked(2);
    const other = await takenOver();
    await stores.answer('unavailable');
    await other.untilClosed();
  });

  test('the stores hear of changes in the order of the client, one question at a time', async () => {
    const client = await subscribed();
    client.send(UNSUBSCRIBE);
    await stores.areAsked(2);
    const other = await takenOver();
    other.send(SUBSCRIBE);
    other.send({ ...SUBSCRIBE, packetId: 3 });
    other.send({ ...UNSUBSCRIBE, packetId: 4 });
    await hasRead(other);
    for (let i = 0; i < 3; i++) await stores.answer();
    const answers = [await other.next(), await other.next(), await other.next()];
    expect(answers.map(({ type }) => type)).toEqual([PacketType.SUBACK, PacketType.SUBACK, PacketType.UNSUBACK]);
    expect(stores.asked).toEqual(['+a', '-a', '+a +a', '-a']);
  });

  test('what a connection asked for at its end is asked before the end', async () => {
    const client = await subscribed();
    client.send(UNSUBSCRIBE);
    client.send(SUBSCRIBE);
    client.send({ type: PacketType.DISCONNECT, reasonCode: 0 });
    await stores.areAsked(4);
    expect(stores.asked).toEqual(['+a', '-a', '+a', 'end']);
  });
});
