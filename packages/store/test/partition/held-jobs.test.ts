import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { ConsumeRequest, ConsumeResponse, HeldItem } from '@sluice/rpc/contract/consume';
import type { Channel } from '@sluice/rpc/transport';
import { Resumption } from '../../src/partition/resumption.ts';
import { StoreCluster } from '../support/store-cluster.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { DEFINITION, rest, until } from '../support/test-store.ts';
import { type TestWorker, TestWorkers } from '../support/test-workers.ts';

/** Node ids of gateways; no store has them. */
const [PUBLISHER, GATEWAY, OTHER] = [100, 101, 102];

let cluster: StoreCluster;
let publisher: TestGateway;
let gateways: TestWorkers[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  publisher.close();
  for (const gateway of gateways) gateway.close();
  gateways = [];
  await cluster.remove();
});

/** Three stores, one partition, one queue. */
async function start(stores = 3): Promise<void> {
  cluster = await StoreCluster.grow(
    stores,
    1,
    Array.from({ length: stores }, (_, i) => i + 1),
  );
  await cluster.define({ queueId: 1, dispatchStrategy: 'round_robin' }, DEFINITION);
  publisher = new TestGateway(cluster, PUBLISHER, 1, 1);
}

function gateway(nodeId: number): TestWorkers {
  const made = new TestWorkers(cluster, nodeId);
  gateways.push(made);
  return made;
}

async function publish(...texts: string[]): Promise<void> {
  for (const text of texts) publisher.publish(text);
  await publisher.allAcknowledged();
}

/** The leader dies, and another one leads. */
async function failOver(): Promise<void> {
  await cluster.kill(cluster.leaderNow(1));
  await cluster.leader(1);
}

/** From now on a grace is over when the test says so, and not before. */
function graceUntil(): { begun(): number; end(): void } {
  jest.replaceProperty(Resumption, 'GRACE_MS', 3_600_000 as typeof Resumption.GRACE_MS);
  const timers = jest.spyOn(globalThis, 'setTimeout');
  const graces = () => timers.mock.calls.filter(([, ms]) => ms === Resumption.GRACE_MS);
  const end = (): void => {
    for (const [over] of graces()) over();
  };
  return { begun: () => graces().length, end };
}

const sorted = (...workers: TestWorker[]): string[] => workers.flatMap(({ texts }) => texts).sort();

