import { describe, expect, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import { type DeliveryRef, Dispatcher, type DispatchStrategyName, SET_ASIDE } from '@sluice/queue/dispatch/dispatcher';
import fc from 'fast-check';
import { freshRef } from './dispatch-script.ts';
import { NaiveDispatcher } from './naive-dispatcher.ts';

const STRATEGIES: DispatchStrategyName[] = ['random', 'round_robin', 'least_inflight'];

function makeDispatcher(strategy: DispatchStrategyName, seed = 1): Dispatcher {
  return new Dispatcher({ strategy, prng: new SeededPrng(seed), redispatchIntervalMs: 100 });
}

type Step =
  | { do: 'attach'; who: number; window: number; limit: number }
  | { do: 'window'; who: number; window: number }
  | { do: 'limit'; who: number; limit: number }
  | { do: 'detach'; who: number }
  | { do: 'offer'; count: number; size: number }
  | { do: 'redeliver'; count: number }
  | { do: 'accept' | 'reject' | 'give-back' | 'too-large' | 'supersede'; which: number }
  | { do: 'take'; who: number; which: number }
  | { do: 'tick'; ms: number }
  | { do: 'strategy'; strategy: DispatchStrategyName };

const index = fc.nat({ max: 1_000 });
const window = fc.nat({ max: 4 });
const stepsWith = (limit: fc.Arbitrary<number>, size: fc.Arbitrary<number>): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant('attach' as const), who: index, window, limit }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('limit' as const), who: index, limit }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('window' as const), who: index, window }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('detach' as const), who: index }) },
      { weight: 8, arbitrary: fc.record({ do: fc.constant('offer' as const), count: fc.nat({ max: 6 }), size }) },
      { weight: 8, arbitrary: fc.record({ do: fc.constant('redeliver' as const), count: fc.nat({ max: 6 }) }) },
      { weight: 6, arbitrary: fc.record({ do: fc.constant('accept' as const), which: index }) },
      { weight: 9, arbitrary: fc.record({ do: fc.constant('reject' as const), which: index }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('give-back' as const), which: index }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('too-large' as const), which: index }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('supersede' as const), which: index }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const), who: index, which: index }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('tick' as const), ms: fc.nat({ max: 80 }) }) },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('strategy' as const), strategy: fc.constantFrom(...STRATEGIES) }),
      },
    ),
    { maxLength: 120, size: 'max' },
  );

const NO_LIMIT = fc.constant(Number.POSITIVE_INFINITY);
const steps = stepsWith(NO_LIMIT, fc.constant(100));
const stepsOfSizes = stepsWith(
  fc.oneof(NO_LIMIT, fc.constantFrom(50, 150, 250)),
  fc.constantFrom(10, 50, 51, 100, 200, 300),
);

/** Does every step to both, and compares all that can be seen after each. */
class Pair {
  readonly #dispatcher: Dispatcher;
  readonly #model: NaiveDispatcher;
  #nowMs = 0;
  #nextOffset = 0;
  #nextConsumer = 1;

