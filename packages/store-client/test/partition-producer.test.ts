import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { Topology } from '@sluice/meta/topology';
import { recordPositions } from '@sluice/queue/record/record-batch';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import type { Channel } from '@sluice/rpc/transport';
import { PartitionProducer, type RecordCompletion, type RecordFailure } from '../src/partition-producer.ts';

/** A store that takes batches and answers when the test says so. */
class HeldStore {
  readonly requests: AppendRequest[] = [];
  #channel: Channel<AppendResponse, AppendRequest> | undefined;

  accept(channel: Channel<AppendResponse, AppendRequest>): void {
    this.#channel = channel;
    channel.onMessage((request) => this.requests.push(request));
  }

  answer(n: number, status: AppendResponse['status'], refused: AppendResponse['refused'] = []): void {
    const { sequence } = this.requests[n] as AppendRequest;
    this.#channel?.send({ sequence, status, refused });
  }

  close(): void {
    this.#channel?.close();
  }

  texts(n: number): string[] {
    const { batch } = this.requests[n] as AppendRequest;
    return recordPositions(batch, 1, []).map((position) =>
      Buffer.from(new EncodedRecord(batch, position).payload).toString(),
    );
  }
}

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
let nowMs: number;
let topology: Topology;
let metrics: PlainMetrics;

beforeEach(() => {
  store = new HeldStore();
  nowMs = 1000;
  const transport = new InprocTransport({ isolate: true });
  transport.serveChannel<AppendRequest, AppendResponse>('append', (channel) => store.accept(channel));
  topology = new Topology();
  topology.reset({ epoch: 1, clusterId: 'c', partitionCount: 2, leaders: [1, 1], queues: [] });
  metrics = new PlainMetrics();
  producer = new PartitionProducer({
    topology,
    transport,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics,
    bufferBytesMax: 10_000,
    deadlineMs: 5_000,
  });
});

afterEach(() => producer.close());

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function add(text: string | Uint8Array, partition = 1): Outcome {
  const outcome = new Outcome();
  const payload = typeof text === 'string' ? Buffer.from(text) : text;
  const record = {
    targets: [{ queueId: 1, key: undefined }],
    topic: 't',
    payload,
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
    topology.reset({ epoch: 2, clusterId: 'c', partitionCount: 2, leaders: [1, 1], queues: [KNOWN] });
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

  test.each(['storage-full', 'busy', 'unavailable'] as const)('%s fails every record of the batch', async (status) => {
    const outcomes = [add('1'), add('2')];
    await turn();
    store.answer(0, status);
    await turn();
    expect(outcomes.map(({ said }) => said)).toEqual([[status], [status]]);
  });

  test('a store that does not lead is asked again, until it does', async () => {
    const outcome = add('1');
    await turn();
    store.answer(0, 'not-leader');
    await until(() => store.requests.length === 2);
    expect(outcome.said).toEqual([]);
    expect(store.texts(1)).toEqual(['1']);
    store.answer(1, 'committed');
    await turn();
    expect(outcome.said).toEqual(['stored']);
  });

  test('and given up when the deadline is over', async () => {
    const outcome = add('1');
    await turn();
    store.answer(0, 'not-leader');
    await turn();
    nowMs += 5_001;
    await until(() => outcome.said.length > 0);
    expect(outcome.said).toEqual(['unavailable']);
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
    store.answer(1, 'committed');
    await turn();
    expect(fresh.said).toEqual(['stored']);
  });

  test('a channel that closes leaves its batches to it, and the next record finds a new channel', async () => {
    const lost = add('1');
    await turn();
    store.close();
    await turn();
    const next = add('2');
    await turn();
    store.answer(1, 'committed');
    await turn();
    expect([lost.said, next.said]).toEqual([[], ['stored']]);
    nowMs += 5_001;
    await until(() => lost.said.length > 0);
    expect(lost.said).toEqual(['unavailable']);
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
    store.answer(1, 'busy');
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
