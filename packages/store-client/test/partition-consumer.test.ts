import { beforeEach, describe, expect, test } from '@jest/globals';
import { Topology } from '@sluice/meta/topology';
import type { ConsumeRequest, ConsumeResponse, DeliverItem } from '@sluice/rpc/contract/consume';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import type { Channel } from '@sluice/rpc/transport';
import { type ConsumerSink, PartitionConsumer } from '../src/partition-consumer.ts';

class Sink implements ConsumerSink {
  readonly calls: unknown[] = [];
  delivered(items: readonly DeliverItem[]): void {
    this.calls.push(items.map(({ offset }) => offset));
  }
  dismissed(reason: string): void {
    this.calls.push(reason);
  }
}

let channels: Channel<ConsumeResponse, ConsumeRequest>[];
let requests: ConsumeRequest[];
let consumers: PartitionConsumer;

beforeEach(() => {
  channels = [];
  requests = [];
  const transport = new InprocTransport({ isolate: true });
  transport.serveChannel<ConsumeRequest, ConsumeResponse>('consume', (channel) => {
    channels.push(channel);
    channel.onMessage((request) => requests.push(request));
  });
  const topology = new Topology();
  topology.reset({ epoch: 1, clusterId: 'c', partitionCount: 2, leaders: [1, 1], queues: [] });
  consumers = new PartitionConsumer({ topology, transport });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function attach(sink: ConsumerSink, partition = 1): number {
  return consumers.attach({ partition, queueId: 7, window: 10, clientId: 'c', sink });
}

const item = (offset: number): DeliverItem => ({ offset, rowBase: 0, deliveryCount: 1, record: new Uint8Array(0) });

describe('a consumer', () => {
  test('gets its own deliveries on the one channel of its store', async () => {
    const [a, b] = [new Sink(), new Sink()];
    const [idA, idB] = [attach(a), attach(b, 2)];
    await turn();
    expect(channels).toHaveLength(1);
    channels[0]?.send({ type: 'deliver', consumerId: idB, deliveries: [item(1), item(2)] });
    channels[0]?.send({ type: 'deliver', consumerId: idA, deliveries: [item(3)] });
    await turn();
    expect([a.calls, b.calls]).toEqual([[[3]], [[1, 2]]]);
  });

  test('that has left hears of nothing more', async () => {
    const sink = new Sink();
    const id = attach(sink);
    consumers.detach(id);
    await turn();
    channels[0]?.send({ type: 'deliver', consumerId: id, deliveries: [item(1)] });
    channels[0]?.send({ type: 'detached', consumerId: id, reason: 'queue-removed' });
    await turn();
    expect(sink.calls).toEqual([]);
    expect(requests.map(({ type }) => type)).toEqual(['attach', 'detach']);
  });

  test('that was dismissed is forgotten: its answers go nowhere', async () => {
    const sink = new Sink();
    const id = attach(sink);
    await turn();
    channels[0]?.send({ type: 'detached', consumerId: id, reason: 'queue-removed' });
    await turn();
    expect(sink.calls).toEqual(['queue-removed']);
    consumers.settle(id, 1, true);
    consumers.setWindow(id, 5);
    consumers.detach(id);
    await turn();
    expect(requests.map(({ type }) => type)).toEqual(['attach']);
  });
});

describe('settlements', () => {
  test('of one turn travel in one message, whoever gave them', async () => {
    const [a, b] = [attach(new Sink()), attach(new Sink())];
    consumers.settle(a, 1, true);
    consumers.settle(b, 2, false);
    consumers.settle(a, 3, true);
    await turn();
    expect(requests.slice(2)).toEqual([
      {
        type: 'settle',
        items: [
          { consumerId: a, offset: 1, accepted: true },
          { consumerId: b, offset: 2, accepted: false },
          { consumerId: a, offset: 3, accepted: true },
        ],
      },
    ]);
  });

  test('go before the detach of the same turn', async () => {
    const id = attach(new Sink());
    consumers.settle(id, 1, true);
    consumers.detach(id);
    await turn();
    expect(requests.map(({ type }) => type)).toEqual(['attach', 'settle', 'detach']);
  });
});

test('a store that is lost dismisses its consumers once, and those who come next get a new channel', async () => {
  const sinks = [new Sink(), new Sink()];
  for (const sink of sinks) attach(sink);
  await turn();
  channels[0]?.close();
  await turn();
  expect(sinks.map(({ calls }) => calls)).toEqual([['not-leader'], ['not-leader']]);
  const sink = new Sink();
  const id = attach(sink);
  await turn();
  expect(channels).toHaveLength(2);
  channels[1]?.send({ type: 'deliver', consumerId: id, deliveries: [item(1)] });
  await turn();
  expect(sink.calls).toEqual([[1]]);
});
