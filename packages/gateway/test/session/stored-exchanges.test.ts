import { expect, test } from '@jest/globals';
import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { Qos2Dedup } from '@sluice/mqtt/protocol/qos2-dedup';
import { isTaken, type PublisherRow, raiseFloor } from '@sluice/queue/machine/row/publisher-row';
import type { RecordExchange } from '@sluice/queue/record/record';
import type { ExchangeStep } from '@sluice/queue/session/commands';
import { Exchanges } from '@sluice/queue/session/exchanges';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { SessionAnswer } from '@sluice/store-client/session/session-questions';
import fc from 'fast-check';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
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
    const refused = [...this.exchanges.refused].map(([packetId, reasonCode]) => ({ packetId, reasonCode }));
    this.gateway = new NaiveGateway(this, this.epoch, { taken, refused });
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

const ANSWER = plainSessionAnswer({ epoch: 0, present: true });

/** A queue in another partition. */
class NaiveStore {
  readonly taken: string[] = [];
  readonly underWay: { text: string; exchange: RecordExchange; answer: (reasonCode: number) => void }[] = [];
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
    answer(0);
  }

  /** It has no room for the first of them. */
  refuse(): void {
    this.underWay.shift()?.answer(0x97);
  }

  /** Its gateway gives up on the first of them, which may arrive all the same. */
  giveUp(): void {
    const [first] = this.underWay;
    if (first === undefined) return;
    first.answer(0x80);
    first.answer = () => {};
  }
}

class NaiveGateway {
  readonly exchanges: StoredExchanges;
  readonly #world: PublisherWorld;
  readonly #received = new Set<number>();
  readonly #dedup = new Qos2Dedup();
  readonly #open = new Set<number>();
  isAlive = true;

  constructor(world: PublisherWorld, epoch: number, { taken, refused }: Pick<SessionAnswer, 'taken' | 'refused'>) {
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
      connection: { fail: () => this.die() },
      received: this.#dedup,
      inflight: { messages: () => [] },
    } as unknown as GatewaySession;
    const ingress = { publish: this.#publish.bind(this) } as unknown as PublishIngress;
    this.exchanges = new StoredExchanges(session, client, { partition: 1, clientId: 'p', epoch }, ingress);
    this.exchanges.resume(taken, refused);
  }

  die(): void {
    this.isAlive = false;
    this.exchanges.lost();
  }

