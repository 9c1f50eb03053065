import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueDispatch } from '../../src/dispatch/queue-dispatch.ts';
import { SettleBacklog } from '../../src/settle/settle-backlog.ts';
import { HeldReads } from '../support/held-reads.ts';
import { rest, TestStore, until } from '../support/test-store.ts';

let store: TestStore;
beforeEach(async () => {
  store = await TestStore.start();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await store.remove();
});

/** Of `TestStore`. */
const CACHE_BYTES = 1024 * 1024;

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i + 1));

describe('handing out', () => {
  test('in order, up to the window, the next as soon as one is accepted', async () => {
    await store.define();
    await store.publish(1, numbers(5));
    const consumer = store.attach(1, 2);
    expect(await consumer.received(2)).toEqual(['1', '2']);
    await rest();
    expect(consumer.texts).toEqual(['1', '2']);
    consumer.accept(0);
    expect(await consumer.received(3)).toEqual(['1', '2', '3']);
    expect(await store.statistics(1)).toMatchObject({ inflight: 2, consumers: 1 });
  });

  test('a window of 0 takes nothing, and everything once it is opened', async () => {
    await store.define();
    const consumer = store.attach(1, 0);
    await store.publish(1, numbers(3));
    await rest();
    expect(consumer.texts).toEqual([]);
    consumer.window(10);
    expect(await consumer.received(3)).toEqual(['1', '2', '3']);
  });

  test('a window lowered below what is held takes nothing back and stops', async () => {
    await store.define();
    await store.publish(1, numbers(6));
    const consumer = store.attach(1, 3);
    await consumer.received(3);
    consumer.window(1);
    consumer.accept(0, 1);
    await rest();
    expect(consumer.texts).toEqual(['1', '2', '3']);
    consumer.accept(2);
    expect(await consumer.received(4)).toEqual(['1', '2', '3', '4']);
  });

  test('a backlog of many rows goes out whole and in order, whatever the steps of the pump', async () => {
    await store.define();
    const texts = numbers(300);
    await store.publishEach(1, texts.slice(0, 200));
    await store.publish(1, texts.slice(200));
    const consumer = store.attach(1, 1000);
    expect(await consumer.received(300)).toEqual(texts);
    consumer.acceptAll();
    await until(async () => (await store.statistics(1)).depth === 0, 'all are settled');
  });

  test.each([1000, 8])('a backlog on disk is read many entries at a time, with a window of %d', async (window) => {
    await store.define();
    await store.publishEach(1, numbers(200));
    await store.restart();
    const { entryLog } = store;
    const read = entryLog.readNear.bind(entryLog);
    let reads = 0;
    entryLog.readNear = (...range) => {
      reads++;
      return read(...range);
    };
    const consumer = store.attach(1, window);
    for (let count = Math.min(window, 200); ; count = Math.min(count + window, 200)) {
      await consumer.received(count);
      if (count === 200) break;
      consumer.acceptAll();
    }
    expect(consumer.texts).toEqual(numbers(200));
    expect(reads).toBeLessThan(15);
  });

  test('of a backlog larger than memory the first entries are in it, and from the last ones on what is new again', async () => {
    await store.define();
    const text = 'x'.repeat(16 * 1024);
    const count = (2 * CACHE_BYTES) / text.length;
    await store.publishEach(1, Array(count).fill(text));
    const { entryLog } = store;
    const readNear = jest.spyOn(entryLog, 'readNear');
    const consumer = store.attach(1, count / 4);
    await consumer.received(count / 4);
    expect(readNear).not.toHaveBeenCalled();
    for (let taken = count / 2; taken <= count; taken += count / 4) {
      consumer.acceptAll();
      await consumer.received(taken);
    }
    expect(readNear).toHaveBeenCalled();
    consumer.acceptAll();
    await until(async () => (await store.statistics(1)).depth === 0, 'all are settled');
    readNear.mockClear();
    await store.publish(1, ['new']);
    expect((await consumer.received(count + 1)).at(-1)).toBe('new');
    expect(readNear).not.toHaveBeenCalled();
  });

  test('publishers of a queue with a backlog and quick workers are all answered, and nothing is lost', async () => {
    await store.define();
    for (let i = 0; i < 10; i++) await store.publish(1, numbers(1000));
    const consumer = store.attach(1, 500);
    const publishing = (async () => {
      for (let i = 0; i < 50; i++) await store.publish(1, numbers(100));
    })();
    for (let count = 500; count <= 15_000; count += 500) {
      await consumer.received(count);
      consumer.acceptAll();
    }
    await publishing;
    expect(consumer.texts.slice(-5000)).toEqual(Array.from({ length: 50 }, () => numbers(100)).flat());
  });

  test('rows that were settled out of order are passed over, more of them than one step reads', async () => {
    await store.define();
    await store.publishEach(1, numbers(200));
    const first = store.attach(1, 200);
    await first.received(200);
    first.accept(...Array.from({ length: 199 }, (_, i) => i + 1));
    await until(async () => (await store.statistics(1)).depth === 1, 'all but the first are settled');
    await store.restart();
    expect(await store.attach(1).received(1)).toEqual(['1']);
    await store.publish(1, ['new']);
    const next = store.attach(1);
    expect(await next.received(1)).toEqual(['new']);
  });

  test('an expired record is not delivered, and its place is free for the next', async () => {
    await store.define();
    await store.publish(1, ['old'], { expiresAtMs: store.clock.nowMs() + 1000 });
    await store.publish(1, ['new']);
    store.skewMs = 2000;
    const consumer = store.attach(1, 1);
    expect(await consumer.received(1)).toEqual(['new']);
    await until(async () => (await store.statistics(1)).expiredTotal === 1, 'it counts as expired');
  });

  test('asks no clock again for each queue of a turn', async () => {
    await store.define();
    const consumer = store.attach(1);
    const { pump } = QueueDispatch.prototype;
    let isPumping = false;
    let pumps = 0;
    jest.spyOn(QueueDispatch.prototype, 'pump').mockImplementation(function (this: QueueDispatch) {
      pumps++;
      isPumping = true;
      pump.call(this);
      isPumping = false;
    });
    let asked = 0;
    const { clock } = store;
    const { nowMs } = clock;
    jest.spyOn(clock, 'nowMs').mockImplementation(() => {
      if (isPumping) asked++;
      return nowMs.call(clock);
    });
    await store.publish(1, numbers(3));
    expect(await consumer.received(3)).toEqual(numbers(3));
    expect([pumps > 0, asked]).toEqual([true, 0]);
  });

  test('a changed strategy acts on the next record', async () => {
    await store.define();
    const [a, b] = [store.attach(1, 10), store.attach(1, 10)];
    await store.publish(1, numbers(4));
    await a.received(2);
    await b.received(2);
    a.acceptAll();
    await until(async () => (await store.statistics(1)).inflight === 2, 'a holds nothing');
    await store.define({ dispatchStrategy: 'least_inflight' });
    await store.publish(1, ['5', '6']);
    expect(await a.received(4)).toEqual(['1', '3', '5', '6']);
  });
});

