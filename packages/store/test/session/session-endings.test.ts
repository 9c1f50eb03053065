import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FIRST_LEVEL } from '@sluice/meta/feature-levels';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { Endings } from '@sluice/queue/session/endings';
import type { SessionMachine } from '@sluice/queue/session/session-machine';
import { Partition } from '../../src/partition/partition.ts';
import { StoreCluster } from '../support/store-cluster.ts';
import { TestSessions } from '../support/test-session.ts';
import { TestStore, until } from '../support/test-store.ts';

/** In three portions. */
const FILTERS = Array.from({ length: 2 * Endings.PORTION_STREAMS + 1 }, (_, i) => `f/${i}`);
const GATEWAY = 100;

/** How many portions may be proposed; the others are answered as by a node that does not lead any more. */
let allowed = 0;
let refused = 0;
beforeEach(() => {
  allowed = Number.POSITIVE_INFINITY;
  refused = 0;
  const { execute } = Partition.prototype;
  jest.spyOn(Partition.prototype, 'execute').mockImplementation(async function (this: Partition, command) {
    if (command.type !== 'end-portion') return execute.call(this, command);
    if (allowed <= 0) {
      refused++;
      return undefined;
    }
    allowed--;
    const reply = await execute.call(this, command);
    // On a busy machine a leadership may be over by then.
    if (reply === undefined) allowed++;
    return reply;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
});

async function keep(gateway: TestSessions, clientId: string): Promise<{ epoch: number; streamIds: number[] }> {
  const { epoch } = await gateway.open(clientId);
  return { epoch, streamIds: await gateway.subscribe(clientId, epoch, ...FILTERS) };
}

describe('on one store', () => {
  let store: TestStore;
  let gateway: TestSessions;
  const machine = (): SessionMachine => store.partition(1).machine.sessions;
  beforeEach(async () => {
    store = await TestStore.start();
    gateway = new TestSessions(store);
  });
  afterEach(() => store.remove());

  const isTakenApart = () => machine().endings.count === 0;

  test.each<[string, (epoch: number) => Promise<unknown>]>([
    ['DISCONNECT', (epoch) => gateway.close('c', epoch, 0)],
    ['Clean Start', () => gateway.open('c', { cleanStart: true, expiryS: 0 })],
    [
      'its time',
      async (epoch) => {
        await gateway.close('c', epoch, 1);
        store.skewMs += 2_000;
        store.partition(1).tick();
        await until(() => machine().sessionCount === 0, 'it is over');
      },
    ],
  ])('a session that ends by %s goes in portions, and its records with it', async (_by, end) => {
    const { epoch, streamIds } = await keep(gateway, 'c');
    const builder = new RecordBatchBuilder();
    const targets = streamIds.slice(0, 60).map((queueId) => ({ queueId, key: undefined }));
    builder.add(store.record(0, 'kept', { targets }));
    expect(await store.append(0, builder.finish())).toMatchObject({ status: 'committed', refused: [] });
    allowed = 0;
    await end(epoch);
    await until(() => refused > 0, 'a portion was asked for');
    expect([machine().sessionCount, machine().streamCount]).toEqual([0, FILTERS.length]);
    expect((await gateway.open('c')).present).toBe(false);
    allowed = Number.POSITIVE_INFINITY;
    store.partition(1).tick();
    await until(isTakenApart, 'nothing is left of it');
    expect(machine().streamCount).toBe(0);
    await until(() => store.partition(1).queues.depth === 0, 'its records are gone');
    expect(gateway.streams.size).toBe(0);
  });

  test('none ends in portions while a node may not know of them', async () => {
    const { featureLevel } = store.topology;
    store.topology.featureLevel = FIRST_LEVEL;
    allowed = 0;
    const first = await keep(gateway, 'c');
    await gateway.close('c', first.epoch, 0);
    expect([machine().sessionCount, machine().streamCount, refused]).toEqual([0, 0, 0]);

    store.topology.featureLevel = featureLevel;
    const { epoch } = await keep(gateway, 'c');
    await gateway.close('c', epoch, 0);
    await until(() => refused > 0, 'a portion was asked for');
  });

  test('one that is taken apart when the store stops is taken apart further when it is back', async () => {
    const { epoch } = await keep(gateway, 'c');
    allowed = 1;
    await gateway.close('c', epoch, 0);
    await until(() => refused > 0, 'one portion has gone');
    const left = FILTERS.length - Endings.PORTION_STREAMS;
    expect(machine().streamCount).toBe(left);
    allowed = 0;
    await store.restart();
    expect([machine().sessionCount, machine().streamCount, machine().endings.count]).toEqual([0, left, 1]);
    allowed = Number.POSITIVE_INFINITY;
    store.partition(1).tick();
    await until(isTakenApart, 'nothing is left of it');
    expect(machine().streamCount).toBe(0);
  });

  test('whoever comes back meanwhile gets what comes after, and nothing of before', async () => {
    const { streamIds } = await keep(gateway, 'c');
    const publish = async (text: string): Promise<void> => {
      const builder = new RecordBatchBuilder();
      builder.add(store.record(0, text, { targets: [{ queueId: streamIds[0] as number, key: undefined }] }));
      expect(await store.append(0, builder.finish())).toMatchObject({ status: 'committed', refused: [] });
    };
    await publish('before');
    allowed = 0;
    const { epoch, present } = await gateway.open('c', { cleanStart: true });
    expect(present).toBe(false);
    expect(await gateway.subscribe('c', epoch, FILTERS[0] as string)).toEqual(streamIds.slice(0, 1));
    gateway.attach('c', epoch);
    await publish('meanwhile');
    expect(await gateway.received('c', 1)).toEqual(['meanwhile']);
    allowed = Number.POSITIVE_INFINITY;
    store.partition(1).tick();
    await until(isTakenApart, 'nothing is left of the former one');
    await publish('after');
    expect(await gateway.received('c', 2)).toEqual(['meanwhile', 'after']);
    expect([...gateway.streams]).toEqual([[streamIds[0], FILTERS[0]]]);
  });
});

describe('on three stores', () => {
  let cluster: StoreCluster;
  afterEach(() => cluster.remove());

  test('the next leader goes on where the former one was killed, and all replicas come to the same', async () => {
    cluster = await StoreCluster.start(3, 1, [1, 2, 3]);
    const former = await cluster.leader(1);
    const partitionOf = (nodeId: number): Partition => cluster.node(nodeId).store.partitions.get(1) as Partition;
    const machineOf = (nodeId: number): SessionMachine => partitionOf(nodeId).machine.sessions;
    await until(() => partitionOf(former.nodeId).serves, 'it takes what gateways ask for');
    const gateway = new TestSessions(cluster, GATEWAY, former.nodeId);
    const { epoch } = await keep(gateway, 'c');
    allowed = 1;
    await gateway.close('c', epoch, 0);
    await until(() => refused > 0, 'one portion has gone');
    allowed = 0;
    await cluster.kill(former.nodeId);
    const next = await cluster.leader(1);
    expect(machineOf(next.nodeId).streamCount).toBe(FILTERS.length - Endings.PORTION_STREAMS);
    allowed = Number.POSITIVE_INFINITY;
    for (const nodeId of cluster.nodes.keys()) {
      await until(() => machineOf(nodeId).endings.count === 0, `node ${nodeId} has taken it apart`, 10_000);
      expect([machineOf(nodeId).streamCount, machineOf(nodeId).sessionCount]).toEqual([0, 0]);
    }
    // The one that was killed hears of it, too.
    await cluster.boot(former.nodeId);
    await until(() => machineOf(former.nodeId).streamCount === 0, 'it has caught up', 10_000);
    expect(machineOf(former.nodeId).endings.count).toBe(0);
  });
});
