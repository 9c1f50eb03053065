import { afterEach, jest } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import { recordPositions } from '@sluice/queue/record/record-batch';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem } from '@sluice/rpc/contract/consume';
import { type ConsumerSink, PartitionConsumer } from '@sluice/store-client/consume/partition-consumer';
import { RouteTable } from '@sluice/store-client/route/route-table';
import { PLAIN_QUEUE } from '../../../../test/harness/plain-queue.ts';
import { plainRecord } from '../../../../test/harness/plain-record.ts';
import { QueueAttachments } from '../../src/deliver/queue-attachments.ts';
import type { QueueConsumer, QueueDelivery, QueueReference } from '../../src/deliver/queue-subscriptions.ts';
import { ScriptedStores } from './scripted-stores.ts';

/*
 * The attachments of a gateway over stores that answer by script: node 1 leads every partition until a test says otherwise.
 */

export const DEFINITION: QueueDefinition = { ...PLAIN_QUEUE, topicFilter: 't/#' };

export class Collector implements QueueConsumer {
  readonly clientId = 'c';
  window = 5;
  recordBytesMax = 0;
  readonly deliveries: QueueDelivery[] = [];
  /** Topic filters of queues it may not consume from. */
  readonly forbidden = new Set<string>();
  mayConsume(topicFilter: string): boolean {
    return !this.forbidden.has(topicFilter);
  }
  deliver(deliveries: readonly QueueDelivery[]): void {
    this.deliveries.push(...deliveries);
  }
}

class Nobody implements ConsumerSink {
  delivered(): void {}
  waiting(): void {}
  lost(): void {}
  dismissed(): void {}
}

export let attachments: QueueAttachments;
export let consumers: PartitionConsumer;
export let routes: RouteTable;
export let topology: Topology;
export let stores: ScriptedStores;
export let wanted: string[];
/** Of the coordinator; undefined: none answers. */
export let answers: (boolean | undefined)[];

/** Node 1 leads every partition. */
export function setUp(queues: QueueDefinition[]) {
  topology = new Topology();
  topology.reset({
    epoch: 1,
    clusterId: 'c',
    partitionCount: 4,
    replicationFactor: 3,
    nodes: [],
    partitions: [1, 2, 3, 4].map((partition) => ({
      partition,
      replicas: [1, 2, 3],
      preferredLeader: 0,
      bootstrap: false,
    })),
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues,
  });
  routes = new RouteTable(topology);
  for (const partition of [1, 2, 3, 4]) routes.announced(partition, 1, 1);
  stores = new ScriptedStores();
  consumers = new PartitionConsumer({ topology, routes, transport: stores, clock: systemClock });
  wanted = [];
  answers = [];
  attachments = new QueueAttachments({
    nodeId: 9,
    topology,
    routes,
    consumers,
    wanted: async (name, topicFilter) => {
      wanted.push(`${name} ${topicFilter}`);
      return answers.shift();
    },
  });
  const change = (changed: QueueDefinition[], removed: number[] = []) => {
    const epoch = topology.epoch + 1;
    topology.applyDelta({ epoch, changed, removed, nodes: [], removedNodes: [], partitions: [], config: undefined });
    attachments.topologyChanged();
  };
  return { store: stores.of(1), change };
}

afterEach(() => {
  jest.useRealTimers();
  attachments.close();
  consumers.close();
});

export const turn = () => new Promise((resolve) => setImmediate(resolve));
export const BY_FILTER: QueueReference = { by: 'filter', filter: 't/#' };

export async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error('not reached in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function encoded(text: string): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add(plainRecord([{ queueId: 1, key: undefined }], { topic: 't/1', payload: Buffer.from(text) }));
  const batch = builder.finish();
  return new EncodedRecord(batch, recordPositions(batch, 1, [])[0] as number).encoded;
}

/** The channel to this store is open, as to all stores of the image. */
export function opened(nodeId: number) {
  consumers.detach(
    consumers.attach({
      nodeId,
      partition: 4,
      queueId: 99,
      window: 0,
      clientId: '',
      generation: 0,
      held: [],
      sink: new Nobody(),
    }),
  );
  stores.of(nodeId).requests.length = 0;
  return stores.of(nodeId);
}

export const item = (offset: number): DeliverItem => ({ offset, rowBase: 0, deliveryCount: 1, record: encoded('x') });