describe('giving back', () => {
  test('what a consumer held when it left goes to another at once, counted', async () => {
    await store.define();
    await store.publish(1, numbers(3));
    const leaving = store.attach(1);
    await leaving.received(3);
    const staying = store.attach(1);
    leaving.detach();
    expect(await staying.received(3)).toEqual(['1', '2', '3']);
    expect(staying.delivered.map(({ count }) => count)).toEqual([2, 2, 2]);
    await until(async () => (await store.statistics(1)).returnedTotal === 3, 'the log knows');
  });

  test('what was still being read for a consumer that left was delivered to nobody, and counts as that', async () => {
    await store.define();
    await store.publishEach(1, numbers(3));
    await store.restart();
    const reads = new HeldReads(store.entryLog);
    const leaving = store.attach(1);
    await reads.asked();
    leaving.detach();
    const staying = store.attach(1);
    await rest();
    reads.release();
    expect(await staying.received(3)).toEqual(['1', '2', '3']);
    expect([leaving.texts, staying.delivered.map(({ count }) => count)]).toEqual([[], [1, 1, 1]]);
    staying.acceptAll();
    await until(async () => (await store.statistics(1)).depth === 0, 'all are settled');
    expect((await store.statistics(1)).returnedTotal).toBe(0);
    expect(store.partition(1).dispatches.counts(1)).toMatchObject({ delivered: 3, redelivered: 0 });
  });

  test('an answer after leaving says nothing', async () => {
    await store.define();
    await store.publish(1, ['1']);
    const leaving = store.attach(1);
    await leaving.received(1);
    leaving.detach();
    leaving.accept(0);
    expect(await store.attach(1).received(1)).toEqual(['1']);
  });

  test('a gateway that dies gives back what all its consumers held', async () => {
    await store.define();
    await store.publish(1, numbers(4));
    const consumers = [store.attach(1, 2), store.attach(1, 2)];
    for (const consumer of consumers) await consumer.received(2);
    store.reconnect();
    expect(await store.attach(1).received(4)).toEqual(['1', '2', '3', '4']);
  });

  test('a rejected record goes to the other consumer at once, and not to the rejecter', async () => {
    await store.define({ redispatchIntervalMs: 60_000 });
    const [a, b] = [store.attach(1), store.attach(1)];
    await store.publish(1, ['1']);
    await a.received(1);
    a.reject(0);
    expect(await b.received(1)).toEqual(['1']);
    expect(b.delivered[0]?.count).toBe(2);
    expect(a.texts).toEqual(['1']);
  });

  test('a sole rejecter gets it again, not before the interval, with the count raised', async () => {
    const intervalMs = 3_600_000;
    await store.define({ redispatchIntervalMs: intervalMs });
    const consumer = store.attach(1);
    await store.publish(1, ['1']);
    await consumer.received(1);
    consumer.reject(0);
    await until(async () => (await store.statistics(1)).inflight === 0, 'it is given back');
    store.sleepMs += intervalMs - 60_000;
    await store.publish(1, ['2']);
    await consumer.received(2);
    store.sleepMs += 60_000;
    await store.publish(1, ['3']);
    await consumer.received(4);
    expect(consumer.texts.slice(0, 2)).toEqual(['1', '2']);
    expect(consumer.delivered.filter(({ text }) => text === '1').map(({ count }) => count)).toEqual([1, 2]);
  });

  test('an interval that was changed acts on the next rejection', async () => {
    await store.define({ redispatchIntervalMs: 60_000 });
    const consumer = store.attach(1);
    await store.publish(1, ['1']);
    await consumer.received(1);
    await store.define({ redispatchIntervalMs: 1 });
    consumer.reject(0);
    expect(await consumer.received(2)).toEqual(['1', '1']);
  });

  test('counts and the order survive a restart', async () => {
    await store.define();
    await store.publish(1, numbers(3));
    const consumer = store.attach(1);
    await consumer.received(3);
    consumer.accept(1);
    consumer.detach();
    await until(async () => (await store.statistics(1)).returnedTotal === 2, 'the log knows');
    await store.restart();
    const again = store.attach(1);
    expect(await again.received(2)).toEqual(['1', '3']);
    expect(again.delivered.map(({ count }) => count)).toEqual([2, 2]);
  });
});

