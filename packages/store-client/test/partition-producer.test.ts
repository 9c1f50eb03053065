import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { BatchOrigin } from '@sluice/queue/record/batch-origin';
import { checkRecordBatch, recordPositions } from '@sluice/queue/record/record-batch';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { AppendRequest, AppendResponse, AppendStatus, RefusedRecord } from '@sluice/rpc/contract/append';
import type { RecordCompletion, RecordFailure } from '../src/partition-lane.ts';
import { PartitionProducer } from '../src/partition-producer.ts';
import { RouteTable } from '../src/route-table.ts';
import { clusterOf } from './doubles/cluster-image.ts';
import { type ScriptedChannel, ScriptedTransport } from './doubles/scripted-transport.ts';

/** A store that takes batches and answers when the test says so. */
class HeldStore {
  readonly transport = new ScriptedTransport<AppendRequest, AppendResponse>();
  readonly requests: AppendRequest[] = [];
  readonly #askedOn: ScriptedChannel<AppendRequest, AppendResponse>[] = [];

  constructor() {
    this.transport.sent = (channel, request) => {
      this.requests.push(request);
      this.#askedOn.push(channel);
    };
  }

  answer(n: number, status: AppendStatus, refused: readonly RefusedRecord[] = [], leader = 0): void {
    const { sequence } = this.requests[n] as AppendRequest;
    this.#askedOn[n]?.say({ type: 'answer', sequence, status, refused, leader });
  }

  texts(n: number): string[] {
    return textsOf((this.requests[n] as AppendRequest).batch);
  }
}

function textsOf(batch: Uint8Array): string[] {
  return recordPositions(batch, 1, []).map((position) =>
    Buffer.from(new EncodedRecord(batch, position).payload).toString(),
  );
}

function originOf(batch: Uint8Array): BatchOrigin {
  const { origin } = checkRecordBatch(batch);
  if (origin === undefined) throw new Error('a batch that does not say where it comes from');
  return origin;
}

const PRODUCER = 2 ** 50 + 1;

const KNOWN: QueueDefinition = {
  queueId: 7,
  name: 'known',
  topicFilter: 'known',
  isLastValue: false,
  keyExpression: null,
  dispatchStrategy: 'random',
  dataRetentionMs: 1000,
  limits: { countMax: null, bytesMax: null, overflow: 'refuse' },
  localMaxInflight: 10,
  redispatchIntervalMs: 100,
  consumerMaxInactiveMs: 0,
  pingIntervalMs: 0,
  busySessionRetryIntervalMs: 0,
  streamMaxBufferSize: 0,
  streamMaxUnacked: 0,
  consumerPersistenceIntervalMs: 0,
  partitions: [1],
  version: 1,
  createdAtMs: 0,
};

class Outcome implements RecordCompletion {
  readonly said: (RecordFailure | 'stored')[] = [];
  recordStored(): void {
    this.said.push('stored');
  }
  recordFailed(failure: RecordFailure): void {
    this.said.push(failure);
  }
}

let store: HeldStore;
let producer: PartitionProducer;
let routes: RouteTable;
let nowMs: number;
let topology: Topology;
let metrics: PlainMetrics;

beforeEach(() => {
  store = new HeldStore();
  nowMs = 1000;
  topology = clusterOf([1, 2, 3], 2, [KNOWN]);
  routes = new RouteTable(topology);
  routes.announced(1, 1, 1);
  routes.announced(2, 1, 1);
  metrics = new PlainMetrics();
  producer = new PartitionProducer({
    topology,
    routes,
    transport: store.transport,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics,
    producerId: PRODUCER,
    bufferBytesMax: 10_000,
    deadlineMs: 5_000,
  });
  producer.topologyChanged();
});

