import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TestConsumer } from './support/test-consumer.ts';
import { rest, TestStore, until } from './support/test-store.ts';

/**
 * A store under random publishers, consumers and operators, beside a model that is nothing but sets. What must hold
 * whatever happens in whatever order: nobody is handed what was purged, superseded or accepted before the step began;
 * nobody holds more than a window; and in the end exactly what was published and not taken away has been accepted.
 */
type Step =
  | { do: 'publish'; count: number; keys: number }
  | { do: 'attach'; window: number }
  | { do: 'accept' | 'reject'; consumer: number; share: number }
  | { do: 'detach'; consumer: number }
  | { do: 'window'; consumer: number; window: number }
  | { do: 'hold' | 'release' | 'purge' | 'restart' | 'reconnect' | 'rest' };

const consumer = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      count: fc.integer({ min: 1, max: 8 }),
      keys: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('attach' as const), window: fc.nat(5) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('accept' as const, 'reject' as const),
      consumer,
      share: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('detach' as const), consumer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('window' as const), consumer, window: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('hold' as const, 'release' as const, 'rest' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('purge' as const, 'restart' as const, 'reconnect' as const) }),
  },
);

class World {
  readonly store: TestStore;
  readonly #isLastValue: boolean;
  /** Published and not purged, superseded or accepted: what the queue must hold. By text. */
  readonly live = new Set<string>();
  readonly accepted = new Map<string, number>();
  #consumers: { handle: TestConsumer; window: number; answered: number }[] = [];
  #published = 0;

  constructor(store: TestStore, isLastValue: boolean) {
    this.store = store;
    this.#isLastValue = isLastValue;
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) {
      await this.#step(one);
      await rest(2);
      for (const { handle, window, answered } of this.#consumers) {
        expect(handle.delivered.length - answered).toBeLessThanOrEqual(window);
      }
    }
    await this.#finish();
  }

  async #step(one: Step): Promise<void> {
    switch (one.do) {
      case 'publish':
        return await this.#publish(one.count, one.keys);
      case 'attach':
        this.#consumers.push({ handle: this.store.attach(1, one.window), window: one.window, answered: 0 });
        return;
      case 'accept':
      case 'reject':
        return this.#answer(one.consumer, one.share, one.do === 'accept');
      case 'detach':
        this.#consumers[one.consumer]?.handle.detach();
        this.#consumers.splice(one.consumer, 1);
        return;
      case 'window': {
        const at = this.#consumers[one.consumer];
        at?.handle.window(one.window);
        // What it holds beyond a lowered window stays with it.
        if (at !== undefined) at.window = Math.max(at.window, one.window);
        return;
      }
      case 'hold':
        return this.store.engine.hold();
      case 'release':
        return this.store.engine.release();
      case 'rest':
        return await rest();
      case 'purge':
        this.store.engine.release();
        await this.store.purge(1);
        this.live.clear();
        return;
      case 'reconnect':
        this.store.reconnect();
        this.#consumers = [];
        return;
      case 'restart':
        this.store.engine.release();
        await rest();
        await this.store.restart();
        this.#consumers = [];
    }
  }

  async #publish(count: number, keys: number): Promise<void> {
    const texts: string[] = [];
    for (let i = 0; i < count; i++) {
      const number = ++this.#published;
      const key = `k${number % keys}`;
      texts.push(`${key}=${number}`);
      if (this.#isLastValue) for (const text of this.live) if (text.startsWith(`${key}=`)) this.live.delete(text);
      this.live.add(texts.at(-1) as string);
    }
    await this.store.publish(1, texts);
  }

  #answer(index: number, share: number, accept: boolean): void {
    const at = this.#consumers[index];
    if (at === undefined) return;
    for (const { offset, text } of at.handle.delivered.slice(at.answered, at.answered + share)) {
      at.answered++;
      if (accept) {
        at.handle.accept(offset);
        this.accepted.set(text, (this.accepted.get(text) ?? 0) + 1);
        this.live.delete(text);
      } else at.handle.reject(offset);
    }
  }

  /** One consumer takes the rest: it gets exactly what must be there. */
  async #finish(): Promise<void> {
    this.store.engine.release();
    this.store.reconnect();
    this.#consumers = [];
    await rest();
    const last = this.store.attach(1, 1000);
    const settled = async (): Promise<boolean> => {
      for (const { offset } of last.delivered) last.accept(offset);
      return (await this.store.statistics(1)).depth === 0;
    };
    await until(settled, 'the queue is empty');
    await rest();
    expect(new Set(last.texts)).toEqual(this.live);
    expect(last.texts).toHaveLength(this.live.size);
    for (const [text, count] of this.accepted) expect([text, count]).toEqual([text, 1]);
  }
}

test.each([
  ['a regular queue', false],
  ['a last-value queue', true],
])('%s: nothing is lost, handed out beyond a window, or handed out again', async (_name, isLastValue) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 40 }),
      fc.constantFrom('random' as const, 'round_robin' as const, 'least_inflight' as const),
      async (steps, dispatchStrategy) => {
        const store = await TestStore.start();
        try {
          await store.define({ isLastValue, dispatchStrategy, redispatchIntervalMs: 1 });
          await new World(store, isLastValue).run(steps);
        } finally {
          await store.remove();
        }
      },
    ),
    { numRuns: 20, seed: 20_261_120, endOnFailure: true },
  );
});