describe('while a pump waits for the disk', () => {
  /** A pump has read the rows of queue 1 and waits for the answer. After a restart: what was just written is not read. */
  async function pumpThatWaits(): Promise<ReturnType<TestStore['attach']>> {
    await store.restart();
    store.engine.hold();
    const consumer = store.attach(1);
    await until(() => store.engine.waiting > 0, 'the pump reads');
    return consumer;
  }

  test('a value superseded meanwhile is handed to nobody', async () => {
    await store.define({ isLastValue: true });
    await store.publish(1, ['a=1']);
    const consumer = await pumpThatWaits();
    await store.publish(1, ['a=2']);
    await rest();
    store.engine.release();
    await until(() => consumer.texts.includes('a=2'), 'the new value');
    await rest();
    expect(consumer.texts).toEqual(['a=2']);
    consumer.acceptAll();
    await until(async () => (await store.statistics(1)).inflight === 0, 'no place is lost');
  });

  test('a consumer that leaves meanwhile gets nothing, and nothing is lost', async () => {
    await store.define();
    await store.publish(1, numbers(3));
    const leaving = await pumpThatWaits();
    leaving.detach();
    await rest();
    const staying = store.attach(1);
    store.engine.release();
    expect(await staying.received(3)).toEqual(['1', '2', '3']);
    expect(leaving.texts).toEqual([]);
  });

  test('what a newer channel of their gateway says that it has is not sent to the older one', async () => {
    await store.define();
    await store.publishEach(1, numbers(2));
    await store.restart();
    const reads = new HeldReads(store.entryLog);
    const former = store.attach(1);
    await reads.asked();
    const newer = store.transport.open(1, 'consume');
    const held = [{ offset: 0, rowBase: 0, deliveryCount: 1, sizeBytes: 1 }];
    const asked = { consumerId: 9, partition: 1, queueId: 1, window: 1, clientId: 'newer', generation: 0 };
    newer.send({ type: 'attach', ...asked, held });
    await rest();
    reads.release();
    expect(await former.received(1)).toEqual(['2']);
    await rest();
    expect(former.texts).toEqual(['2']);
    expect(await store.statistics(1)).toMatchObject({ inflight: 2 });
    newer.close();
    expect(await former.received(2)).toEqual(['2', '1']);
  });

  test('purged records are not delivered later, and their places are free', async () => {
    await store.define();
    await store.publish(1, numbers(20));
    const consumer = store.attach(1, 3);
    await consumer.received(3);
    expect(await store.purge(1)).toBe(20);
    consumer.acceptAll();
    await rest();
    expect(consumer.texts).toEqual(['1', '2', '3']);
    expect(await store.statistics(1)).toMatchObject({ depth: 0, inflight: 0, purgedTotal: 20 });
    await store.publish(1, ['new']);
    expect((await consumer.received(4))[3]).toBe('new');
  });

  test('records dropped while the bytes of their entry are read go to nobody, and those that are left go out', async () => {
    await store.define({ limits: { countMax: 3, bytesMax: null, overflow: 'drop_oldest' } });
    await store.publishEach(1, numbers(3));
    await store.restart();
    const reads = new HeldReads(store.entryLog);
    const consumer = store.attach(1);
    await reads.asked();
    await store.publishEach(1, ['4', '5']);
    await until(async () => (await store.statistics(1)).depth === 3, 'the oldest two are gone');
    reads.release();
    expect(await consumer.received(3)).toEqual(['3', '4', '5']);
    consumer.acceptAll();
    await until(async () => (await store.statistics(1)).inflight === 0, 'no place is lost');
  });

  test('a purged record that was given back is redelivered to nobody', async () => {
    await store.define();
    await store.publish(1, numbers(3));
    const leaving = store.attach(1);
    await leaving.received(3);
    leaving.detach();
    await rest();
    expect(await store.purge(1)).toBe(3);
    const next = store.attach(1, 1);
    await store.publish(1, ['new']);
    expect(await next.received(1)).toEqual(['new']);
  });

  test('a queue that is removed tells its consumers, and one of the same name begins empty', async () => {
    await store.define();
    await store.publish(1, numbers(3));
    const consumer = await pumpThatWaits();
    const removed = store.undefine(1);
    await until(() => consumer.detachedBecause === 'queue-removed', 'it is told');
    store.engine.release();
    await removed;
    await rest();
    // What was read for it meanwhile is for nobody.
    expect(consumer.texts).toEqual([]);
    await store.define({ queueId: 2 });
    await store.publish(2, ['new']);
    expect(await store.attach(2).received(1)).toEqual(['new']);
    expect(await store.stored(2)).toEqual(['new']);
  });

  test('a queue that was removed takes no consumer of a gateway that has not heard of that, and keeps nothing for it', async () => {
    await store.define();
    await store.undefine(1);
    const late = store.attach(1);
    await until(() => late.detachedBecause === 'queue-removed', 'it is told');
    expect([...store.partition(1).dispatches.queueIds()]).toEqual([]);
  });
});

