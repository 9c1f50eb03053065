import { describe, expect, test } from '@jest/globals';
import { BatchSender } from '../../src/publish/batch-sender.ts';
import { PartitionProducer } from '../../src/publish/partition-producer.ts';
import { add, clock, type Outcome, originOf, producer, routes, store, turn, until } from '../doubles/producer-scene.ts';

describe('batches', () => {
  test('what one turn brought for a partition leaves together, in order, and the next turn does not wait for it', async () => {
    const outcomes = [add('1'), add('2'), add('other', 2), add('3')];
    expect(store.requests).toEqual([]);
    await turn();
    expect(store.requests.map(({ partition }) => partition)).toEqual([1, 2]);
    expect([store.texts(0), store.texts(1)]).toEqual([['1', '2', '3'], ['other']]);
    add('4');
    await turn();
    expect(store.texts(2)).toEqual(['4']);
    expect(outcomes.map(({ said }) => said)).toEqual([[], [], [], []]);
    store.answer(0, 'committed');
    await turn();
    expect(outcomes.map(({ said }) => said)).toEqual([['stored'], ['stored'], [], ['stored']]);
  });

  test('no more of them wait in a channel than it takes; the rest follows, in order, once there is room', async () => {
    const channel = store.transport.to(1);
    add('1');
    await turn();
    channel.unsentBytes = BatchSender.UNSENT_BYTES_MAX;
    const outcomes: Outcome[] = [];
    for (const text of ['2', '3']) {
      outcomes.push(add(text));
      await turn();
    }
    add('other', 2);
    await turn();
    expect(store.requests).toHaveLength(1);
    channel.unsentBytes = 0;
    store.answer(0, 'committed');
    expect([store.texts(1), store.texts(2)]).toEqual([['2'], ['3']]);
    // Nothing of its partition is under way that could be answered.
    await until(() => store.requests.length === 4);
    expect(store.texts(3)).toEqual(['other']);
    for (let n = 1; n < 3; n++) store.answer(n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual([['stored'], ['stored']]);
  });

  test('a payload may be overwritten as soon as it was added', async () => {
    const payload = Buffer.from('first');
    add(payload);
    payload.write('XXXXX');
    await turn();
    expect(store.texts(0)).toEqual(['first']);
  });

  test('one that is large leaves before the turn ends', () => {
    add(Buffer.alloc(PartitionProducer.BATCH_BYTES_MAX));
    add('small');
    return turn().then(() => expect(store.requests).toHaveLength(2));
  });

  test('a large payload is a batch of its own, in its place among the others', async () => {
    const large = 'x'.repeat(PartitionProducer.LARGE_PAYLOAD_BYTES);
    for (const text of ['1', '2', large, large, '3']) add(text);
    await turn();
    expect(store.requests.map((_, i) => store.texts(i))).toEqual([['1', '2'], [large], [large], ['3']]);
  });

  test('a large payload that owns its buffer travels in it, in its place, and counts and is released like any other', async () => {
    const room = 200;
    const bytes = Buffer.alloc(room + PartitionProducer.LARGE_PAYLOAD_BYTES, 'y');
    const outcomes = [add('1'), add(bytes.subarray(room), 1, true), add('2')];
    expect(producer.bufferedBytes).toBeGreaterThan(bytes.length - room);
    await turn();
    expect(store.requests.map((_, i) => store.texts(i)[0]?.slice(0, 3))).toEqual(['1', 'yyy', '2']);
    expect(store.requests.map(({ batch }) => batch.buffer === bytes.buffer)).toEqual([false, true, false]);
    expect(store.requests.map(({ batch }) => originOf(batch).sequence)).toEqual([1, 2, 3]);
    for (let n = 0; n < 3; n++) store.answer(n, 'committed');
    await turn();
    expect(outcomes.map(({ said }) => said)).toEqual([['stored'], ['stored'], ['stored']]);
    expect(producer.bufferedBytes).toBe(0);
  });

  test('answers may come in any order', async () => {
    const first = add('1');
    await turn();
    const second = add('2');
    await turn();
    store.answer(1, 'committed');
    await turn();
    expect([first.said, second.said]).toEqual([[], ['stored']]);
    store.answer(0, 'unavailable');
    await turn();
    expect(first.said).toEqual(['unavailable']);
  });
});

describe('refusals', () => {
  test('are by slot: the others of the batch are stored', async () => {
    const outcomes = ['1', '2', '3'].map((text) => add(text));
    await turn();
    store.answer(0, 'committed', [{ slot: 1, queueId: 1, code: 'queue-full' }]);
    await turn();
    expect(outcomes.map(({ said }) => said)).toEqual([['stored'], ['queue-full'], ['stored']]);
  });

  test('by a queue that is gone are none: the message was before the end of the queue, and went with it', async () => {
    const outcomes = ['1', '2', '3', '4'].map((text) => add(text));
    await turn();
    store.answer(0, 'committed', [
      { slot: 0, queueId: 8, code: 'queue-removed' },
      { slot: 1, queueId: 8, code: 'queue-unknown' },
      { slot: 2, queueId: 7, code: 'queue-unknown' },
      { slot: 3, queueId: 8, code: 'queue-removed' },
      { slot: 3, queueId: 7, code: 'queue-full' },
    ]);
    await turn();
    expect(outcomes.map(({ said }) => said)).toEqual([['stored'], ['stored'], ['queue-unknown'], ['queue-full']]);
  });

  test.each(['storage-full', 'unavailable'] as const)('%s fails every record of the batch', async (status) => {
    const outcomes = [add('1'), add('2')];
    await turn();
    store.answer(0, status);
    await turn();
    expect(outcomes.map(({ said }) => said)).toEqual([[status], [status]]);
  });
});

describe('the deadline', () => {
  test('a batch nobody answers is given up as unknown; a late answer says nothing more', async () => {
    const outcome = add('1');
    await turn();
    clock.nowMs += 4_999;
    const fresh = add('2');
    await turn();
    clock.nowMs += 2;
    await until(() => outcome.said.length > 0);
    expect([outcome.said, fresh.said]).toEqual([['unavailable'], []]);
    store.answer(0, 'committed');
    await turn();
    expect(outcome.said).toEqual(['unavailable']);
    // A store that was silent all the time is not asked any longer: the younger one goes to another.
    routes.announced(1, 2, 2);
    await until(() => store.requests.length === 3);
    expect(store.texts(2)).toEqual(['2']);
    store.answer(2, 'committed');
    await turn();
    expect(fresh.said).toEqual(['stored']);
  });

  test('a store that answers others is not given up with the one batch it does not answer', async () => {
    const [hanging] = [add('1')];
    await turn();
    clock.nowMs += 4_000;
    const second = add('2');
    const third = await turn().then(() => add('3'));
    await turn();
    store.answer(1, 'committed');
    clock.nowMs += 1_500;
    await until(() => hanging.said.length > 0);
    store.answer(2, 'committed');
    expect([hanging.said, second.said, third.said]).toEqual([['unavailable'], ['stored'], ['stored']]);
    expect(store.requests).toHaveLength(3);
  });
});

describe('congestion', () => {
  test('begins beyond the buffer and ends at half of it, once', async () => {
    let reliefs = 0;
    producer.onRelief(() => reliefs++);
    for (let i = 0; i < 4; i++) {
      add(Buffer.alloc(3_000));
      await turn();
      expect(producer.congested).toBe(i === 3);
    }
    store.answer(0, 'committed');
    store.answer(1, 'storage-full');
    await turn();
    expect([producer.congested, reliefs]).toEqual([true, 0]);
    store.answer(2, 'committed');
    await turn();
    expect([producer.congested, reliefs]).toEqual([false, 1]);
    store.answer(3, 'committed');
    await turn();
    expect(reliefs).toBe(1);
  });

  test('what is answered is released to the byte, in batches small and large', async () => {
    let sizes = 0;
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i <= round % 7; i++) add(Buffer.alloc((round * 37 * (i + 1)) % 900), 1 + (i % 2));
      await turn();
    }
    for (let n = 0; n < store.requests.length; n++) {
      sizes += store.requests[n]?.batch.length ?? 0;
      store.answer(n, n % 5 === 0 ? 'unavailable' : 'committed');
    }
    await turn();
    expect(sizes).toBeGreaterThan(10_000);
    expect(producer.congested).toBe(false);
    expect(producer.bufferedBytes).toBe(0);
  });
});
