import { describe, expect, test } from '@jest/globals';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { Topology } from '@sluice/meta/topology';
import { recordPositions } from '@sluice/queue/record/record-batch';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { ConsumeRequest, ConsumeResponse } from '@sluice/rpc/contract/consume';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import type { Channel } from '@sluice/rpc/transport';
import { PartitionConsumer } from '@sluice/store-client/partition-consumer';
import { QueueAttachments } from '../../src/deliver/queue-attachments.ts';
import type { QueueConsumer, QueueDelivery, QueueReference } from '../../src/deliver/queue-subscriptions.ts';

const DEFINITION: QueueDefinition = {
  queueId: 1,
  name: 'q',
  topicFilter: 't/#',
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

/** A store that writes down what it is asked, and answers what the test says. */
class RecordingStore {
  readonly requests: ConsumeRequest[] = [];
  answer: (request: ConsumeRequest) => ConsumeResponse | undefined = () => undefined;
  channel!: Channel<ConsumeResponse, ConsumeRequest>;

  accept(channel: Channel<ConsumeResponse, ConsumeRequest>): void {
    this.channel = channel;
    channel.onMessage((request) => {
      this.requests.push(request);
      const response = this.answer(request);
      if (response !== undefined) channel.send(response);
    });
  }

  of<T extends ConsumeRequest['type']>(type: T): Extract<ConsumeRequest, { type: T }>[] {
    return this.requests.filter((request) => request.type === type) as Extract<ConsumeRequest, { type: T }>[];
  }
}

class Collector implements QueueConsumer {
  readonly clientId = 'c';
  window = 5;
  readonly deliveries: QueueDelivery[] = [];
  deliver(deliveries: readonly QueueDelivery[]): void {
    this.deliveries.push(...deliveries);
  }
}

let attachments: QueueAttachments;
let wanted: string[];

function setUp(queues: QueueDefinition[]) {
  const topology = new Topology();
  topology.reset({ epoch: 1, clusterId: 'c', partitionCount: 1, leaders: [1], queues });
  const transport = new InprocTransport({ isolate: true });
  const store = new RecordingStore();
  transport.serveChannel<ConsumeRequest, ConsumeResponse>('consume', (channel) => store.accept(channel));
  const consumers = new PartitionConsumer({ topology, transport });
  wanted = [];
  attachments = new QueueAttachments({
    topology,
    consumers,
    wanted: (name, topicFilter) => wanted.push(`${name} ${topicFilter}`),
  });
  const change = (changed: QueueDefinition[], removed: number[] = []) => {
    topology.applyDelta({ epoch: topology.epoch + 1, changed, removed });
    attachments.topologyChanged();
  };
  return { store, change };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const BY_FILTER: QueueReference = { by: 'filter', filter: 't/#' };

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error('not reached in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function encoded(text: string): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add({
    targets: [{ queueId: 1, key: undefined }],
    topic: 't/1',
    payload: Buffer.from(text),
    qos: 1,
    retain: false,
    publisher: 'p',
    publishedAtMs: 1,
    expiresAtMs: 0,
    properties: undefined,
  });
  const batch = builder.finish();
  return new EncodedRecord(batch, recordPositions(batch, 1, [])[0] as number).encoded;
}