describe('rows at hand', () => {
  test('consumers that keep up read nothing', async () => {
    await store.define();
    const consumer = store.attach(1);
    await rest();
    // A pump that asks the engine now waits for ever. Others may ask: what sweeps the queues comes once a second.
    store.engine.hold();
    for (const text of numbers(30)) {
      await store.publish(1, [text]);
      await consumer.received(Number(text));
      consumer.acceptAll();
    }
    expect(consumer.texts).toEqual(numbers(30));
  });

  test('are given up when the last consumer leaves: ten thousand queues whose workers left hold nothing', async () => {
    await store.define();
    await store.publishEach(1, numbers(5));
    await store.restart();
    const { index } = store.partition(1);
    const rowsFrom = index.rowsFrom.bind(index);
    let reads = 0;
    index.rowsFrom = (...range) => {
      reads++;
      return rowsFrom(...range);
    };
    const leaving = store.attach(1, 1);
    await leaving.received(1);
    leaving.detach();
    await rest();
    reads = 0;
    const next = store.attach(1, 2);
    expect(await next.received(2)).toEqual(['1', '2']);
    expect(reads).toBeGreaterThan(0);
  });

  test('a value superseded while it waits in them for room is handed to nobody', async () => {
    for (const restarted of [false, true]) {
      const queueId = restarted ? 2 : 1;
      await store.define({ queueId, isLastValue: true });
      await store.publish(queueId, ['a=1', 'b=1', 'c=1']);
      if (restarted) await store.restart();
      const consumer = store.attach(queueId, 1);
      expect(await consumer.received(1)).toEqual(['a=1']);
      await store.publish(queueId, ['b=2']);
      consumer.window(10);
      expect(await consumer.received(3)).toEqual(['a=1', 'c=1', 'b=2']);
      await rest();
      expect(consumer.texts).toEqual(['a=1', 'c=1', 'b=2']);
    }
  });

  test('a purge while the rest of a row waits for room, and new records behind it', async () => {
    await store.define();
    await store.publish(1, numbers(10));
    await store.restart();
    const consumer = store.attach(1, 1);
    await consumer.received(1);
    expect(await store.purge(1)).toBe(10);
    await store.publish(1, ['new']);
    consumer.window(10);
    expect(await consumer.received(2)).toEqual(['1', 'new']);
    await rest();
    expect(consumer.texts).toEqual(['1', 'new']);
  });
});

