import { beforeEach, describe, expect, test } from '@jest/globals';
import type { ConsumeRequest, ConsumeResponse, DeliverItem } from '@sluice/rpc/contract/consume';
import { type ConsumerSink, PartitionConsumer } from '../src/partition-consumer.ts';
import { RouteTable } from '../src/route-table.ts';
import { clusterOf } from './doubles/cluster-image.ts';
import { ScriptedTransport } from './doubles/scripted-transport.ts';

class Sink implements ConsumerSink {
  readonly calls: unknown[] = [];
  delivered(items: readonly DeliverItem[]): void {
    this.calls.push(items.map(({ offset }) => offset));
  }
  waiting(isWaiting: boolean): void {
    this.calls.push(isWaiting);
  }
  dismissed(reason: string): void {
    this.calls.push(reason);
  }
}

let transport: ScriptedTransport<ConsumeRequest, ConsumeResponse>;
let requests: ConsumeRequest[];
let routes: RouteTable;
let consumers: PartitionConsumer;

beforeEach(() => {
  transport = new ScriptedTransport();
  requests = [];
  transport.sent = (_, request) => requests.push(request);
  routes = new RouteTable(clusterOf([1, 2, 3], 2));
  routes.announced(1, 1, 1);
  routes.announced(2, 1, 1);
  consumers = new PartitionConsumer({ routes, transport });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function attach(sink: ConsumerSink, partition = 1, nodeId = 1): number {
  return consumers.attach({ nodeId, partition, queueId: 7, window: 10, clientId: 'c', generation: 0, sink });
}

const item = (offset: number): DeliverItem => ({ offset, rowBase: 0, deliveryCount: 1, record: new Uint8Array(0) });

describe('a consumer', () => {
  test('gets its own deliveries on the one channel of its store', async () => {
    const [a, b] = [new Sink(), new Sink()];
    const [idA, idB] = [attach(a), attach(b, 2)];
    await turn();
    expect(transport.channels).toHaveLength(1);
    transport.channels[0]?.say({ type: 'deliver', consumerId: idB, deliveries: [item(1), item(2)] });
    transport.channels[0]?.say({ type: 'deliver', consumerId: idA, deliveries: [item(3)] });
    await turn();
    expect([a.calls, b.calls]).toEqual([[[3]], [[1, 2]]]);
  });

  test('that has left hears of nothing more', async () => {
    const sink = new Sink();
    const id = attach(sink);
    consumers.detach(id);
    await turn();
    transport.channels[0]?.say({ type: 'deliver', consumerId: id, deliveries: [item(1)] });
    transport.channels[0]?.say({ type: 'detached', consumerId: id, reason: 'queue-removed', leader: 1 });
    await turn();
    expect(sink.calls).toEqual([]);
    expect(requests.map(({ type }) => type)).toEqual(['attach', 'detach']);
  });

  test('that was dismissed is forgotten: its answers go nowhere', async () => {
    const sink = new Sink();
    const id = attach(sink);
    await turn();
    transport.channels[0]?.say({ type: 'detached', consumerId: id, reason: 'queue-removed', leader: 1 });
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
  transport.channels[0]?.lose();
  await turn();
  expect(sinks.map(({ calls }) => calls)).toEqual([['not-leader'], ['not-leader']]);
  const sink = new Sink();
  const id = attach(sink);
  await turn();
  expect(transport.channels).toHaveLength(2);
  transport.channels[1]?.say({ type: 'deliver', consumerId: id, deliveries: [item(1)] });
  await turn();
  expect(sink.calls).toEqual([[1]]);
});

test('what was settled on a channel that is lost goes nowhere: those messages come again', async () => {
  const id = attach(new Sink());
  consumers.settle(id, 1, true);
  transport.channels[0]?.lose();
  attach(new Sink(), 1, 2);
  await turn();
  expect(requests.map(({ type }) => type)).toEqual(['attach', 'attach']);
  expect(routes.leaderOf(1)).toBe(0);
});

describe('leaders', () => {
  test('a refusal is passed on with its hint, and the consumer is dismissed when that is known', () => {
    const sink = new Sink();
    const known: number[] = [];
    sink.dismissed = () => known.push(routes.leaderOf(1));
    const consumerId = attach(sink);
    transport.channels[0]?.say({ type: 'detached', consumerId, reason: 'not-leader', leader: 3 });
    expect(known).toEqual([3]);
  });

  test('one that refuses although it leads is not suspected', () => {
    const consumerId = attach(new Sink());
    transport.channels[0]?.say({ type: 'detached', consumerId, reason: 'not-leader', leader: 1 });
    expect(routes.leaderOf(1)).toBe(1);
  });

  test('a new one takes the consumers of its partition from a former one that says nothing, settled answers first', async () => {
    const [moved, stays] = [new Sink(), new Sink()];
    const id = attach(moved);
    attach(stays, 2);
    consumers.settle(id, 1, true);
    routes.announced(1, 2, 2);
    await turn();
    expect([moved.calls, stays.calls]).toEqual([['not-leader'], []]);
    expect(requests.map(({ type }) => type)).toEqual(['attach', 'attach', 'settle', 'detach']);
  });
});