  constructor(strategy: DispatchStrategyName, redeliveryMax: number) {
    this.#dispatcher = new Dispatcher({
      strategy,
      prng: new SeededPrng(7),
      redispatchIntervalMs: 100,
      redeliveryMax,
      setAsideMax: redeliveryMax,
    });
    this.#model = new NaiveDispatcher(strategy, 100, redeliveryMax);
  }

  run(step: Step): void {
    const consumers = this.#model.consumers;
    const who = 'who' in step ? consumers[step.who % Math.max(1, consumers.length)]?.id : undefined;
    switch (step.do) {
      case 'attach':
        this.#dispatcher.attach(this.#nextConsumer, step.window, step.limit);
        this.#model.attach(this.#nextConsumer++, step.window, step.limit);
        break;
      case 'limit':
        if (who === undefined) return;
        this.#dispatcher.setRecordBytesMax(who, step.limit);
        this.#model.setLimit(who, step.limit);
        break;
      case 'window':
        if (who === undefined) return;
        this.#dispatcher.setWindow(who, step.window);
        this.#model.find(who).window = step.window;
        break;
      case 'detach': {
        if (who === undefined) return;
        const returned: DeliveryRef[] = [freshRef(99)];
        this.#dispatcher.detach(who, returned);
        const expected = this.#model.detach(who);
        same(
          returned.map((ref) => [ref.offset, ref.deliveryCount]),
          expected.map((record) => [record.offset, record.count]),
        );
        break;
      }
      case 'offer':
        for (let i = 0; i < step.count; i++) this.#offer(step.size);
        break;
      case 'redeliver':
        for (let i = 0; i < step.count; i++) this.#redeliver();
        break;
      case 'accept':
      case 'reject':
      case 'give-back':
      case 'too-large':
        this.#answer(step.do, step.which);
        break;
      case 'supersede': {
        const offset = step.which % (this.#nextOffset + 2);
        same(this.#dispatcher.supersede(offset), this.#model.supersede(offset));
        break;
      }
      case 'take': {
        if (who === undefined) return;
        // One that is here, one that was settled, or the next: a former leader handed it out.
        const offset = step.which % (this.#nextOffset + 1);
        same(this.#dispatcher.holderOf(offset), this.#model.holderOf(offset));
        if (offset === this.#nextOffset) this.#nextOffset++;
        this.#dispatcher.take(who, { ...freshRef(offset), deliveryCount: 3 }, this.#nowMs);
        this.#model.take(who, offset, 3);
        break;
      }
      case 'tick':
        this.#nowMs += step.ms;
        break;
      case 'strategy':
        this.#dispatcher.setStrategy(step.strategy);
        this.#model.strategy = step.strategy;
        break;
    }
    this.#compare();
  }

  /** Everybody takes what is there: all that was handed out and is not settled must come once more. */
  drain(): void {
    while (this.#model.consumers.length > 0) this.run({ do: 'detach', who: 0 });
    const left = this.#model.waiting.map((record) => record.offset).sort(ascending);
    this.run({ do: 'attach', who: 0, window: 10_000, limit: Number.POSITIVE_INFINITY });
    this.#nowMs += 1_000;
    const came: number[] = [];
    for (let next = this.#redeliver(); next !== undefined; next = this.#redeliver()) came.push(next);
    expect(came).toEqual(left);
  }

  #offer(size: number): void {
    const may = this.#model.mayTakeFresh(size);
    const ref = { ...freshRef(this.#nextOffset), sizeBytes: size };
    const taker = this.#dispatcher.offer(ref, this.#nowMs);
    if (may === 'aside') {
      same(taker, SET_ASIDE);
      this.#model.setAside(this.#nextOffset++, size);
      return;
    }
    if (may.length === 0) {
      same(taker, 0);
      return;
    }
    same(may.includes(taker), true);
    const record = { offset: this.#nextOffset++, count: 1, superseded: false, dueMs: 0, size, aside: false };
    this.#model.give(taker, { ...record, state: 'anybody', rejecter: undefined });
  }

  #redeliver(): number | undefined {
    const expected = this.#model.mayTakeRedelivery(this.#nowMs);
    const assignment = this.#dispatcher.nextRedelivery(this.#nowMs);
    if (expected === undefined) {
      same(assignment, undefined);
      return undefined;
    }
    const taker = assignment?.consumerId ?? 0;
    same([assignment?.ref.offset, assignment?.ref.deliveryCount], [expected.record.offset, expected.record.count]);
    same(expected.ids.includes(taker), true);
    this.#model.give(taker, expected.record);
    return expected.record.offset;
  }

  #answer(kind: 'accept' | 'reject' | 'give-back' | 'too-large', which: number): void {
    const pairs = this.#model.consumers.flatMap((each) => each.held.map((record) => ({ id: each.id, record })));
    const pair = pairs[which % Math.max(1, pairs.length)];
    if (pair === undefined) return;
    const { offset } = pair.record;
    const stranger = this.#nextConsumer + 5;
    if (kind === 'accept') {
      same(this.#dispatcher.accept(stranger, offset, this.#nowMs), undefined);
      same(this.#dispatcher.accept(pair.id, offset, this.#nowMs)?.offset, offset);
      this.#model.settle(pair.id, offset);
    } else if (kind === 'too-large') {
      same(this.#dispatcher.tooLarge(stranger, offset), false);
      const isLimited = this.#model.find(pair.id).limit < Number.POSITIVE_INFINITY;
      same(this.#dispatcher.tooLarge(pair.id, offset), isLimited);
      this.#model.tooLarge(pair.id, offset);
      if (!isLimited) return;
    } else if (kind === 'give-back') {
      this.#dispatcher.giveBack(stranger, offset);
      same(this.#dispatcher.holderOf(offset), pair.id);
      this.#dispatcher.giveBack(pair.id, offset);
      this.#model.giveBack(pair.id, offset);
    } else {
      same(this.#dispatcher.reject(stranger, offset, this.#nowMs), undefined);
      same(this.#dispatcher.reject(pair.id, offset, this.#nowMs)?.offset, offset);
      this.#model.reject(pair.id, offset, this.#nowMs);
    }
    same(this.#dispatcher.accept(pair.id, offset, this.#nowMs), undefined);
  }

  #compare(): void {
    const dispatcher = this.#dispatcher;
    const { consumers, waiting } = this.#model;
    const resting = waiting.filter((record) => record.state === 'resting').map((record) => record.dueMs);
    same(dispatcher.inflight, sum(consumers.map((each) => each.held.length)));
    same(dispatcher.redeliveryCount, waiting.length);
    const aside = this.#model.aside();
    same(
      dispatcher.setAsideRefs().map(({ offset, sizeBytes }) => [offset, sizeBytes]),
      aside.map(({ offset, size }) => [offset, size]),
    );
    const most = Math.max(0, ...consumers.map(({ limit }) => limit));
    if (consumers.length > 0) same(dispatcher.tooLargeCount, aside.filter(({ size }) => size > most).length);
    same(dispatcher.room(), sum(consumers.map((each) => Math.max(0, each.window - each.held.length))));
    same(dispatcher.earliestDueMs(), Math.min(Number.POSITIVE_INFINITY, ...resting));
    same(
      [...dispatcher.consumers()].map((each) => [each.consumerId, each.window, each.held]),
      consumers.map((each) => [each.id, each.window, each.held.length]),
    );
    for (const consumer of consumers) {
      same(
        dispatcher.holdings(consumer.id).map((ref) => ref.offset),
        consumer.held.map((record) => record.offset).sort(ascending),
      );
    }
  }
}

function ascending(a: number, b: number): number {
  return a - b;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

/** `expect` costs more than all else here; it is asked only to print a difference. */
function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) expect(actual).toEqual(expected);
}

describe('against the naive model', () => {
  test.each(STRATEGIES)('%s: same holders, same order, nothing lost', (strategy) => {
    fc.assert(
      fc.property(steps, fc.constantFrom(3, 1_000), (script, redeliveryMax) => {
        const pair = new Pair(strategy, redeliveryMax);
        for (const step of script) pair.run(step);
        pair.drain();
      }),
      { seed: 20_261_120, numRuns: 300 },
    );
  });

  test.each(STRATEGIES)('%s: nobody gets what he does not take, and who takes it gets it', (strategy) => {
    fc.assert(
      fc.property(stepsOfSizes, fc.constantFrom(3, 1_000), (script, redeliveryMax) => {
        const pair = new Pair(strategy, redeliveryMax);
        for (const step of script) pair.run(step);
        pair.drain();
      }),
      { seed: 20_261_122, numRuns: 300 },
    );
  });
});

describe('who gets how many', () => {
  test('round_robin is exact over many consumers, joins and leaves among them', () => {
    const dispatcher = makeDispatcher('round_robin');
    const counts = new Map<number, number>();
    for (let id = 1; id <= 100; id++) dispatcher.attach(id, 1_000);
    for (let offset = 0; offset < 700; offset++) {
      const id = dispatcher.offer(freshRef(offset), 0);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    expect(new Set(counts.values())).toEqual(new Set([7]));
    // A join and a leave for every record: the round goes on where it stood.
    for (let i = 0; i < 1_000; i++) {
      // Who joins after the hundredth was served stands behind it, and is next; so nobody joins there.
      if (i % 100 !== 0) dispatcher.attach(1_000 + i, 1);
      expect(dispatcher.offer(freshRef(700 + i), 0)).toBe((i % 100) + 1);
      dispatcher.detach(1_000 + i, []);
    }
  });

  test('least_inflight levels out to a difference of one, whatever the start', () => {
    const dispatcher = makeDispatcher('least_inflight');
    dispatcher.attach(1, 500);
    for (let offset = 0; offset < 50; offset++) dispatcher.offer(freshRef(offset), 0);
    dispatcher.attach(2, 500);
    dispatcher.attach(3, 500);
    for (let offset = 50; offset < 153; offset++) dispatcher.offer(freshRef(offset), 0);
    expect([...dispatcher.consumers()].map((each) => each.held)).toEqual([51, 51, 51]);
  });

  test('random is uniform over those with room, also after one is full', () => {
    const dispatcher = makeDispatcher('random', 5);
    for (let id = 1; id <= 4; id++) dispatcher.attach(id, id === 4 ? 100 : 100_000);
    for (let offset = 0; offset < 30_400; offset++) dispatcher.offer(freshRef(offset), 0);
    const held = [...dispatcher.consumers()].map((each) => each.held);
    expect(held[3]).toBe(100);
    // Standard deviation of a count is about 82: five of them.
    for (const count of held.slice(0, 3)) expect(Math.abs(count - 10_100)).toBeLessThan(410);
  });

  test('random passes over the rejecter and stays uniform over the others', () => {
    const dispatcher = makeDispatcher('random', 9);
    const counts = [0, 0, 0, 0];
    for (let id = 1; id <= 3; id++) dispatcher.attach(id, 10);
    for (let offset = 0; offset < 9_000; offset++) {
      const first = dispatcher.offer(freshRef(offset), 0);
      dispatcher.reject(first, offset, 0);
      const second = dispatcher.nextRedelivery(0)?.consumerId as number;
      expect(second).not.toBe(first);
      counts[second] = (counts[second] as number) + 1;
      dispatcher.accept(second, offset, 0);
    }
    for (const count of counts.slice(1)) expect(Math.abs(count - 3_000)).toBeLessThan(240);
  });
});

describe('statistics and misuse', () => {
  test('the oldest held is known, and moves on when it is settled', () => {
    const dispatcher = makeDispatcher('round_robin');
    dispatcher.attach(1, 3);
    for (let offset = 0; offset < 3; offset++) dispatcher.offer(freshRef(offset), 1_000 + offset);
    expect([...dispatcher.consumers()][0]?.oldestHeldSinceMs).toBe(1_000);
    expect(dispatcher.acceptedMsOf(1)).toBe(Number.NEGATIVE_INFINITY);
    dispatcher.accept(1, 1, 2_000);
    expect(dispatcher.acceptedMsOf(1)).toBe(2_000);
    expect([...dispatcher.consumers()][0]?.oldestHeldSinceMs).toBe(1_000);
    dispatcher.accept(1, 0, 2_001);
    expect([...dispatcher.consumers()][0]?.oldestHeldSinceMs).toBe(1_002);
    dispatcher.unassign(1, 2);
    expect([...dispatcher.consumers()][0]?.oldestHeldSinceMs).toBeUndefined();
    // Taken back, and not acknowledged.
    expect(dispatcher.acceptedMsOf(1)).toBe(2_001);
  });

  test('an unknown consumer changes nothing', () => {
    const dispatcher = makeDispatcher('random');
    const returned = [freshRef(1)];
    dispatcher.setWindow(5, 3);
    dispatcher.detach(5, returned);
    expect(returned).toEqual([]);
    expect(dispatcher.accept(5, 0, 0)).toBeUndefined();
    expect(dispatcher.room()).toBe(0);
  });

  test('two owners of one id or one record would be a bug', () => {
    const dispatcher = makeDispatcher('random');
    dispatcher.attach(1, 3);
    expect(() => dispatcher.attach(1, 3)).toThrow('attached twice');
    expect(() => dispatcher.attach(0, 3)).toThrow('nobody');
    dispatcher.offer(freshRef(0), 0);
    expect(() => dispatcher.offer(freshRef(0), 0)).toThrow('offered once');
  });
});

describe('the bound in bytes of what one consumer holds', () => {
  const ref = (offset: number, sizeBytes: number): DeliveryRef => ({ ...freshRef(offset), sizeBytes });

  for (const strategy of STRATEGIES) {
    test(`${strategy}: others go on, and it has room again when it has answered`, () => {
      const dispatcher = new Dispatcher({
        strategy,
        prng: new SeededPrng(1),
        redispatchIntervalMs: 100,
        consumerBytesMax: 100,
      });
      dispatcher.attach(1, 10);
      expect([0, 1, 2].map((offset) => dispatcher.offer(ref(offset, 60), 0))).toEqual([1, 1, 0]);
      expect(dispatcher.room()).toBe(0);
      dispatcher.attach(2, 10);
      expect(dispatcher.offer(ref(2, 1000), 0)).toBe(2);
      // One record is handed out however large it is; nothing after it.
      expect(dispatcher.offer(ref(3, 1), 0)).toBe(0);
      expect(dispatcher.reject(1, 0, 0)?.sizeBytes).toBe(60);
      expect(dispatcher.room()).toBe(9);
      expect(dispatcher.offer(ref(3, 1), 0)).toBe(1);
      dispatcher.accept(2, 2, 0);
      expect(dispatcher.nextRedelivery(0)).toMatchObject({ consumerId: 2, ref: { offset: 0 } });
    });
  }

  test('a consumer never holds a record more than the bound allows, whatever happens', () => {
    const happens = fc.record({
      do: fc.constantFrom('offer', 'offer', 'offer', 'accept', 'reject', 'redeliver', 'detach'),
      who: fc.constantFrom(1, 2, 3),
      sizeBytes: fc.integer({ min: 0, max: 80 }),
    });
    fc.assert(
      fc.property(fc.array(happens, { maxLength: 150 }), (all) => {
        const dispatcher = new Dispatcher({
          strategy: 'round_robin',
          prng: new SeededPrng(1),
          redispatchIntervalMs: 0,
          consumerBytesMax: 100,
        });
        for (const who of [1, 2, 3]) dispatcher.attach(who, 5);
        let offset = 0;
        for (const [nowMs, { do: what, who, sizeBytes }] of all.entries()) {
          const held = dispatcher.holdings(who)[0]?.offset ?? -1;
          if (what === 'offer' && dispatcher.offer(ref(offset, sizeBytes), nowMs) !== 0) offset++;
          else if (what === 'accept') dispatcher.accept(who, held, 0);
          else if (what === 'reject') dispatcher.reject(who, held, nowMs);
          else if (what === 'redeliver') dispatcher.nextRedelivery(nowMs);
          else if (what === 'detach') {
            dispatcher.detach(who, []);
            dispatcher.attach(who, 5);
          }
          let room = 0;
          for (const consumer of [1, 2, 3]) {
            const sizes = dispatcher.holdings(consumer).map((record) => record.sizeBytes);
            const bytes = sizes.reduce((sum, size) => sum + size, 0);
            expect(bytes).toBeLessThan(100 + 80);
            if (bytes < 100) room += 5 - sizes.length;
          }
          expect(dispatcher.room()).toBe(room);
        }
      }),
      { seed: 20261120, numRuns: 300 },
    );
  });
});
