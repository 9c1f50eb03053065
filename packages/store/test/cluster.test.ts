import { afterEach, describe, expect, test } from '@jest/globals';
import { StoreCluster } from './support/store-cluster.ts';
import { TestGateway } from './support/test-gateway.ts';
import { DEFINITION, NO_CHANGE, rest, until } from './support/test-store.ts';

/** Node ids of gateways; no store has them. */
const GATEWAY = 100;
const OTHER_GATEWAY = 101;

let cluster: StoreCluster;
const gateways: TestGateway[] = [];
afterEach(async () => {
  for (const gateway of gateways.splice(0)) gateway.close();
  await cluster.remove();
});

function gateway(nodeId: number, partition = 1, queueId = 1): TestGateway {
  const made = new TestGateway(cluster, nodeId, partition, queueId);
  gateways.push(made);
  return made;
}

/** Publishes with a few batches in flight at any time, until `done`. Returns what was published. */
async function publishUntil(publisher: TestGateway, done: () => Promise<void>): Promise<string[]> {
  const published: string[] = [];
  let isDone = false;
  const running = done().finally(() => {
    isDone = true;
  });
  while (!isDone) {
    if (publisher.unanswered < 8) {
      published.push(String(published.length + 1));
      publisher.publish(published.at(-1) as string);
    }
    await rest(1);
  }
  await running;
  await publisher.allAcknowledged();
  return published;
}

