import { afterEach, beforeEach } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { BatchOrigin } from '@sluice/queue/record/batch-origin';
import type { RecordExchange } from '@sluice/queue/record/record';
import { checkRecordBatch, recordPositions } from '@sluice/queue/record/record-batch';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { AppendRequest, AppendResponse, AppendStatus, RefusedRecord } from '@sluice/rpc/contract/append';
import { PLAIN_QUEUE } from '../../../../test/harness/plain-queue.ts';
import type { RecordCompletion, RecordFailure } from '../../src/publish/partition-lane.ts';
import { PartitionProducer } from '../../src/publish/partition-producer.ts';
import { RouteTable } from '../../src/route/route-table.ts';
import { clusterOf } from './cluster-image.ts';
import { type ScriptedChannel, ScriptedTransport } from './scripted-transport.ts';

/*
 * A gateway's producer over stores that answer when the test says so, three nodes and two partitions, anew for each test.
 */

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

export function textsOf(batch: Uint8Array): string[] {
  return recordPositions(batch, 1, []).map((position) =>
    Buffer.from(new EncodedRecord(batch, position).payload).toString(),
  );
}

export function originOf(batch: Uint8Array): BatchOrigin {
  const { origin } = checkRecordBatch(batch);
  if (origin === undefined) throw new Error('a batch that does not say where it comes from');
  return origin;
}

export const PRODUCER = 2 ** 50 + 1;

const KNOWN: QueueDefinition = { ...PLAIN_QUEUE, queueId: 7, name: 'known', topicFilter: 'known' };

export class Outcome implements RecordCompletion {
  readonly said: (RecordFailure | 'stored')[] = [];
  recordStored(): void {
    this.said.push('stored');
  }
  recordFailed(failure: RecordFailure): void {
    this.said.push(failure);
  }
}

export let store: HeldStore;
export let producer: PartitionProducer;
export let routes: RouteTable;
export const clock = { nowMs: 1000 };
export let topology: Topology;
export let metrics: PlainMetrics;

beforeEach(() => {
  store = new HeldStore();
  clock.nowMs = 1000;
  topology = clusterOf([1, 2, 3], 2, [KNOWN]);
  routes = new RouteTable(topology);
  routes.announced(1, 1, 1);
  routes.announced(2, 1, 1);
  metrics = new PlainMetrics();
  producer = new PartitionProducer({
    topology,
    routes,
    transport: store.transport,
    clock: { nowMs: () => clock.nowMs, monotonicMs: () => clock.nowMs },
    logger: silentLogger,
    metrics,
    producerId: PRODUCER,
    bufferBytesMax: 10_000,
    deadlineMs: 5_000,
  });
  producer.topologyChanged();
});

afterEach(() => producer.close());

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

export function add(text: string | Uint8Array, partition = 1, ownsBuffer?: true): Outcome {
  return addRecord(text, partition, ownsBuffer, undefined);
}

/** At QoS 2, under the number of its exchange. */
export function addExchange(text: string | Uint8Array, number: number): Outcome {
  return addRecord(text, 1, undefined, { number, floor: 1 });
}

function addRecord(
  text: string | Uint8Array,
  partition: number,
  ownsBuffer: true | undefined,
  exchange: RecordExchange | undefined,
): Outcome {
  const outcome = new Outcome();
  const payload = typeof text === 'string' ? Buffer.from(text) : text;
  const record = {
    targets: [{ queueId: 1, key: undefined }],
    topic: 't',
    payload,
    ownsBuffer,
    qos: exchange === undefined ? (1 as const) : (2 as const),
    retain: false,
    publisher: 'p',
    publishedAtMs: 1,
    expiresAtMs: 0,
    properties: undefined,
    exchange,
  };
  producer.add(partition, record, outcome);
  return outcome;
}

export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 1000) throw new Error('not reached in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
