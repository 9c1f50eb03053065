import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ClusterProcess, ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { RestClient } from '../harness/rest.ts';
import { addressOf } from '../harness/server-process.ts';
import type { Broker } from './support/broker.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, sorted, until } from './support/until.ts';

const HELD = 3;
const FIRST = 10;
const ALL = 12;
const MOVE_MS_MAX = 60_000;

/** How the node that leads a queue may go, and come back. */
const GOINGS: {
  how: string;
  go(node: ClusterProcess): Promise<unknown>;
  comeBack(node: ClusterProcess): Promise<unknown>;
}[] = [
  {
    how: 'is killed',
    go: (node) => node.kill(),
    comeBack: ({ name }) => cluster.restart(name),
  },
  {
    how: 'is drained by an operator',
    go: ({ name }) => cluster.wish(name, 'drain'),
    comeBack: ({ name }) => cluster.wish(name, 'undrain'),
  },
  {
    how: 'stops in order',
    go: (node) => node.stop(),
    comeBack: ({ name }) => cluster.restart(name),
  },
];

let cluster: ClusterUnderTest;

beforeAll(async () => {
  cluster = await ClusterUnderTest.start({ layout: 'compact' });
}, 120_000);

afterAll(() => cluster?.dispose());

function queuesAt(node: ClusterProcess): Queues {
  return new Queues({ rest: () => new RestClient(`http://${node.http}`, 'harness', 'harness-secret') } as Broker);
}

async function clientAt(node: ClusterProcess): Promise<HandClient> {
  return await HandClient.connect(addressOf(node.mqtt));
}

test.each(GOINGS.map((going, i) => ({ ...going, queue: `held-${i}` })))(
  'workers hold jobs while the node that leads their queue $how: each job is done once',
  async ({ queue, go, comeBack }) => {
    const anybody = queuesAt(cluster.nodes[0] as ClusterProcess);
    await anybody.create({ topic_filter: queue, local_max_inflight: HELD, dispatch_strategy: 'least_inflight' });
    const leader = await cluster.leaderOf(queue);
    const leading = cluster.node(leader);
    const staying = cluster.nodes.filter(({ name }) => name !== leader);
    const queues = queuesAt(staying[0] as ClusterProcess);
    const publisher = await clientAt(staying[0] as ClusterProcess);
    const workers = await Promise.all(staying.map(clientAt));
    for (const worker of workers) await worker.subscribe(`$q/${queue}`);
    for (const text of numbered(FIRST)) expect(await publisher.publishQoS1(queue, text)).toBe(0);
    for (const worker of workers) await worker.received(HELD);

    const going = go(leading);
    // Answers that may meet nobody: the next leader has to be told of them.
    for (const worker of workers) worker.ack(0);
    await going;
    await until(async () => (await cluster.leaderOf(queue)) !== leader, 'another node leads', MOVE_MS_MAX);
    for (const text of ['11', '12']) expect(await publisher.publishQoS1(queue, text)).toBe(0);
    for (const worker of workers) await worker.received(HELD + 1, MOVE_MS_MAX);

    const answered = workers.map(() => 1);
    const texts = (): string[] => workers.flatMap((worker) => worker.texts);
    await until(
      () => {
        for (const [i, worker] of workers.entries()) {
          const next = answered[i] as number;
          if (next >= worker.deliveries.length) continue;
          answered[i] = next + 1;
          worker.ack(next);
        }
        return texts().length >= ALL && workers.every(({ deliveries }, i) => answered[i] === deliveries.length);
      },
      () => `all are delivered and answered, there are ${texts().length}`,
      MOVE_MS_MAX,
    );
    await queues.depth(`/${queue}`, 0);
    expect(sorted(texts())).toEqual(numbered(ALL));
    expect(workers.flatMap(({ deliveries }) => deliveries.map(({ count }) => count))).toEqual(new Array(ALL).fill(1));
    expect(await queues.statistics(`/${queue}`)).toMatchObject({ accepted_total: ALL, returned_total: 0 });
    for (const client of [publisher, ...workers]) client.destroy();
    await comeBack(leading);
    await cluster.atRest(MOVE_MS_MAX, { balanced: false });
  },
  180_000,
);