afterEach(() => producer.close());

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function add(text: string | Uint8Array, partition = 1, ownsBuffer?: true): Outcome {
  const outcome = new Outcome();
  const payload = typeof text === 'string' ? Buffer.from(text) : text;
  const record = {
    targets: [{ queueId: 1, key: undefined }],
    topic: 't',
    payload,
    ownsBuffer,
    qos: 1 as const,
    retain: false,
    publisher: 'p',
    publishedAtMs: 1,
    expiresAtMs: 0,
    properties: undefined,
  };
  producer.add(partition, record, outcome);
  return outcome;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 1000) throw new Error('not reached in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

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
    channel.unsentBytes = PartitionProducer.UNSENT_BYTES_MAX;
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
    nowMs += 4_999;
    const fresh = add('2');
    await turn();
    nowMs += 2;
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
    nowMs += 4_000;
    const second = add('2');
    const third = await turn().then(() => add('3'));
    await turn();
    store.answer(1, 'committed');
    nowMs += 1_500;
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

describe('a change of leader', () => {
  const FIRST = [1, 2, 3, 4, 5, 6, 7, 8];
  const resends = (): number => metrics.counter('sluice_gateway_append_resends_total', '').value;
  const on = (nodeId: number): AppendRequest[] => store.transport.to(nodeId).requests;
  const say = (nodeId: number, n: number, status: AppendStatus, leader = 0): void => {
    const { sequence } = on(nodeId)[n] as AppendRequest;
    store.transport.to(nodeId).say({ type: 'answer', sequence, status, refused: [], leader });
  };
  /** What was sent to it: what is in the batch, which is its number here, and which one it comes after. */
  const seen = (nodeId: number): string[] =>
    on(nodeId).map(({ batch }) => `${textsOf(batch)}>${originOf(batch).after}`);

  /** Batches 1 to 8 sent to node 1, of which the first four are stored. */
  async function publishEight(): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const n of FIRST) {
      outcomes.push(add(String(n)));
      await turn();
    }
    for (let n = 0; n < 4; n++) say(1, n, 'committed');
    return outcomes;
  }

  test('the leader dies with 5 to 8 in flight: they go to the next one in their order, and 9 behind them', async () => {
    const outcomes = await publishEight();
    store.transport.kill(1);
    outcomes.push(add('9'));
    await turn();
    expect(seen(2).concat(seen(3))).toEqual([]);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(2)).toEqual(['5>4', '6>5', '7>6', '8>7', '9>8']);
    expect(resends()).toBe(4);
    for (let n = 0; n < 5; n++) say(2, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(9).fill(['stored']));
    expect(producer.bufferedBytes).toBe(0);
  });

  test('a former leader refuses one of them: all that are unanswered go to the next one at once', async () => {
    const outcomes = await publishEight();
    say(1, 5, 'not-leader', 2);
    expect(seen(2)).toEqual(['5>4', '6>5', '7>6', '8>7']);
    // What it says of the others by and by is said by the next one as well.
    say(1, 4, 'committed');
    say(1, 6, 'not-leader', 3);
    expect(outcomes[4]?.said).toEqual([]);
    for (let n = 0; n < 4; n++) say(2, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(8).fill(['stored']));
    expect(seen(3)).toEqual([]);
  });

  test('a leader that is announced while the former says nothing gets everything that is unanswered', async () => {
    await publishEight();
    store.transport.to(3).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(3)).toEqual(['5>4', '6>5', '7>6', '8>7']);
    say(1, 6, 'not-leader', 1);
    add('9');
    await turn();
    expect(seen(3).at(-1)).toBe('9>8');
  });

  test('of two that announce themselves the later term is followed, whichever comes last', async () => {
    await publishEight();
    store.transport.kill(1);
    store.transport.to(3).say({ type: 'leading', partition: 1, term: 3 });
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    add('9');
    await turn();
    expect(seen(3)).toEqual(['5>4', '6>5', '7>6', '8>7', '9>8']);
    expect(seen(2)).toEqual([]);
  });

  test('the next one is lost too while everything is on its way to it: the third gets it, in order', async () => {
    const outcomes = await publishEight();
    store.transport.kill(1);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    say(2, 0, 'committed');
    store.transport.kill(2);
    store.transport.to(3).say({ type: 'leading', partition: 1, term: 3 });
    expect(seen(3)).toEqual(['6>5', '7>6', '8>7']);
    for (let n = 0; n < 3; n++) say(3, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(8).fill(['stored']));
  });

  test('with nobody announced the replicas are asked with one batch, and who takes it gets the others', async () => {
    await publishEight();
    store.transport.kill(1);
    await until(() => {
      nowMs += 25;
      // Node 2 may be asked several times before node 3 is.
      if (on(2).length > 0) say(2, on(2).length - 1, 'not-leader');
      return on(3).length > 0;
    });
    expect(seen(2).every((text) => text === '5>4')).toBe(true);
    expect(seen(3)).toEqual(['5>4']);
    say(3, 0, 'committed');
    expect(seen(3)).toEqual(['5>4', '6>5', '7>6', '8>7']);
  });

  test('a replica that is asked and says nothing is not asked for ever', async () => {
    routes.suspect(1, 1);
    add('1');
    await turn();
    expect(store.requests).toHaveLength(1);
    nowMs += PartitionProducer.ASKING_PATIENCE_MS;
    await until(() => {
      nowMs += 25;
      return store.requests.length > 1;
    });
    const askedOf = store.transport.channels.filter(({ requests }) => requests.length > 0);
    expect(new Set(askedOf.map(({ nodeId }) => nodeId)).size).toBe(2);
  });

  test('a busy leader gets the same again, from the refused one on, after a pause', async () => {
    const outcomes = await publishEight();
    say(1, 5, 'busy', 1);
    say(1, 6, 'out-of-order', 1);
    say(1, 7, 'out-of-order', 1);
    await turn();
    expect(on(1)).toHaveLength(8);
    // 5 was taken and will be answered; those that come after it need not wait for that.
    nowMs += PartitionProducer.BACKOFF_MS_MIN;
    await until(() => on(1).length > 8);
    expect(seen(1).slice(8)).toEqual(['6>5', '7>6', '8>7']);
    expect(originOf(on(1)[8]?.batch as Uint8Array).answeredTo).toBe(4);
    say(1, 4, 'committed');
    expect(routes.leaderOf(1)).toBe(1);
    for (let n = 8; n < 11; n++) say(1, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(8).fill(['stored']));
  });

  test('a new leader that does not serve yet says that it leads and refuses: it is asked again when it announces itself', async () => {
    await publishEight();
    store.transport.kill(1);
    routes.suspect(1, 1);
    topology.applyLiveness({ leaders: [{ partition: 1, nodeId: 2, term: 2 }], alive: [2, 3] });
    producer.topologyChanged();
    expect(seen(2)).toEqual(['5>4', '6>5', '7>6', '8>7']);
    for (let n = 0; n < 4; n++) say(2, n, 'not-leader', 2);
    expect(routes.leaderOf(1)).toBe(2);
    expect(on(2)).toHaveLength(4);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(2).slice(4)).toEqual(['5>4', '6>5', '7>6', '8>7']);
  });

  test('a batch refused for good leaves its place: those behind it come after the one before it', async () => {
    const outcomes = await publishEight();
    say(1, 4, 'storage-full');
    expect(outcomes[4]?.said).toEqual(['storage-full']);
    const ninth = add('9');
    await turn();
    expect(seen(1).slice(8)).toEqual(['9>8']);
    for (let n = 5; n < 9; n++) say(1, n, 'out-of-order', 1);
    nowMs += PartitionProducer.BACKOFF_MS_MIN;
    await until(() => on(1).length > 9);
    expect(seen(1).slice(9)).toEqual(['6>4', '7>6', '8>7', '9>8']);
    for (let n = 9; n < 13; n++) say(1, n, 'committed');
    expect([...outcomes.slice(5), ninth].map(({ said }) => said)).toEqual(Array(4).fill(['stored']));
  });

  test('a disk that is full refuses all that are on their way, and nothing is sent again', async () => {
    const outcomes = await publishEight();
    for (let n = 4; n < 8; n++) say(1, n, 'storage-full');
    expect(outcomes.slice(4).map(({ said }) => said)).toEqual(Array(4).fill(['storage-full']));
    add('9');
    await turn();
    expect(seen(1).slice(8)).toEqual(['9>4']);
    expect(resends()).toBe(0);
  });

  test('an answer that overtakes others tells that they are in the log: the next batch comes after it', async () => {
    await publishEight();
    say(1, 6, 'committed');
    store.transport.kill(1);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(2)).toEqual(['5>0', '6>5', '8>7']);
    const origins = on(2).map(({ batch }) => originOf(batch));
    expect(origins.map(({ sequence, answeredTo }) => [sequence, answeredTo])).toEqual([5, 6, 8].map((n) => [n, 4]));
    expect(new Set(origins.map(({ producer }) => producer))).toEqual(new Set([PRODUCER]));
  });

  test('nobody leads until the deadline: the publishers are told in their order, and the next one starts anew', async () => {
    const told: string[] = [];
    const outcomes = await publishEight();
    store.transport.kill(1);
    for (const [i, outcome] of outcomes.entries()) {
      outcome.recordFailed = (failure) => told.push(`${i + 1} ${failure}`);
    }
    nowMs += 5_001;
    await until(() => told.length === 4);
    expect(told).toEqual(['5 unavailable', '6 unavailable', '7 unavailable', '8 unavailable']);
    expect(producer.bufferedBytes).toBe(0);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    add('9');
    await turn();
    expect(seen(2).at(-1)).toBe('9>4');
  });

  test('what waits for a leader counts as buffered', async () => {
    store.transport.kill(1);
    for (let i = 0; i < 4; i++) {
      add(Buffer.alloc(3_000));
      await turn();
    }
    expect(producer.congested).toBe(true);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    for (let n = 0; n < 4; n++) say(2, n, 'committed');
    expect([producer.congested, producer.bufferedBytes]).toEqual([false, 0]);
  });

  test('bytes that are sent again are a copy: the first leader may hold and stamp its own', async () => {
    await publishEight();
    const first = on(1)[4]?.batch as Uint8Array;
    const before = first.slice();
    store.transport.kill(1);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    const second = on(2)[0]?.batch as Uint8Array;
    expect(textsOf(second)).toEqual(textsOf(first));
    expect(first).toEqual(before);
    expect(second.buffer).not.toBe(first.buffer);
  });

  test('every store is connected from the beginning, and again after it was lost', async () => {
    expect(store.transport.channels.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
    store.transport.kill(3);
    store.transport.down.clear();
    await until(() => {
      nowMs += 50;
      return store.transport.openChannels(3).length === 1;
    });
    store.transport.to(3).say({ type: 'leading', partition: 2, term: 9 });
    expect(routes.leaderOf(2)).toBe(3);
  });
});
