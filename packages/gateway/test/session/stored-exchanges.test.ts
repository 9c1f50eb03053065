import { expect, test } from '@jest/globals';
import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { isTaken, type PublisherRow, raiseFloor } from '@sluice/queue/machine/publisher-row';
import type { RecordExchange } from '@sluice/queue/record/record';
import type { ExchangeStep } from '@sluice/queue/session/commands';
import { Exchanges } from '@sluice/queue/session/exchanges';
import type { SessionAnswer, SessionClient } from '@sluice/store-client/session-client';
import fc from 'fast-check';
import type { GatewaySession } from '../../src/deliver/gateway-session.ts';
import type { PendingPublish } from '../../src/publish/durable-publish.ts';
import type { PublishIngress } from '../../src/publish/publish-ingress.ts';
import { StoredExchanges } from '../../src/session/stored-exchanges.ts';

/**
 * One publisher, one gateway after the other, the session's partition and two that take messages, each as its own log.
 * Whatever is under way (a question, its answer, a record, its answer, a packet either way) arrives when the test says so,
 * those of one way in their order, or is lost with the gateway, or arrives after its death. The publisher does what MQTT says.
 */
class PublisherWorld {
  readonly exchanges = new Exchanges();
  readonly stores = [new NaiveStore(), new NaiveStore()];
  readonly publisher = new NaivePublisher();
  gateway: NaiveGateway | undefined;
  epoch = 0;
  lastNumber = 0;
  /** Questions of gateways that may be dead. */
  readonly questions: Question[] = [];

  connect(): void {
    this.gateway?.die();
    this.epoch++;
    const taken = [...this.exchanges.taken].map(([packetId, number]) => ({ packetId, number }));
    this.gateway = new NaiveGateway(this, this.epoch, taken);
    this.publisher.connected(this.gateway);
  }

  applyQuestion(at: number): void {
    const [question] = this.questions.splice(at, 1);
    if (question === undefined) return;
    const { epoch, serial, steps, answer } = question;
    if (epoch !== this.epoch) {
      answer({ ...ANSWER, status: 'fenced' });
      return;
    }
    if (this.exchanges.begins(epoch, serial)) {
      for (const step of steps) this.exchanges.apply(step, () => ++this.lastNumber);
    }
    answer({ ...ANSWER, numbers: this.exchanges.numbersOf(steps) });
  }
}

interface Question {
  epoch: number;
  serial: number;
  steps: readonly ExchangeStep[];
  answer: (answer: SessionAnswer) => void;
}

const ANSWER: SessionAnswer = {
  status: 'done',
  epoch: 0,
  present: true,
  subscriptions: [],
  taken: [],
  bound: [],
  numbers: [],
};

/** A queue in another partition. */
class NaiveStore {
  readonly taken: string[] = [];
  readonly underWay: { text: string; exchange: RecordExchange; answer: () => void }[] = [];
  readonly #publisher: PublisherRow = { seenMs: 0, floor: 0, taken: new Map() };

