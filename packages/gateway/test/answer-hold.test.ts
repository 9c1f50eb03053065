import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import type { SessionAnswer, SessionClient } from '@sluice/store-client/session-client';
import { StoredSessions } from '../src/session/stored-sessions.ts';
import { TestGateway } from './doubles/test-gateway.ts';

const SUBSCRIBE: Packet = {
  type: PacketType.SUBSCRIBE,
  packetId: 1,
  subscriptions: [{ filter: 'a', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
};

/** Stores that let everybody in, and answer a subscription when they are told to. */
class SlowStores {
  asked = 0;
  #answers: (() => void)[] = [];
  readonly #done: SessionAnswer = {
    status: 'done',
    epoch: 1,
    present: false,
    subscriptions: [],
    taken: [],
    bound: [],
    numbers: [],
  };
  readonly client = {
    open: async () => this.#done,
    attach: () => {},
    close: async () => this.#done,
    subscribe: () => {
      this.asked++;
      return new Promise((resolve) => {
        this.#answers.push(() => resolve(this.#done));
      });
    },
  };

  answer(): void {
    for (const answer of this.#answers.splice(0)) answer();
  }

  get sessions(): StoredSessions {
    const client = this.client as unknown as SessionClient;
    return new StoredSessions({ client, topology: { partitionCount: 1 }, expiryWithoutPropertyS: 60 });
  }
}

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
    while (stores.asked === 0) await new Promise(setImmediate);
    expect(client.packets).toEqual([]);
    stores.answer();
    expect((await client.next()).type).toBe(PacketType.SUBACK);
    expect((await client.next()).type).toBe(PacketType.PINGRESP);
  });

  test.each([4, 5] as const)('does not go out with the last words of its connection, MQTT %d', async (version) => {
    const client = await gateway.raw();
    const kept = { protocolVersion: version, cleanStart: false } as const;
    const properties = { sessionExpiryIntervalS: 60 };
    await client.hello('x', version === 5 ? { ...kept, properties } : kept);
    client.send(SUBSCRIBE);
    while (stores.asked === 0) await new Promise(setImmediate);
    const other = await gateway.raw();
    await other.hello('x', { cleanStart: false, properties });
    await client.untilClosed();
    expect(client.packets.map(({ type }) => type)).toEqual(version === 5 ? [PacketType.DISCONNECT] : []);
  });
});