describe('binding', () => {
  test('a queue that does not exist is waited for, and bound when it appears', async () => {
    const { store, change } = setUp([]);
    attachments.attach(BY_FILTER, new Collector());
    await turn();
    expect(store.requests).toEqual([]);
    expect(attachments.counts()).toEqual({ attached: 0, waiting: 1 });
    change([DEFINITION]);
    await turn();
    expect(store.of('attach')).toMatchObject([{ queueId: 1, partition: 1, window: 5, clientId: 'c' }]);
    expect(attachments.counts()).toEqual({ attached: 1, waiting: 0 });
  });

  test('by name, with a filter that does not match: waits until the queue has it', async () => {
    const { store, change } = setUp([DEFINITION]);
    attachments.attach({ by: 'name', name: 'q', filter: 'other' }, new Collector());
    await turn();
    expect(store.requests).toEqual([]);
    change([{ ...DEFINITION, queueId: 2, topicFilter: 'other' }], [1]);
    await turn();
    expect(store.of('attach')).toMatchObject([{ queueId: 2 }]);
  });

  test('a queue re-created under its name is another queue', async () => {
    const { store, change } = setUp([DEFINITION]);
    attachments.attach(BY_FILTER, new Collector());
    change([], [1]);
    change([{ ...DEFINITION, queueId: 2 }]);
    await turn();
    expect(store.requests.map(({ type }) => type)).toEqual(['attach', 'detach', 'attach']);
    expect(store.of('attach')[1]).toMatchObject({ queueId: 2 });
  });

  test('a change of anything but the window leaves the consumer alone', async () => {
    const { store, change } = setUp([DEFINITION]);
    attachments.attach(BY_FILTER, new Collector());
    change([{ ...DEFINITION, dispatchStrategy: 'round_robin', version: 2 }]);
    change([{ ...DEFINITION, localMaxInflight: 3, version: 3 }]);
    await turn();
    expect(store.requests.slice(1)).toMatchObject([{ type: 'window', window: 3 }]);
  });

  test('a store that does not lead is asked again later, not at once', async () => {
    const { store } = setUp([DEFINITION]);
    let refusals = 0;
    store.answer = (request) => {
      if (request.type !== 'attach' || refusals === 3) return undefined;
      // A loop of questions and refusals would hang this test, and did.
      if (++refusals > 1000) throw new Error('a store is asked without a pause');
      return { type: 'detached', consumerId: request.consumerId, reason: 'not-leader' };
    };
    const collector = new Collector();
    attachments.attach(BY_FILTER, collector);
    await turn();
    await turn();
    expect(refusals).toBe(1);
    expect(attachments.counts()).toEqual({ attached: 0, waiting: 1 });
    await until(() => attachments.counts().attached === 1 && store.of('attach').length === 4);
    const consumerId = store.of('attach')[3]?.consumerId as number;
    const delivery = { offset: 7, rowBase: 7, deliveryCount: 1, record: encoded('x') };
    store.channel.send({ type: 'deliver', consumerId, deliveries: [delivery] });
    await turn();
    expect(collector.deliveries).toMatchObject([{ queueId: 1, offset: 7 }]);
  });

  test('who left while the store did not lead is not attached again', async () => {
    const { store } = setUp([DEFINITION]);
    let refuse = true;
    store.answer = (request) =>
      request.type === 'attach' && refuse
        ? { type: 'detached', consumerId: request.consumerId, reason: 'not-leader' }
        : undefined;
    const leaving = attachments.attach(BY_FILTER, new Collector());
    await turn();
    leaving.detach();
    refuse = false;
    const staying = attachments.attach(BY_FILTER, new Collector());
    await new Promise((resolve) => setTimeout(resolve, 3 * QueueAttachments.RETRY_MS));
    expect(store.of('attach')).toHaveLength(2);
    staying.detach();
    expect(attachments.counts()).toEqual({ attached: 0, waiting: 0 });
  });
});

describe('settling', () => {
  test('answers of one turn travel together, and before a detach', async () => {
    const { store } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    await turn();
    const consumerId = store.of('attach')[0]?.consumerId as number;
    const deliveries = [0, 1].map((offset) => ({ offset, rowBase: 0, deliveryCount: 1, record: encoded('x') }));
    store.channel.send({ type: 'deliver', consumerId, deliveries });
    await turn();
    attachment.accept(collector.deliveries[0] as QueueDelivery);
    attachment.reject(collector.deliveries[1] as QueueDelivery);
    attachment.detach();
    await turn();
    expect(store.requests.slice(1)).toEqual([
      {
        type: 'settle',
        items: [
          { consumerId, offset: 0, accepted: true },
          { consumerId, offset: 1, accepted: false },
        ],
      },
      { type: 'detach', consumerId },
    ]);
  });

  test('an answer to what an earlier binding delivered says nothing to the present one', async () => {
    const { store, change } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    await turn();
    const consumerId = store.of('attach')[0]?.consumerId as number;
    const delivery = { offset: 0, rowBase: 0, deliveryCount: 1, record: encoded('x') };
    store.channel.send({ type: 'deliver', consumerId, deliveries: [delivery] });
    await turn();
    change([{ ...DEFINITION, queueId: 2 }], [1]);
    attachment.accept(collector.deliveries[0] as QueueDelivery);
    await turn();
    expect(store.of('settle')).toEqual([]);
  });
});

describe('a queue that is subscribed to and does not exist', () => {
  test('is wanted when the subscription says its filter, and not while its name is taken', () => {
    setUp([]);
    attachments.attach(BY_FILTER, new Collector());
    attachments.attach({ by: 'name', name: 'q', filter: 'a/b' }, new Collector());
    attachments.attach({ by: 'name', name: 'no-filter', filter: undefined }, new Collector());
    expect(wanted).toEqual(['/t/# t/#', 'q a/b']);
  });
});