describe('a record that cannot be read', () => {
  test('holds the queue still, says so, and goes on when it can be read again', async () => {
    await store.define();
    await store.publishEach(1, ['1', '2']);
    await store.restart();
    const read = store.entryLog.readNear.bind(store.entryLog);
    let failing = true;
    let attempts = 0;
    store.entryLog.readNear = async (...args) => {
      attempts++;
      if (failing) throw new Error('EIO: the disk says no');
      return await read(...args);
    };
    const consumer = store.attach(1, 1);
    await until(() => store.store.problems().length > 0, 'health knows');
    expect(store.store.problems()[0]).toContain('EIO');
    await store.publish(1, ['3']);
    await rest();
    expect(consumer.texts).toEqual([]);
    failing = false;
    expect(await consumer.received(1)).toEqual(['1']);
    expect(attempts).toBeGreaterThan(1);
    await until(() => store.store.problems().length === 0, 'health recovers');
    consumer.accept(0);
    expect((await consumer.received(2))[1]).toBe('2');
    expect(consumer.delivered.map(({ count }) => count)).toEqual([1, 1]);
  });

  test('and that was purged meanwhile holds up nobody', async () => {
    await store.define();
    await store.publishEach(1, ['1', '2']);
    await store.restart();
    store.entryLog.readNear = async () => {
      throw new Error('ENTRY_MISSING');
    };
    const consumer = store.attach(1, 1);
    await until(() => store.store.problems().length > 0, 'health knows');
    await store.purge(1);
    await store.publish(1, ['new']);
    expect(await consumer.received(1)).toEqual(['new']);
    await until(() => store.store.problems().length === 0, 'health recovers');
  });
});

test('settlements the log does not take are kept up to a bound, then nothing more is handed out until it takes them', async () => {
  const count = 2 * SettleBacklog.COMMANDS_MAX;
  await store.define();
  await store.publish(1, numbers(count));
  const propose = store.host.propose.bind(store.host);
  store.host.propose = () => 'busy';
  const consumer = store.attach(1, 1);
  let seen = -1;
  while (seen !== consumer.delivered.length) {
    seen = consumer.delivered.length;
    if (seen > 0) consumer.accept(seen - 1);
    // Each a command of its own, whatever the wait for others.
    store.store.partitions.get(1)?.settles.flush();
    await rest(5);
  }
  expect(seen).toBeGreaterThanOrEqual(SettleBacklog.COMMANDS_MAX);
  expect(seen).toBeLessThan(SettleBacklog.COMMANDS_MAX + 10);
  store.host.propose = propose;
  for (let n = seen; n < count; n++) {
    await consumer.received(n + 1);
    consumer.accept(n);
  }
  await until(async () => (await store.statistics(1)).depth === 0, 'all are settled');
  expect(consumer.texts).toEqual(numbers(count));
});

test('a record that rests while nobody has a place is not looked at again and again', async () => {
  await store.define({ redispatchIntervalMs: 5 });
  await store.publish(1, ['1', '2']);
  const consumer = store.attach(1, 1);
  await consumer.received(1);
  consumer.reject(0);
  await consumer.received(2);
  expect(consumer.texts).toEqual(['1', '2']);
  await rest();
  const clock = store.clock as { monotonicMs: () => number };
  const monotonicMs = clock.monotonicMs;
  let asked = 0;
  clock.monotonicMs = () => {
    asked++;
    return monotonicMs();
  };
  await rest(40);
  expect(asked).toBeLessThan(20);
  consumer.accept(1);
  expect(await consumer.received(3)).toEqual(['1', '2', '1']);
});