  apply(at: number): void {
    const [one] = this.underWay.splice(at, 1);
    if (one === undefined) return;
    const { text, exchange, answer } = one;
    raiseFloor(this.#publisher, exchange.floor);
    if (!isTaken(this.#publisher, exchange.number, 1)) {
      this.taken.push(text);
      this.#publisher.taken.set(exchange.number, [1]);
    }
    answer();
  }
}

class NaiveGateway {
  readonly exchanges: StoredExchanges;
  readonly #world: PublisherWorld;
  readonly #received = new Set<number>();
  readonly #open = new Set<number>();
  isAlive = true;

  constructor(world: PublisherWorld, epoch: number, taken: SessionAnswer['taken']) {
    this.#world = world;
    const client = {
      exchange: (_key: unknown, serial: number, steps: readonly ExchangeStep[]) =>
        new Promise<SessionAnswer>((resolve) => {
          const answer = (said: SessionAnswer): void => {
            if (this.isAlive) resolve(said);
          };
          world.questions.push({ epoch, serial, steps: [...steps], answer });
        }),
    } as unknown as SessionClient;
    const session = {
      nowMs: () => 0,
      cut: () => this.die(),
      inflight: { messages: () => [] },
    } as unknown as GatewaySession;
    const ingress = { publish: this.#publish.bind(this) } as unknown as PublishIngress;
    this.exchanges = new StoredExchanges(session, client, { partition: 1, clientId: 'p', epoch }, ingress);
    this.exchanges.resume(taken);
  }

  die(): void {
    this.isAlive = false;
    this.exchanges.lost();
  }

  /** As the protocol has it. */
  arrives(packetId: number, text: string): void {
    if (!this.isAlive || this.#open.has(packetId)) return;
    if (this.#received.has(packetId)) {
      this.#world.publisher.received(this, packetId);
      return;
    }
    this.#open.add(packetId);
    const ack = {
      complete: () => {
        this.#open.delete(packetId);
        this.#received.add(packetId);
        this.#world.publisher.received(this, packetId);
      },
    };
    const packet = {
      type: PacketType.PUBLISH,
      packetId,
      payload: Buffer.from(text),
      qos: 2,
    } as unknown as PublishPacket;
    this.exchanges.begin(packet, ack, { protocolVersion: 5 } as never)?.publish();
  }

  released(packetId: number): void {
    if (!this.isAlive) return;
    this.#received.delete(packetId);
    const connection = { released: (id: number) => this.#world.publisher.completed(this, id) };
    if (!this.exchanges.release(packetId, connection as never)) this.#world.publisher.completed(this, packetId);
  }

  #publish(
    packet: PublishPacket,
    _by: unknown,
    pending: PendingPublish,
    _nowMs: number,
    exchange: RecordExchange,
  ): void {
    let left = this.#world.stores.length;
    const answer = (): void => {
      if (--left === 0 && this.isAlive) pending.complete(0);
    };
    for (const store of this.#world.stores)
      store.underWay.push({ text: Buffer.from(packet.payload).toString(), exchange, answer });
  }
}

/** Three packet ids, so that they come again soon. */
class NaivePublisher {
  readonly #ids = new Map<number, { text: string; isReceived: boolean }>();
  #gateway: NaiveGateway | undefined;
  published = 0;

  get unfinished(): number {
    return this.#ids.size;
  }

  publish(): void {
    const packetId = [1, 2, 3].find((id) => !this.#ids.has(id));
    if (packetId === undefined || this.#gateway?.isAlive !== true) return;
    const text = `${++this.published}`;
    this.#ids.set(packetId, { text, isReceived: false });
    this.#gateway.arrives(packetId, text);
  }

  connected(gateway: NaiveGateway): void {
    this.#gateway = gateway;
    for (const [packetId, { text, isReceived }] of this.#ids) {
      if (isReceived) gateway.released(packetId);
      else gateway.arrives(packetId, text);
    }
  }

  received(by: NaiveGateway, packetId: number): void {
    const publish = this.#ids.get(packetId);
    if (by !== this.#gateway || publish === undefined) return;
    publish.isReceived = true;
    by.released(packetId);
  }

  completed(by: NaiveGateway, packetId: number): void {
    if (by === this.#gateway) this.#ids.delete(packetId);
  }
}

/** Answers are promises, and steps are gathered over a turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('each message is taken once by each store, whenever gateways die', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ do: 'publish' as const, at: 0 }) },
    // The first question of all, or one of somebody dead.
    { weight: 5, arbitrary: fc.record({ do: fc.constant('question' as const), at: fc.constantFrom(0, 0, 0, 1, 2) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('one' as const), at: fc.constantFrom(0, 0, 1) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('other' as const), at: fc.constantFrom(0, 0, 1) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), at: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.constant({ do: 'connect' as const, at: 0 }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const world = new PublisherWorld();
      world.connect();
      for (const { do: what, at } of steps) {
        if (what === 'publish') world.publisher.publish();
        else if (what === 'question') world.applyQuestion(at);
        else if (what === 'one') world.stores[0]?.apply(at);
        else if (what === 'other') world.stores[1]?.apply(at);
        else {
          // With a gateway, some of what it had under way; never of one that lives.
          world.gateway?.die();
          if (what === 'lose') {
            world.questions.splice(at);
            for (const store of world.stores) store.underWay.splice(at);
          }
          world.connect();
        }
        await turn();
      }
      for (let i = 0; world.publisher.unfinished > 0; i++) {
        if (i > 200) throw new Error(`${world.publisher.unfinished} exchanges do not end`);
        if (world.gateway?.isAlive !== true) world.connect();
        while (world.questions.length > 0) world.applyQuestion(0);
        for (const store of world.stores) while (store.underWay.length > 0) store.apply(0);
        await turn();
      }
      const all = Array.from({ length: world.publisher.published }, (_, i) => `${i + 1}`);
      for (const store of world.stores) expect([...store.taken].sort((a, b) => +a - +b)).toEqual(all);
      expect(world.exchanges.taken.size).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('what waits when its connection ends is not taken: what was asked before it may never be answered', async () => {
  const turn = () => new Promise(setImmediate);
  const asked: ((answer: SessionAnswer) => void)[] = [];
  const client = { exchange: () => new Promise<SessionAnswer>((resolve) => asked.push(resolve)) };
  const session = { nowMs: () => 0, cut: () => {}, inflight: { messages: () => [] } };
  const brought: number[] = [];
  const exchanges = new StoredExchanges(
    session as unknown as GatewaySession,
    client as unknown as SessionClient,
    { partition: 1, clientId: 'c', epoch: 1 },
    { publish: ({ packetId }: PublishPacket) => brought.push(packetId) } as unknown as PublishIngress,
  );
  const publish = (packetId: number): void => {
    const payload = new Uint8Array(0);
    const packet = {
      type: PacketType.PUBLISH,
      topic: 't',
      payload,
      qos: 2,
      retain: false,
      dup: false,
      packetId,
    } as const;
    const publisher = { protocolVersion: 5 } as Parameters<StoredExchanges['begin']>[2];
    const kept = exchanges.begin(packet, { complete: () => {} }, publisher);
    if (kept !== undefined) exchanges.publish(kept);
  };
  publish(1);
  await turn();
  publish(2);
  exchanges.close(true);
  const [first, ...later] = asked;
  first?.({ ...ANSWER, status: 'unavailable' });
  // Its number is 1 all the same; with 2 the stores would be told that what is below is over.
  for (const answer of later) answer({ ...ANSWER, numbers: [2] });
  await turn();
  expect(brought).toEqual([]);
});