describe('with three stores', () => {
  test('the leader is killed under traffic: nothing acknowledged is lost, nothing changes places, consumers follow', async () => {
    cluster = await StoreCluster.start(3, 1, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    const consumer = gateway(OTHER_GATEWAY);
    consumer.consume(20);
    const published = await publishUntil(publisher, async () => {
      await until(() => publisher.acknowledged.length > 50, 'traffic flows');
      const leader = cluster.leaderNow(1);
      await cluster.kill(leader);
      await cluster.leader(1);
      const before = publisher.acknowledged.length;
      await until(() => publisher.acknowledged.length > before + 50, 'traffic flows again', 10_000);
    });
    await until(() => consumer.received.length === published.length, 'everything was delivered', 10_000);
    expect(publisher.acknowledged).toEqual(published);
    expect(consumer.received).toEqual(published);
  });

  test('a store that stops hands its leaderships over first: every publish is taken, nothing is delivered twice', async () => {
    cluster = await StoreCluster.grow(3, 2, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    const consumer = gateway(OTHER_GATEWAY);
    consumer.consume(20);
    const published = await publishUntil(publisher, async () => {
      await until(() => publisher.acknowledged.length > 50, 'traffic flows');
      const leader = await cluster.leader(1);
      expect(await leader.store.handOver(5000)).toBe(true);
      expect(leader.store.report().leads).toEqual([]);
      for (const partition of [1, 2]) expect(cluster.leaderNow(partition)).not.toBe(leader.nodeId);
      const before = publisher.acknowledged.length;
      await until(() => publisher.acknowledged.length > before + 50, 'traffic flows again');
      // It takes nothing back while it waits to be stopped.
      expect(leader.store.report().leads).toEqual([]);
    });
    await until(() => consumer.received.length === published.length, 'everything was delivered');
    expect(consumer.received).toEqual(published);
    expect([...consumer.deliveries.values()].filter((count) => count > 1)).toEqual([]);
  });

  test('a store that stops waits for nobody who is not there', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    for (const nodeId of [2, 3]) await cluster.kill(nodeId);
    // Whoever waited for them would wait for all the time there is.
    expect(typeof (await cluster.node(1).store.handOver(3_600_000))).toBe('boolean');
  });

  test('a leader that does not hear a follower, which others hear, says so until it does', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    const leader = await cluster.leader(1);
    const follower = [1, 2, 3].find((node) => node !== leader.nodeId) as number;
    const unheard = () => leader.store.report().leads.map((led) => led.unheard);
    await until(() => leader.store.report().leads.length === 1 && unheard()[0] === undefined, 'it hears everybody');
    cluster.network.cut(leader.nodeId, follower);
    cluster.network.cut(follower, leader.nodeId);
    await until(() => unheard()[0]?.[0] === follower, 'it is missed');
    cluster.network.heal(leader.nodeId, follower);
    cluster.network.heal(follower, leader.nodeId);
    await until(() => leader.store.report().leads.length === 1 && unheard()[0] === undefined, 'it is heard again');
  });

  test('a leader that is cut off hands nothing out, answers no question, and lets its consumers go', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    publisher.publish('1');
    await publisher.allAcknowledged();
    const former = await cluster.leader(1);
    cluster.isolate(former.nodeId);
    const figures = former.store.admin.answer({ type: 'statistics', queueIds: [1] });
    const successor = await cluster.leader(
      1,
      [1, 2, 3].filter((node) => node !== former.nodeId),
    );
    await until(() => former.store.report().leads.length === 0, 'it noticed');
    expect(await figures).toMatchObject({ type: 'statistics', queues: [], elsewhere: [{ partition: 1 }] });
    for (const request of [
      { type: 'purge', queueId: 1, partition: 0 },
      { type: 'membership', partition: 1 },
    ] as const) {
      expect(await former.store.admin.answer(request)).toMatchObject({ type: 'refused', code: 'not-leader' });
    }
    const answer = await successor.store.admin.answer({ type: 'statistics', queueIds: [1] });
    expect(answer).toMatchObject({ queues: [{ queueId: 1, depth: 1 }], elsewhere: [] });
    cluster.rejoin(former.nodeId);
    await until(() => former.host.leaderOf(1) === successor.nodeId, 'it follows');
    expect(await former.store.admin.answer({ type: 'purge', queueId: 1, partition: 0 })).toMatchObject({
      leader: successor.nodeId,
    });
  });

  test('a leader that stood still hands nothing out before a majority has confirmed it', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    const consumer = gateway(OTHER_GATEWAY);
    consumer.consume(20);
    publisher.publish('1');
    await until(() => consumer.received.length === 1, 'delivered');
    const { host } = cluster.node(1);
    const leads = host.leads.bind(host);
    host.leads = () => false;
    publisher.publish('2');
    await publisher.allAcknowledged();
    await rest();
    expect(consumer.received).toEqual(['1']);
    host.leads = leads;
    await until(() => consumer.received.length === 2, 'delivered after all');
  });

  test('what a leader had begun is ended by the next: a removed queue is swept, one over its limit trimmed', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    const limits = { countMax: 5, bytesMax: null, overflow: 'drop_oldest' as const };
    await cluster.define({ queueId: 1 }, DEFINITION);
    await cluster.define({ queueId: 2 }, DEFINITION);
    for (const [n, queueId] of [1, 2].entries()) {
      const publisher = gateway(GATEWAY + 10 + n, 1, queueId);
      for (let text = 1; text <= 10; text++) publisher.publish(String(text));
      await publisher.allAcknowledged();
    }
    // The leader takes the commands and never acts on what they ask for.
    const stalled = await cluster.leader(1);
    const { engine } = stalled;
    engine.hold();
    await cluster.define({ queueId: 1, limits }, DEFINITION);
    await cluster.undefine(2);
    await cluster.kill(stalled.nodeId);
    const next = await cluster.leader(1);
    await until(async () => {
      const answer = await next.store.admin.answer({ type: 'statistics', queueIds: [1] });
      return answer.type === 'statistics' && answer.queues[0]?.depth === 5 && next.store.report().leads[0]?.depth === 5;
    }, 'trimmed and swept');
  });

  test('a leader without space hands over to one that has some, which does not give it back', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    // Whom the coordinator prefers is asked whether it would.
    const { admin } = cluster.node(1).store;
    const answer = admin.answer.bind(admin);
    const would: boolean[] = [];
    admin.answer = async (request) => {
      const answered = await answer(request);
      if (answered.type === 'would-lead') would.push(answered.would);
      return answered;
    };
    cluster.node(1).isFull = true;
    cluster.node(2).isFull = true;
    await cluster.leader(1, [3]);
    would.length = 0;
    publisher.publish('1');
    await until(() => would.length > 0, 'it was asked to take it back');
    expect(would).toEqual([false]);
    publisher.publish('2');
    await publisher.allAcknowledged();
    expect(cluster.leaderNow(1)).toBe(3);
    expect(publisher.statuses).not.toContain('storage-full');
  });

  test('leadership goes to whom the coordinator prefers once that is back, and stays with whom it finds otherwise', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    await cluster.leader(1, [1]);
    await cluster.kill(1);
    await cluster.leader(1, [2, 3]);
    await cluster.boot(1);
    await cluster.leader(1, [1]);
    cluster.place(1, [1, 2, 3], 3);
    await cluster.leader(1, [3]);
  });

  test('all are killed and start again: what was acknowledged is there, in order', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    const published = await publishUntil(publisher, () => until(() => publisher.acknowledged.length > 30, 'published'));
    for (const nodeId of [1, 2, 3]) await cluster.kill(nodeId);
    await Promise.all([1, 2, 3].map((nodeId) => cluster.boot(nodeId)));
    await cluster.leader(1);
    const consumer = gateway(OTHER_GATEWAY);
    consumer.consume(100);
    await until(() => consumer.received.length === published.length, 'everything was delivered');
    expect(consumer.received).toEqual(published);
  });
});

