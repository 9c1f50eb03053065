import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { DispatchStrategy } from '@sluice/meta/queue-definition';
import type { TestConsumer } from '../support/test-consumer.ts';
import { rest, TestStore, until } from '../support/test-store.ts';

let store: TestStore;
beforeEach(async () => {
  store = await TestStore.start();
});
afterEach(async () => {
  await store.remove();
});

/** Between what `small` and what `large` make. */
const LIMIT = 1_000;
const large = (name: string): string => name.padEnd(2 * LIMIT, '.');
const names = (consumer: TestConsumer): string[] => consumer.texts.map((text) => text.replace(/\.+$/, ''));
const limited = (window = 10): TestConsumer => store.attach(1, window, [], LIMIT);
const tooLarge = (): number | undefined => store.partition(1).dispatches.get(1)?.load.tooLargeCount;

describe.each<DispatchStrategy>(['random', 'round_robin', 'least_inflight'])('%s', (dispatchStrategy) => {
  test('goes only to who takes it, and holds up nothing behind it', async () => {
    await store.define({ dispatchStrategy });
    const consumer = limited();
    await store.publish(1, [large('L1'), 's1', large('L2'), 's2']);
    await consumer.received(2);
    await rest();
    expect(names(consumer)).toEqual(['s1', 's2']);
    expect(tooLarge()).toBe(2);
    const big = store.attach(1);
    await big.received(2);
    expect(names(big)).toEqual(['L1', 'L2']);
    expect(tooLarge()).toBe(0);
    big.acceptAll();
    consumer.acceptAll();
    await until(async () => (await store.statistics(1)).depth === 0, 'all are settled');
  });

  test('waits for one that takes it and is busy, and is the first that he gets', async () => {
    await store.define({ dispatchStrategy });
    const big = store.attach(1, 1);
    await store.publish(1, [large('L1')]);
    await big.received(1);
    const small = limited(10);
    await store.publish(1, [large('L2'), 's1', large('L3'), 's2']);
    expect(await small.received(2)).toEqual(['s1', 's2']);
    big.accept(0);
    await big.received(2);
    expect(names(big)).toEqual(['L1', 'L2']);
    expect(tooLarge()).toBe(0);
  });
});

test('what a worker gives back, or leaves, goes to no one who does not take it', async () => {
  await store.define();
  const small = limited();
  const first = store.attach(1);
  const second = store.attach(1);
  await store.publish(1, [large('L')]);
  await until(() => first.texts.length + second.texts.length === 1, 'one has it');
  const [holder, other] = first.texts.length === 1 ? [first, second] : [second, first];
  holder.reject(0);
  await other.received(1);
  other.detach();
  await holder.received(2);
  expect(small.texts).toEqual([]);
  expect(holder.delivered.map(({ count }) => count)).toEqual([1, 3]);
});

test('who rejects it and is alone in taking it gets it again, beside one that does not take it', async () => {
  await store.define({ redispatchIntervalMs: 5 });
  const small = limited();
  const big = store.attach(1);
  await store.publish(1, [large('L')]);
  await big.received(1);
  big.reject(0);
  await big.received(2);
  expect(small.texts).toEqual([]);
});

test('is not held by its store any longer than it lives: dropped, it is not waited for', async () => {
  await store.define();
  const small = limited();
  await store.publish(1, [large('L1'), 's1']);
  await store.publish(1, [large('L2')], { expiresAtMs: store.clock.nowMs() + 1_000 });
  await small.received(1);
  small.acceptAll();
  await until(() => tooLarge() === 2, 'both wait');
  await store.purge(1);
  await until(() => tooLarge() === 0, 'none waits');
  await store.publish(1, ['s2', large('L3')]);
  expect(await small.received(2)).toEqual(['s1', 's2']);
  const big = store.attach(1);
  await big.received(1);
  expect(names(big)).toEqual(['L3']);
});

test('a value that is replaced while nobody takes it is not handed out', async () => {
  await store.define({ isLastValue: true });
  const small = limited();
  await store.publish(1, [large('a=1'), 'b=1']);
  expect(await small.received(1)).toEqual(['b=1']);
  await store.publish(1, [large('a=2')]);
  await until(() => tooLarge() === 1, 'the newer one waits alone');
  await store.publish(1, ['a=3']);
  expect(await small.received(2)).toEqual(['b=1', 'a=3']);
  expect(tooLarge()).toBe(0);
  const big = store.attach(1);
  await store.publish(1, [large('c=1')]);
  await big.received(1);
  expect(names(big)).toEqual(['c=1']);
});

test('it expires in its place', async () => {
  await store.define();
  const small = limited();
  await store.publish(1, [large('old')], { expiresAtMs: store.clock.nowMs() + 1_000 });
  await until(() => tooLarge() === 1, 'it waits');
  store.skewMs = 2_000;
  const big = store.attach(1);
  await until(async () => (await store.statistics(1)).expiredTotal === 1, 'it counts as expired');
  expect([...small.texts, ...big.texts]).toEqual([]);
});

test('a limit that comes later, or is lifted', async () => {
  await store.define();
  const consumer = store.attach(1);
  consumer.limit(LIMIT);
  await store.publish(1, [large('L1'), 's1']);
  expect(await consumer.received(1)).toEqual(['s1']);
  consumer.limit(0);
  await consumer.received(2);
  expect(names(consumer)).toEqual(['s1', 'L1']);
});

test('what its gateway says is too large goes to one with a larger limit, once, its delivery count as it was', async () => {
  await store.define();
  const small = limited();
  const alike = limited();
  await store.publish(1, ['just so']);
  await until(() => small.texts.length + alike.texts.length === 1, 'one has it');
  (small.texts.length === 1 ? small : alike).tooLarge(0);
  await until(() => tooLarge() === 1, 'the other does not take it either');
  const big = store.attach(1);
  await big.received(1);
  expect(big.delivered).toEqual([{ offset: 0, count: 1, text: 'just so' }]);
  expect(small.texts.length + alike.texts.length).toBe(1);
});

test('from the bound on the next one waits in its place, with what is behind it, and all come when somebody takes them', async () => {
  await store.define();
  const small = limited(10_000);
  // A kilobyte above the limit would be much to store, so many times.
  small.limit(40);
  const many = Array.from({ length: 4_200 }, (_, i) => `a job of somewhat more than forty bytes: ${i}`);
  for (let i = 0; i < many.length; i += 700) await store.publish(1, many.slice(i, i + 700));
  await store.publish(1, ['s']);
  await until(() => tooLarge() === 4_096, 'as many as there may be');
  await rest();
  expect(small.texts).toEqual([]);
  const big = store.attach(1, 5_000);
  await until(() => big.texts.length + small.texts.length === 4_201, 'all came');
  expect(big.texts.filter((text) => text !== 's')).toEqual(many);
});

test('a new leader finds them again', async () => {
  await store.define();
  limited();
  await store.publish(1, [large('L'), 's']);
  await until(() => tooLarge() === 1, 'it waits');
  await store.restart();
  store.reconnect();
  const small = limited();
  expect(await small.received(1)).toEqual(['s']);
  const big = store.attach(1);
  await big.received(1);
  expect(names(big)).toEqual(['L']);
});
