import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { ConsumeRequest, ConsumeResponse } from '@sluice/rpc/contract/consume';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import type { Channel } from '@sluice/rpc/transport';
import type { Partition } from '../../src/partition/partition.ts';
import { ConsumeService } from '../../src/service/consume-service.ts';
import { DeliveryBound } from '../../src/service/delivery-bound.ts';
import { TestConsumer } from '../support/test-consumer.ts';
import { rest, TestStore, until } from '../support/test-store.ts';

describe('attaching', () => {
  const STORE = 1;
  let network: InprocNetwork;
  let service: ConsumeService;
  /** Gateways that were asked what they hold, and those that have answered or are gone. */
  let asked: number[];
  let answered: number[];
  let attached: number;
  let detached: number;
  let alive: number[];
  const removed = new Set<number>();
  /** By the image. */
  const gone = new Set<number>();
  const partition = {
    leads: true,
    hasRemoved: (queueId: number) => removed.has(queueId),
    leader: 2,
    groupId: 1,
    term: 3,
    serves: false,
    resumption: {
      asked: (gateways: Iterable<number>) => asked.push(...gateways),
      answered: (gateway: number) => answered.push(gateway),
    },
    dispatchFor() {
      if (!this.leads) return undefined;
      return {
        attach: () => {
          attached++;
          return [];
        },
        detach: () => detached++,
      };
    },
  };

  beforeEach(() => {
    asked = [];
    answered = [];
    attached = 0;
    detached = 0;
    alive = [10, 12];
    partition.leads = true;
    removed.clear();
    gone.clear();
    network = new InprocNetwork({ codecs: true });
    service = new ConsumeService(new Map([[1, partition as unknown as Partition]]), () => alive, {
      clock: systemClock,
      bound: new DeliveryBound({ metrics: new PlainMetrics(), logger: silentLogger }),
      isGone: (queueId) => gone.has(queueId),
    });
    network
      .node(STORE)
      .serveChannel<ConsumeRequest, ConsumeResponse>('consume', (channel, from) => service.accept(channel, from));
  });

  function open(from: number): { channel: Channel<ConsumeRequest, ConsumeResponse>; responses: ConsumeResponse[] } {
    const channel = network.node(from).open<ConsumeRequest, ConsumeResponse>(STORE, 'consume');
    const responses: ConsumeResponse[] = [];
    channel.onMessage((response) => responses.push(response));
    return { channel, responses };
  }

  const attach = (consumerId: number, generation = 0, queueId = 1, partition = 1): ConsumeRequest => ({
    type: 'attach',
    consumerId,
    partition,
    queueId,
    window: 1,
    clientId: 'c',
    generation,
    held: [],
  });

  test('where another store leads is answered with that, and where the partition is not with nobody', async () => {
    partition.leads = false;
    const { channel, responses } = open(10);
    channel.send(attach(1));
    channel.send(attach(2, 0, 1, 9));
    await rest(1);
    expect(responses).toEqual([
      { type: 'detached', consumerId: 1, reason: 'not-leader', leader: 2 },
      { type: 'detached', consumerId: 2, reason: 'not-leader', leader: 0 },
    ]);
  });

  // Its image has the queue still: a store that began a moment ago.
  test('to a queue whose removal is in the log is refused', async () => {
    removed.add(2);
    const { channel, responses } = open(10);
    channel.send(attach(1, 0, 2));
    channel.send(attach(2, 0, 3));
    await rest(1);
    expect(responses).toEqual([{ type: 'detached', consumerId: 1, reason: 'queue-removed', leader: 2 }]);
    expect(attached).toBe(1);
  });

  test('by an older assignment than the gateway has shown is fenced; other gateways and queues are not', async () => {
    const former = open(10);
    const present = open(10);
    present.channel.send(attach(1, 5));
    await rest(1);
    former.channel.send(attach(1, 4));
    present.channel.send(attach(2, 5));
    present.channel.send(attach(3, 4, 2));
    present.channel.send(attach(4, 0));
    open(11).channel.send(attach(1, 4));
    await rest(1);
    expect(former.responses).toEqual([{ type: 'detached', consumerId: 1, reason: 'fenced', leader: 2 }]);
    expect(present.responses).toEqual([]);
    expect(attached).toBe(5);
  });

  test('what was shown for a queue is forgotten with it, and not kept for one that is gone', async () => {
    const { channel, responses } = open(10);
    channel.send(attach(1, 5));
    await rest(1);
    // Many queues changed at once, and nobody knows which.
    gone.add(1);
    service.queuesRemoved(undefined);
    // Its gateway has not heard yet.
    channel.send(attach(2, 6));
    await rest(1);
    gone.clear();
    channel.send(attach(3, 4));
    await rest(1);
    service.queuesRemoved([1]);
    channel.send(attach(4, 3));
    await rest(1);
    expect([attached, responses]).toEqual([4, []]);
  });

  test('a new leader asks who has a channel or may live unheard, and waits for nobody whose channel ends', async () => {
    const [one, two] = [open(10), open(11)];
    await rest(1);
    service.serving(partition as unknown as Partition);
    expect(asked).toEqual([10, 11, 12]);
    one.channel.send({ type: 'resumed', partition: 1, term: 2 });
    two.channel.send({ type: 'resumed', partition: 1, term: 3 });
    await rest(1);
    expect(answered).toEqual([11]);
    one.channel.close();
    await rest(1);
    expect(answered).toEqual([11, 10]);
    // It was here and is not any more.
    asked = [];
    service.serving(partition as unknown as Partition);
    expect(asked).toEqual([11, 12]);
  });

  test('of a gateway that is gone and cannot come back nothing is kept once another one comes', async () => {
    const gone = open(11);
    gone.channel.send(attach(1, 5));
    await rest(1);
    gone.channel.close();
    await rest(1);
    open(10);
    await rest(1);
    alive.push(11);
    service.serving(partition as unknown as Partition);
    expect(asked).toEqual([10, 12, 11]);
    const again = open(11);
    again.channel.send(attach(1, 4));
    await rest(1);
    expect([again.responses, attached]).toEqual([[], 2]);
  });

  test('but while one channel of it is open its older assignments stay fenced', async () => {
    const former = open(11);
    await rest(1);
    const present = open(11);
    present.channel.send(attach(1, 5));
    await rest(1);
    present.channel.close();
    await rest(1);
    open(10);
    former.channel.send(attach(1, 4));
    await rest(1);
    expect(former.responses).toEqual([{ type: 'detached', consumerId: 1, reason: 'fenced', leader: 2 }]);
  });

  test('twice under one id leaves one consumer', async () => {
    const { channel } = open(10);
    channel.send(attach(1));
    channel.send(attach(1));
    await rest(1);
    expect([attached, detached]).toEqual([2, 1]);
    channel.close();
    await rest(1);
    expect(detached).toBe(2);
  });
});