describe('a partition moves', () => {
  const isWithoutReplica = (nodeId: number): boolean => {
    const { host, store } = cluster.node(nodeId);
    return store.report().replicas.length === 0 && ![...host.storedGroups()].includes(1);
  };

  test('from one store to three, under traffic: afterwards any of them may die', async () => {
    cluster = await StoreCluster.start(3, 1, [1]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    const published = await publishUntil(publisher, async () => {
      await until(() => publisher.acknowledged.length > 50, 'traffic flows');
      cluster.place(1, [1, 2, 3], 1);
      await until(() => cluster.voters(1).join() === '1,2,3', 'all three vote', 10_000);
      await cluster.kill(1);
      await cluster.leader(1);
    });
    const consumer = gateway(OTHER_GATEWAY);
    consumer.consume(100);
    await until(() => consumer.received.length === published.length, 'everything was delivered');
    expect(consumer.received).toEqual(published);
  });

  test('to other stores, under traffic: its leader hands over, and who has left keeps nothing', async () => {
    cluster = await StoreCluster.grow(5, 1, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    const consumer = gateway(OTHER_GATEWAY);
    consumer.consume(20);
    await cluster.leader(1, [1]);
    const published = await publishUntil(publisher, async () => {
      await until(() => publisher.acknowledged.length > 50, 'traffic flows');
      cluster.place(1, [3, 4, 5], 5);
      await until(() => cluster.voters(1).join() === '3,4,5', 'the others vote', 10_000);
      await cluster.leader(1, [5]);
      await until(() => isWithoutReplica(1) && isWithoutReplica(2), 'the former replicas are gone', 10_000);
    });
    await until(() => consumer.received.length === published.length, 'everything was delivered', 10_000);
    expect(publisher.acknowledged).toEqual(published);
    expect(consumer.received).toEqual(published);
  });

  test('away and back again: the replica begins anew and catches up', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    await cluster.define({ queueId: 1 }, DEFINITION);
    const publisher = gateway(GATEWAY);
    const published = await publishUntil(publisher, async () => {
      cluster.place(1, [1, 2]);
      await until(() => cluster.voters(1).join() === '1,2' && isWithoutReplica(3), 'the third is gone', 10_000);
      cluster.place(1, [1, 2, 3]);
      await until(() => cluster.voters(1).join() === '1,2,3', 'the third is back', 10_000);
    });
    await cluster.kill((await cluster.leader(1)).nodeId);
    await cluster.leader(1);
    const consumer = gateway(OTHER_GATEWAY);
    consumer.consume(100);
    await until(() => consumer.received.length === published.length, 'everything was delivered', 10_000);
    expect(consumer.received).toEqual(published);
  });

  test('in the image of one store only: its replica stays as long as the group counts on it', async () => {
    cluster = await StoreCluster.grow(3, 1, [1, 2, 3]);
    const leader = await cluster.leader(1);
    const misled = cluster.node([1, 2, 3].find((node) => node !== leader.nodeId) as number);
    const place = { partition: 1, replicas: [leader.nodeId], preferredLeader: 0, bootstrap: false };
    misled.topology.applyDelta({ ...NO_CHANGE, epoch: misled.topology.epoch + 1, partitions: [place] });
    let asked = 0;
    const answer = leader.store.admin.answer.bind(leader.store.admin);
    leader.store.admin.answer = (request) => {
      if (request.type === 'membership') asked++;
      return answer(request);
    };
    misled.store.topologyChanged();
    await until(() => asked >= 2, 'it has asked');
    await rest();
    expect(misled.store.report().replicas).toEqual([1]);
    expect(cluster.voters(1)).toEqual([1, 2, 3]);
  });
});
