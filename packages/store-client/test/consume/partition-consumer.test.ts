import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import type { ConsumeRequest, ConsumeResponse, DeliverItem, LateItem } from '@sluice/rpc/contract/consume';
import { type ConsumerSink, PartitionConsumer } from '../../src/consume/partition-consumer.ts';
import { RouteTable } from '../../src/route/route-table.ts';
import { clusterOf } from '../doubles/cluster-image.ts';
import { ScriptedTransport } from '../doubles/scripted-transport.ts';

class Sink implements ConsumerSink {
  readonly calls: unknown[] = [];
  delivered(items: readonly DeliverItem[]): void {
    this.calls.push(items.map(({ offset }) => offset));
  }
  waiting(isWaiting: boolean): void {
    this.calls.push(isWaiting);
  }
  lost(offsets: readonly number[]): void {
    this.calls.push({ lost: offsets });
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
  const topology = clusterOf([1, 2, 3], 2);
  routes = new RouteTable(topology);
  routes.announced(1, 1, 1);
  routes.announced(2, 1, 1);
  consumers = new PartitionConsumer({ topology, routes, transport, clock: systemClock });
});
afterEach(() => consumers.close());

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function attach(sink: ConsumerSink, partition = 1, nodeId = 1): number {
  return consumers.attach({ nodeId, partition, queueId: 7, window: 10, clientId: 'c', generation: 0, held: [], sink });
}

/** As its delivery said. */
function settle(consumerId: number, offset: number, accepted: boolean, partition = 1): void {
  consumers.settle(consumerId, { partition, queueId: 7, rowBase: 0, offset }, accepted);
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

  test('that was dismissed is forgotten: what it gives back goes nowhere', async () => {
    const sink = new Sink();
    const id = attach(sink);
    await turn();
    transport.channels[0]?.say({ type: 'detached', consumerId: id, reason: 'queue-removed', leader: 1 });
    await turn();
    expect(sink.calls).toEqual(['queue-removed']);
    settle(id, 1, false);
    consumers.setWindow(id, 5);
    consumers.detach(id);
    await turn();
    expect(requests.map(({ type }) => type)).toEqual(['attach']);
  });
});

describe('settlements', () => {
  test('of one turn travel in one message a partition, whoever gave them', async () => {
    const [a, b, other] = [attach(new Sink()), attach(new Sink()), attach(new Sink(), 2)];
    settle(a, 1, true);
    settle(b, 2, false);
    settle(other, 9, true, 2);
    settle(a, 3, true);
    await turn();
    expect(requests.slice(3)).toMatchObject([
      {
        type: 'settle',
        partition: 1,
        upTo: 2,
        items: [
          { consumerId: a, offset: 1, accepted: true },
          { consumerId: b, offset: 2, accepted: false },
          { consumerId: a, offset: 3, accepted: true },
        ],
      },
      { type: 'settle', partition: 2, upTo: 1, items: [{ consumerId: other, offset: 9, accepted: true }] },
    ]);
  });

  test('go before the detach of the same turn', async () => {
    const id = attach(new Sink());
    settle(id, 1, true);
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

describe('what is accepted', () => {
  const late = (): LateItem[] => requests.flatMap((request) => (request.type === 'settle-late' ? request.items : []));

  test('and not confirmed is told to the next leader after all that attach there, and then that this was all', async () => {
    const id = attach(new Sink());
    settle(id, 1, true);
    settle(id, 2, false);
    transport.channels[0]?.lose();
    requests.length = 0;
    routes.onLeader((_, nodeId) => attach(new Sink(), 1, nodeId));
    consumers.topologyChanged();
    transport.to(2).say({ type: 'leading', partition: 1, term: 5 });
    expect(requests).toMatchObject([
      { type: 'attach' },
      { type: 'settle-late', partition: 1, term: 5, upTo: 1, items: [{ queueId: 7, rowBase: 0, offset: 1 }] },
      { type: 'resumed', partition: 1, term: 5 },
    ]);
  });

  test('is told to nobody any more once it is confirmed', () => {
    consumers.topologyChanged();
    transport.to(1).say({ type: 'leading', partition: 1, term: 1 });
    const id = attach(new Sink());
    for (const offset of [1, 2, 3]) settle(id, offset, true);
    transport.to(1).say({ type: 'settled', partition: 1, upTo: 2 });
    expect(consumers.unconfirmed).toBe(1);
    transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    expect(late().map(({ offset }) => offset)).toEqual([3]);
  });

  test('speaks for a leadership only when that was told what no earlier one had confirmed', async () => {
    const marks = (): number[] => requests.flatMap((request) => ('upTo' in request ? [request.term] : []));
    const id = attach(new Sink());
    settle(id, 1, true);
    await turn();
    transport.to(1).say({ type: 'leading', partition: 1, term: 4 });
    settle(id, 2, true);
    await turn();
    expect([marks(), late().map(({ offset }) => offset)]).toEqual([[0, 4, 4], [1]]);
  });

  test('by a client whose consumer is gone is told as well; what that one gives back is not', async () => {
    attach(new Sink());
    settle(0, 5, true);
    settle(0, 6, false);
    await turn();
    expect(requests.slice(1)).toMatchObject([{ type: 'settle-late', items: [{ queueId: 7, rowBase: 0, offset: 5 }] }]);
  });

  test('in one turn in both ways is confirmed by the second message', async () => {
    transport.sent = (_, request) => requests.push(request);
    const id = attach(new Sink());
    settle(0, 5, true);
    settle(id, 6, true);
    await turn();
    expect(requests.slice(1)).toMatchObject([
      { type: 'settle-late', upTo: 0 },
      { type: 'settle', upTo: 2 },
    ]);
  });

  test('says nothing to a leader of an older term than another is known to lead in', () => {
    consumers.topologyChanged();
    routes.announced(1, 3, 7);
    requests.length = 0;
    transport.to(2).say({ type: 'leading', partition: 1, term: 6 });
    expect(requests).toEqual([]);
  });
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
    settle(id, 1, true);
    routes.announced(1, 2, 2);
    await turn();
    expect([moved.calls, stays.calls]).toEqual([['not-leader'], []]);
    expect(requests.map(({ type }) => type)).toEqual(['attach', 'attach', 'settle', 'detach']);
  });
});