describe('the leader changes while workers hold jobs', () => {
  test('killed: none is done twice, and windows stay as full as they are', async () => {
    await start();
    const [a, b] = [gateway(GATEWAY).employ(2), gateway(OTHER).employ(2)];
    await publish('1', '2', '3', '4', '5', '6');
    await Promise.all([a.has(2), b.has(2)]);
    await failOver();
    await until(() => a.isAttached && b.isAttached, 'both are attached again');
    await publish('7');
    await rest();
    expect(sorted(a, b)).toEqual(['1', '2', '3', '4']);
    for (const worker of [a, b]) worker.finish(...worker.held.keys());
    await until(() => a.received.length + b.received.length === 7, 'the others are delivered');
    expect(sorted(a, b)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
    expect([...a.received, ...b.received].every(({ count }) => count === 1)).toBe(true);
  });

  test('planned: it waits for no job, and none is done twice', async () => {
    await start();
    const worker = gateway(GATEWAY).employ(2);
    await publish('1', '2', '3');
    await worker.has(2);
    const former = await cluster.leader(1);
    expect(await former.store.handOver(5000)).toBe(true);
    await cluster.leader(1);
    worker.finish(0);
    await worker.has(3);
    expect(worker.texts).toEqual(['1', '2', '3']);
  });

  test('twice: the count of what is given back in the end is that of its deliveries', async () => {
    await start();
    const worker = gateway(GATEWAY).employ(1);
    const other = gateway(OTHER);
    await publish('1');
    await worker.has(1);
    const former = await cluster.leader(1);
    await former.store.handOver(5000);
    await until(() => cluster.leaderNow(1) !== 0 && worker.isAttached, 'attached');
    const next = other.employ(1);
    await failOver();
    await until(() => worker.isAttached && next.isAttached, 'attached again');
    worker.giveBack(0);
    await next.has(1);
    expect(next.received).toEqual([{ offset: 0, count: 2, text: '1' }]);
  });

  test('and what was accepted on its way to the former one is not done again', async () => {
    await start();
    const [workers, others] = [gateway(GATEWAY), gateway(OTHER)];
    const worker = workers.employ(2);
    await publish('1', '2');
    await worker.has(2);
    const former = cluster.leaderNow(1);
    cluster.network.cut(GATEWAY, former);
    worker.finish(0);
    expect(workers.consumers.unconfirmed).toBe(1);
    await failOver();
    const other = others.employ(5);
    await until(() => worker.isAttached && other.isAttached, 'attached');
    await until(() => workers.consumers.unconfirmed === 0, 'confirmed');
    await publish('3');
    await until(() => other.received.length + worker.received.length === 3, 'delivered');
    await rest();
    expect(sorted(worker, other)).toEqual(['1', '2', '3']);
  });

  test('and with it the gateway of a worker: its jobs are for others at once', async () => {
    await start();
    const [dying, living] = [gateway(GATEWAY), gateway(OTHER)];
    const lost = dying.employ(2);
    await publish('1', '2', '3');
    await lost.has(2);
    const worker = living.employ(5);
    await worker.has(1);
    cluster.network.stop(GATEWAY);
    // It would not end in this test.
    graceUntil();
    await failOver();
    await worker.has(3);
    expect(sorted(worker)).toEqual(['1', '2', '3']);
  });

  test('and a gateway stands still: its jobs are for others after the grace, and what it finishes then counts', async () => {
    await start();
    const [frozen, living] = [gateway(GATEWAY), gateway(OTHER)];
    const sleeper = frozen.employ(1);
    await publish('1', '2');
    await sleeper.has(1);
    for (const nodeId of [1, 2, 3]) cluster.network.cut(GATEWAY, nodeId);
    const worker = living.employ(5);
    await worker.has(1);
    const grace = graceUntil();
    await failOver();
    await until(() => worker.isAttached && grace.begun() > 0, 'attached, and the other one is waited for');
    await rest();
    expect(worker.received).toHaveLength(1);
    grace.end();
    await worker.has(2);
    expect(worker.received[1]).toMatchObject({ text: '1', count: 1 });
    for (const nodeId of [1, 2, 3]) cluster.network.heal(GATEWAY, nodeId);
    await until(() => sleeper.lostOffsets.length === 1, 'it is told that another one has it');
    sleeper.finish(0);
    await until(() => frozen.consumers.unconfirmed === 0, 'it counts');
    worker.retire();
    const last = living.employ(5);
    await last.has(1);
    expect(last.texts).toEqual(['2']);
  });

  test('to a store that began a moment ago: it waits for the gateways that are said to live', async () => {
    await start();
    const workers = gateway(GATEWAY);
    const worker = workers.employ(1);
    await publish('1', '2');
    await worker.has(1);
    const other = gateway(OTHER).employ(5);
    await other.has(1);
    const former = await cluster.leader(1);
    const heir = former.nodeId === 1 ? 2 : 1;
    await cluster.kill(heir);
    // The new process hears nothing of this gateway before it leads.
    cluster.network.cut(GATEWAY, heir);
    await cluster.boot(heir);
    cluster.gatewaysAlive(GATEWAY);
    await until(() => {
      former.host.transferLeadership(1, heir);
      return cluster.leaderNow(1) === heir;
    }, 'it leads');
    cluster.network.heal(GATEWAY, heir);
    await until(() => worker.isAttached && other.isAttached, 'attached');
    await publish('3');
    await other.has(2);
    expect([worker.texts, other.texts]).toEqual([['1'], ['2', '3']]);
  });
});

describe('two who say that they hold the same record', () => {
  let channels: { channel: Channel<ConsumeRequest, ConsumeResponse>; heard: ConsumeResponse[] }[] = [];
  const held: HeldItem[] = [{ offset: 0, rowBase: 0, deliveryCount: 1, sizeBytes: 10 }];

  function open(from: number) {
    const channel = cluster.network.node(from).open<ConsumeRequest, ConsumeResponse>(1, 'consume');
    const heard: ConsumeResponse[] = [];
    channel.onMessage((response) => heard.push(response));
    channels.push({ channel, heard });
    return { channel, heard };
  }

  const attach = (consumerId: number, over: { held?: HeldItem[]; generation?: number; window?: number } = {}) => ({
    type: 'attach' as const,
    consumerId,
    partition: 1,
    queueId: 1,
    window: 1,
    clientId: `c${consumerId}`,
    generation: 0,
    held: [],
    ...over,
  });
  const offsetsTo = (heard: ConsumeResponse[]): number[] =>
    heard.flatMap((each) => (each.type === 'deliver' ? each.deliveries.map(({ offset }) => offset) : []));

  afterEach(() => {
    for (const { channel } of channels) channel.close();
    channels = [];
  });

  test('the first keeps it; the other is told, and does not get more for it', async () => {
    await start(1);
    await publish('1', '2', '3');
    const [first, second] = [open(GATEWAY), open(OTHER)];
    first.channel.send(attach(1, { held }));
    second.channel.send(attach(1, { held, window: 2 }));
    await until(() => offsetsTo(second.heard).length > 0, 'the next is delivered');
    await rest();
    expect(offsetsTo(first.heard)).toEqual([]);
    expect(offsetsTo(second.heard)).toEqual([1]);
    expect(second.heard).toContainEqual({ type: 'lost', consumerId: 1, offsets: [0] });
  });

  test('of one gateway the newer channel has it, and the end of the older one takes it from nobody', async () => {
    await start(1);
    await publish('1');
    const former = open(GATEWAY);
    former.channel.send(attach(1, { held }));
    await rest();
    const present = open(GATEWAY);
    present.channel.send(attach(2, { held }));
    await rest();
    former.channel.close();
    const other = open(OTHER);
    other.channel.send(attach(1));
    await rest();
    expect(offsetsTo(other.heard)).toEqual([]);
    expect(present.heard.filter(({ type }) => type === 'lost')).toEqual([]);
    present.channel.close();
    await until(() => offsetsTo(other.heard).length === 1, 'it is given to the other');
  });

  test('of one gateway the older channel takes nothing any more', async () => {
    await start(1);
    await publish('1');
    const former = open(GATEWAY);
    open(GATEWAY);
    former.channel.send(attach(1, { held, window: 0 }));
    await until(() => former.heard.some(({ type }) => type === 'lost'), 'refused');
    const other = open(OTHER);
    other.channel.send(attach(1));
    await until(() => offsetsTo(other.heard).length === 1, 'it is given to the other');
  });

  test('by an older assignment nothing is taken', async () => {
    await start(1);
    await publish('1');
    const { channel, heard } = open(GATEWAY);
    channel.send(attach(1, { generation: 5, window: 0 }));
    channel.send(attach(2, { generation: 4, held }));
    const other = open(OTHER);
    other.channel.send(attach(1));
    await until(() => offsetsTo(other.heard).length === 1, 'delivered to the other');
    expect(heard).toContainEqual({ type: 'detached', consumerId: 2, reason: 'fenced', leader: 1 });
  });

  test('what somebody else has finished is not begun by anybody', async () => {
    await start(1);
    await publish('1', '2', '3');
    const { channel, heard } = open(GATEWAY);
    await until(() => heard.length > 0, 'it says that it leads');
    const { term } = heard[0] as Extract<ConsumeResponse, { type: 'leading' }>;
    const late = (offset: number, upTo: number): ConsumeRequest => ({
      type: 'settle-late',
      partition: 1,
      term,
      upTo,
      items: [{ queueId: 1, rowBase: 0, offset }],
    });
    // Nobody is attached yet; then while it waits for another; then while another has it.
    channel.send(late(0, 1));
    await until(() => heard.some(({ type }) => type === 'settled'), 'committed');
    channel.send(attach(1));
    await until(() => offsetsTo(heard).length === 1, 'the next is delivered');
    channel.send(late(1, 2));
    channel.send({ type: 'detach', consumerId: 1 });
    const other = open(OTHER);
    other.channel.send(attach(1, { window: 5 }));
    await until(() => offsetsTo(other.heard).length === 1, 'the last is delivered');
    expect([offsetsTo(heard), offsetsTo(other.heard)]).toEqual([[1], [2]]);
    await until(() => heard.filter(({ type }) => type === 'settled').length === 2, 'committed as well');
    // Of a leadership that this is not, nothing is confirmed.
    channel.send({ ...late(0, 9), term: 0 } as ConsumeRequest);
    await rest();
    expect(heard.filter(({ type }) => type === 'settled')).toEqual([
      { type: 'settled', partition: 1, upTo: 1 },
      { type: 'settled', partition: 1, upTo: 2 },
    ]);
  });
});