describe('a queue over several partitions', () => {
  let store: TestStore;
  beforeEach(async () => {
    store = await TestStore.start();
    await store.define({ partitions: [1, 2] });
  });
  afterEach(() => store.remove());

  test('tells its consumers when work begins and ends to wait for credit, once', async () => {
    const idle = store.attach(1, 0);
    const busy = store.attach(1, 1);
    await store.publish(1, ['1']);
    await busy.received(1);
    await rest(5);
    expect([idle.waiting, busy.waiting]).toEqual([[], []]);
    await store.publish(1, ['2']);
    await store.publish(1, ['3']);
    await until(() => busy.waiting.length > 0, 'told');
    const late = store.attach(1, 0);
    await until(() => late.waiting.length > 0, 'told');
    busy.accept(0);
    await busy.received(2);
    busy.accept(1);
    await busy.received(3);
    await until(() => idle.waiting.length > 1, 'told of the end');
    await rest(5);
    for (const consumer of [idle, busy, late]) expect(consumer.waiting).toEqual([true, false]);
  });

  test('also when the store hears of the queue after its consumers', async () => {
    const early = new TestConsumer(store.consumers, 99, 1);
    store.adopt(99, early);
    store.consumers.send({
      type: 'attach',
      consumerId: 99,
      partition: 1,
      queueId: 7,
      window: 0,
      clientId: 'c',
      generation: 0,
      held: [],
    });
    await rest(2);
    await store.define({ queueId: 7, name: 'later', partitions: [1, 2] });
    await store.publish(7, ['1']);
    await until(() => early.waiting.length > 0, 'told');
    expect(early.waiting).toEqual([true]);
  });

  test('what was given back waits as well', async () => {
    const consumer = store.attach(1, 1);
    await store.publish(1, ['1']);
    await consumer.received(1);
    consumer.window(0);
    await until(() => consumer.waiting.length === 1, 'the window is answered');
    consumer.reject(0);
    await until(() => consumer.waiting.length === 2, 'told');
    expect(consumer.waiting).toEqual([false, true]);
  });

  test('answers a window with what it said last, so that the answer is never taken for news', async () => {
    const consumer = store.attach(1, 1);
    await store.publish(1, ['1']);
    await store.publish(1, ['2']);
    await until(() => consumer.waiting.length === 1, 'told');
    consumer.window(5);
    await until(() => consumer.waiting.length === 3, 'answered, and told of the end');
    expect(consumer.waiting).toEqual([true, true, false]);
  });

  test('answers a window once all that was assigned before it has been sent', async () => {
    const consumer = store.attach(1, 2);
    await store.publish(1, ['1', '2', '3']);
    await consumer.received(2);
    await store.restart();
    store.engine.hold();
    const next = store.attach(1, 3);
    await until(() => store.engine.waiting > 0, 'a step reads');
    next.window(0);
    await rest(5);
    expect(next.waiting).toEqual([]);
    store.engine.release();
    await until(() => next.waiting.length > 0, 'answered');
    const held = next.delivered.length;
    next.acceptAll();
    await rest(10);
    expect(next.delivered).toHaveLength(held);
  });
});

test('a queue in one partition has no credit to move, and says nothing', async () => {
  const store = await TestStore.start();
  try {
    await store.define();
    const consumer = store.attach(1, 1);
    await store.publish(1, ['1', '2']);
    await consumer.received(1);
    await rest(5);
    expect(consumer.waiting).toEqual([]);
    consumer.window(2);
    await until(() => consumer.waiting.length === 1, 'the window is answered all the same');
  } finally {
    await store.remove();
  }
});
