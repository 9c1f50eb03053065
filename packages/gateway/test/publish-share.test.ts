import { afterEach, describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType, type QoS } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { PublishShare, type ShareTaker } from '../src/connection/publish-share.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

/** Whoever publishes most must not have the event loop for himself. */
const { PUBLISHES_MAX } = PublishShare;
const pass = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Publishes as long as it has something and is not refused, as a connection does. */
class Publisher implements ShareTaker {
  readonly #share: PublishShare;
  readonly #log: string[];
  readonly #name: string;
  left: number;

  constructor(share: PublishShare, log: string[], name: string, left: number) {
    this.#share = share;
    this.#log = log;
    this.#name = name;
    this.left = left;
  }

  yourTurn(): void {
    while (this.left > 0) {
      this.left--;
      this.#log.push(this.#name);
      if (this.#share.spend(this)) return;
    }
  }
}

describe('a share', () => {
  test('is one pass’s; the next pass has its own', async () => {
    const log: string[] = [];
    const greedy = new Publisher(new PublishShare(), log, 'greedy', 3 * PUBLISHES_MAX);
    greedy.yourTurn();
    expect(log.length).toBe(PUBLISHES_MAX);
    await pass();
    expect(log.length).toBe(2 * PUBLISHES_MAX);
    await pass();
    expect(greedy.left).toBe(0);
  });

  test('a small publisher is not kept waiting by a large one', () => {
    const log: string[] = [];
    const share = new PublishShare();
    new Publisher(share, log, 'greedy', 10 * PUBLISHES_MAX).yourTurn();
    const small = new Publisher(share, log, 'small', 1);
    small.yourTurn();
    expect(small.left).toBe(0);
  });

  test('goes round: nobody has a second one while another waits for his first', async () => {
    const log: string[] = [];
    const share = new PublishShare();
    const names = ['a', 'b', 'c'];
    const publishers = names.map((name) => new Publisher(share, log, name, 4 * PUBLISHES_MAX));
    for (const publisher of publishers) publisher.yourTurn();
    const order: string[] = [];
    while (publishers.some(({ left }) => left > 0)) {
      log.length = 0;
      await pass();
      // The others may have one each, never more.
      for (const name of names) if (log.filter((one) => one === name).length > 1) order.push(name);
      expect(log.length).toBeLessThanOrEqual(PUBLISHES_MAX + names.length);
    }
    for (let i = 3; i < order.length - 3; i++) expect(order[i]).toBe(order[i - 3]);
    expect(new Set(order.slice(0, 3)).size).toBe(3);
  });

  test('who is gone is heard to its end, and its turn is nobody’s afterwards', async () => {
    const log: string[] = [];
    const share = new PublishShare();
    const gone = new Publisher(share, log, 'gone', 5 * PUBLISHES_MAX);
    gone.yourTurn();
    const other = new Publisher(share, log, 'other', 2);
    other.yourTurn();
    share.finish(gone);
    expect(gone.left).toBe(0);
    expect(other.left).toBe(1);
    await pass();
    expect(other.left).toBe(0);
  });
});

describe('on a gateway', () => {
  let gateway: TestGateway;
  afterEach(() => gateway?.stop());

  const publish = (topic: string, qos: QoS, packetId: number): Packet => ({
    type: PacketType.PUBLISH,
    topic,
    payload: new Uint8Array(1),
    qos,
    retain: false,
    dup: false,
    packetId,
  });
  /** Small enough for one read of a socket. */
  const COUNT = 8 * PUBLISHES_MAX;
  const burst = (qos: QoS): Buffer =>
    Buffer.concat(Array.from({ length: COUNT }, (_, i) => encode(publish('t', qos, qos === 0 ? 0 : i + 1), 5)));

  test('a burst is taken over several passes, whole and in order, and another client publishes in between', async () => {
    gateway = await TestGateway.start({ receiveMaximum: COUNT });
    gateway.durable.filters = ['t', 'small'];
    gateway.durable.autoCommit = ReasonCode.SUCCESS;
    const [greedy, small] = [await gateway.raw(), await gateway.raw()];
    await greedy.hello('greedy');
    await small.hello('small');
    greedy.socket.write(burst(1));
    let [before, most] = [0, 0];
    while (gateway.durable.stored.length < COUNT + 1) {
      await pass();
      const { length } = gateway.durable.stored;
      most = Math.max(most, length - before);
      if (before === 0 && length > 0) small.send(publish('small', 1, 1));
      before = length;
    }
    // An observer and a pass may begin in either order, so it may see two shares.
    expect(most).toBeLessThanOrEqual(2 * PUBLISHES_MAX + 2);
    expect(gateway.durable.topics().indexOf('small')).toBeLessThan(COUNT);
    await until(() => greedy.packets.length === COUNT);
    const ids = greedy.packets.map((packet) => (packet.type === PacketType.PUBACK ? packet.packetId : 0));
    expect(ids).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
  });

  test('a client that publishes a burst and goes has published all of it, and said goodbye', async () => {
    gateway = await TestGateway.start();
    gateway.durable.filters = ['t', 'will'];
    const watcher = await gateway.raw();
    await watcher.hello('watcher');
    const brief = await gateway.raw();
    const will = { topic: 'will', payload: new Uint8Array(1), qos: 1 as const, retain: false };
    await brief.hello('brief', { will });
    brief.socket.end(Buffer.concat([burst(0), encode({ type: PacketType.DISCONNECT, reasonCode: 0 }, 5)]));
    await until(() => gateway.gateway.counts().connections === 1);
    expect(gateway.durable.topics().length).toBe(COUNT);
    expect(gateway.durable.topics()).not.toContain('will');
  });
});