  /** As the protocol has it. */
  arrives(packetId: number, text: string, isAgain: boolean): void {
    if (!this.isAlive || this.#open.has(packetId)) return;
    if (this.#received.has(packetId)) {
      this.#world.publisher.received(this, packetId);
      return;
    }
    if (isAgain && this.#dedup.refusal(packetId) !== 0) {
      this.#world.publisher.refused(this, packetId, this.#dedup.refusal(packetId));
      return;
    }
    this.#open.add(packetId);
    const ack = {
      complete: (reasonCode: number) => {
        this.#open.delete(packetId);
        if (reasonCode >= 0x80) {
          this.#dedup.refuse(packetId, reasonCode);
          this.#world.publisher.refused(this, packetId, reasonCode);
          return;
        }
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
    // The first refusal decides.
    const answer = (reasonCode: number): void => {
      if (left <= 0) return;
      left = reasonCode === 0 ? left - 1 : 0;
      if (left === 0 && this.isAlive) pending.complete(reasonCode);
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
  readonly told = new Map<string, number>();

  get isDeaf(): boolean {
    return this.#gateway === undefined;
  }

  get unfinished(): number {
    return this.#ids.size;
  }

  publish(): void {
    const packetId = [1, 2, 3].find((id) => !this.#ids.has(id));
    if (packetId === undefined || this.#gateway?.isAlive !== true) return;
    const text = `${++this.published}`;
    this.#ids.set(packetId, { text, isReceived: false });
    this.#gateway.arrives(packetId, text, false);
  }

  connected(gateway: NaiveGateway): void {
    this.#gateway = gateway;
    for (const [packetId, { text, isReceived }] of this.#ids) {
      if (isReceived) gateway.released(packetId);
      else gateway.arrives(packetId, text, true);
    }
  }

  /** Its connection broke, and the gateway still has its session. */
  connectsAgain(gateway: NaiveGateway | undefined): void {
    if (gateway?.isAlive === true) this.connected(gateway);
  }

  received(by: NaiveGateway, packetId: number): void {
    const publish = this.#ids.get(packetId);
    if (by !== this.#gateway || publish === undefined) return;
    publish.isReceived = true;
    by.released(packetId);
  }

  /** Its connection breaks, and its gateway has not seen it yet. */
  hearsNothing(): void {
    this.#gateway = undefined;
  }

  refused(by: NaiveGateway, packetId: number, reasonCode: number): void {
    const publish = this.#ids.get(packetId);
    if (by !== this.#gateway || publish === undefined) return;
    this.#ids.delete(packetId);
    this.told.set(publish.text, reasonCode);
  }

  completed(by: NaiveGateway, packetId: number): void {
    if (by === this.#gateway) this.#ids.delete(packetId);
  }
}

/** Answers are promises, and steps are gathered over a turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('each message is taken once by each store, whenever gateways die, and at most once when it is refused', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ do: 'publish' as const, at: 0 }) },
    // The first question of all, or one of somebody dead.
    { weight: 5, arbitrary: fc.record({ do: fc.constant('question' as const), at: fc.constantFrom(0, 0, 0, 1, 2) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('one' as const), at: fc.constantFrom(0, 0, 1) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('other' as const), at: fc.constantFrom(0, 0, 1) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), at: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.constant({ do: 'connect' as const, at: 0 }) },
    { weight: 1, arbitrary: fc.constant({ do: 'refuse' as const, at: 0 }) },
    { weight: 1, arbitrary: fc.constant({ do: 'give-up' as const, at: 0 }) },
    { weight: 1, arbitrary: fc.constant({ do: 'deaf' as const, at: 0 }) },
    { weight: 1, arbitrary: fc.constant({ do: 'again' as const, at: 0 }) },
  );
  // Its PUBREL comes again over the next connection, which has its next message under the same id; then the gateway is gone.
  const RELEASED_TWICE = (['publish', 'question', 'one', 'other', 'again', 'publish', 'lose', 'question'] as const).map(
    (what) => ({ do: what, at: 0 }) as const,
  );
  // What came behind it told the stores that its number was over, before its refusal was kept.
  const REFUSAL_LOST = (['publish', 'publish', 'question', 'refuse', 'question', 'deaf'] as const).map((what) => {
    return { do: what, at: 0 } as const;
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const world = new PublisherWorld();
      world.connect();
      for (const { do: what, at } of steps) {
        if (what === 'publish') world.publisher.publish();
        else if (what === 'question') world.applyQuestion(at);
        else if (what === 'one') world.stores[0]?.apply(at);
        else if (what === 'other') world.stores[1]?.apply(at);
        else if (what === 'refuse') world.stores[1]?.refuse();
        else if (what === 'give-up') world.stores[1]?.giveUp();
        else if (what === 'deaf') world.publisher.hearsNothing();
        else if (what === 'again') world.publisher.connectsAgain(world.gateway);
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
        if (world.gateway?.isAlive !== true || world.publisher.isDeaf) world.connect();
        while (world.questions.length > 0) world.applyQuestion(0);
        for (const store of world.stores) while (store.underWay.length > 0) store.apply(0);
        await turn();
      }
      const all = Array.from({ length: world.publisher.published }, (_, i) => `${i + 1}`);
      const isAcknowledged = (text: string): boolean => !world.publisher.told.has(text);
      for (const { taken } of world.stores) {
        expect(new Set(taken).size).toBe(taken.length);
        expect(taken.filter(isAcknowledged).sort((a, b) => +a - +b)).toEqual(all.filter(isAcknowledged));
      }
      // What nobody knows is not told; it is brought again until somebody does.
      for (const reasonCode of world.publisher.told.values()) expect(reasonCode).toBe(0x97);
      expect(world.exchanges.taken.size).toBe(0);
    }),
    { numRuns: 300, examples: [[REFUSAL_LOST], [RELEASED_TWICE]] },
  );
});

/** One gateway's exchanges of a publisher, whose questions the test answers; what it brings has its completion here. */
class OneConnection {
  readonly asked: ((answer: SessionAnswer) => void)[] = [];
  readonly steps: (readonly ExchangeStep[])[] = [];
  readonly brought: { packetId: number; pending: PendingPublish; exchange: RecordExchange }[] = [];
  readonly said: string[] = [];
  readonly exchanges: StoredExchanges;
  readonly #protocolVersion: number;

  constructor(protocolVersion = 5) {
    this.#protocolVersion = protocolVersion;
    const client = {
      exchange: (_key: unknown, _serial: number, steps: readonly ExchangeStep[]) => {
        this.steps.push(steps);
        return new Promise<SessionAnswer>((resolve) => this.asked.push(resolve));
      },
    };
    const connection = { fail: (reasonCode: number) => this.said.push(`fails ${reasonCode}`) };
    const session = { nowMs: () => 0, cut: () => {}, connection, inflight: { messages: () => [] } };
    const ingress = {
      publish: (
        { packetId }: PublishPacket,
        _by: unknown,
        pending: PendingPublish,
        _nowMs: number,
        exchange: RecordExchange,
      ) => {
        this.brought.push({ packetId, pending, exchange });
      },
    };
    this.exchanges = new StoredExchanges(
      session as unknown as GatewaySession,
      client as unknown as SessionClient,
      { partition: 1, clientId: 'c', epoch: 1 },
      ingress as unknown as PublishIngress,
    );
  }

  publish(packetId: number): void {
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
    const publisher = { protocolVersion: this.#protocolVersion } as Parameters<StoredExchanges['begin']>[2];
    const ack = { complete: (reasonCode: number) => this.said.push(`${packetId} is answered ${reasonCode}`) };
    const kept = this.exchanges.begin(packet, ack, publisher);
    if (kept !== undefined) this.exchanges.publish(kept);
  }
}

test('what waits when its connection ends is not taken: what was asked before it may never be answered', async () => {
  const one = new OneConnection();
  one.publish(1);
  await turn();
  one.publish(2);
  one.exchanges.close(true);
  const [first, ...later] = one.asked;
  first?.({ ...ANSWER, status: 'unavailable' });
  // Its number is 1 all the same; with 2 the stores would be told that what is below is over.
  for (const answer of later) answer({ ...ANSWER, numbers: [2] });
  await turn();
  expect(one.brought.map(({ packetId }) => packetId)).toEqual([]);
});

test.each([
  [5, 0x80, 'fails 128'],
  [4, 0x80, '1 is answered 128'],
  [4, 0x97, '1 is answered 151'],
])('MQTT %i: behind one that is brought again for %i nothing is brought: it would be there before', async (...row) => {
  const [protocolVersion, reasonCode, said] = row;
  const one = new OneConnection(protocolVersion);
  one.publish(1);
  await turn();
  one.asked[0]?.({ ...ANSWER, numbers: [1] });
  await turn();
  one.publish(2);
  await turn();
  one.brought[0]?.pending.complete(reasonCode);
  expect(one.said).toEqual([said]);
  one.asked[1]?.({ ...ANSWER, numbers: [2] });
  await turn();
  // The end of its connection may stand behind what else is read of it: of that nothing holds it up.
  one.publish(1);
  one.publish(3);
  const leftOut = ['2 is answered 128', '1 is answered 128', '3 is answered 128'];
  expect(one.said.slice(1)).toEqual(protocolVersion === 5 ? [] : leftOut);
  await turn();
  expect(one.asked).toHaveLength(2);
  expect(one.brought.map(({ packetId }) => packetId)).toEqual([1]);
});

test('a refusal that its publisher is told of holds nothing up', async () => {
  const one = new OneConnection();
  one.publish(1);
  one.publish(2);
  await turn();
  one.asked[0]?.({ ...ANSWER, numbers: [1, 2] });
  await turn();
  one.brought[0]?.pending.complete(0x97);
  one.publish(3);
  await turn();
  one.asked[1]?.({ ...ANSWER, numbers: [3] });
  await turn();
  expect(one.brought.map(({ packetId }) => packetId)).toEqual([1, 2, 3]);
});

test('a packet id that its client has forgotten holds up nothing for ever: it is freed, and means another message then', async () => {
  const one = new OneConnection();
  one.exchanges.resume(
    [
      { packetId: 7, number: 1 },
      { packetId: 8, number: 2 },
    ],
    [],
  );
  // The second comes again, as it must, before anything new; the first never does.
  one.publish(8);
  one.brought[0]?.pending.complete(0);
  one.said.splice(0);
  let number = 2;
  let [asked, stored] = [0, 1];
  const freed: number[] = [];
  const count = StoredExchanges.SPAN_MAX + 10;
  for (let i = 0; i < count; i++) {
    const packetId = 100 + i;
    one.publish(packetId);
    await turn();
    for (; asked < one.asked.length; asked++) {
      const steps = one.steps[asked] ?? [];
      freed.push(...steps.filter(({ type }) => type === 'release').map(({ packetId }) => packetId));
      const numbers = steps.filter(({ type }) => type === 'take').map(() => ++number);
      one.asked[asked]?.({ ...ANSWER, numbers });
    }
    await turn();
    for (; stored < one.brought.length; stored++) one.brought[stored]?.pending.complete(0);
  }
  expect(one.said).toHaveLength(count);
  expect(freed).toEqual([7]);
  expect(one.brought.at(-1)).toMatchObject({ exchange: { number, floor: number } });
});

test('PUBREL again over the next connection waits for the first to be kept: answered before, the id would come again and have its number', async () => {
  const one = new OneConnection();
  const over = (name: string) => ({ released: (id: number) => one.said.push(`${id} is completed over the ${name}`) });
  one.publish(1);
  await turn();
  one.asked[0]?.({ ...ANSWER, numbers: [1] });
  await turn();
  one.brought[0]?.pending.complete(0);
  one.said.splice(0);
  expect(one.exchanges.release(1, over('first') as never)).toBe(true);
  await turn();
  expect(one.exchanges.release(1, over('second') as never)).toBe(true);
  await turn();
  expect([one.said, one.asked.length]).toEqual([[], 2]);
  one.asked[1]?.(ANSWER);
  await turn();
  expect(one.said).toEqual(['1 is completed over the second']);
  // Once it is kept nothing is left to wait for, and the id may be used again.
  expect(one.exchanges.release(1, over('third') as never)).toBe(false);
  one.publish(1);
  await turn();
  one.asked[2]?.({ ...ANSWER, numbers: [2] });
  await turn();
  one.brought[1]?.pending.complete(0);
  expect(one.exchanges.release(1, over('third') as never)).toBe(true);
  await turn();
  one.asked[3]?.(ANSWER);
  await turn();
  expect(one.said.at(-1)).toBe('1 is completed over the third');
});
