import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type ClusterProcess, ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { MOSQUITTO, testWith } from '../harness/left-out.ts';
import { type MosquittoMessage, MosquittoSub, mosquittoPub } from '../harness/mosquitto.ts';
import { RestClient } from '../harness/rest.ts';
import { type Address, addressOf } from '../harness/server-process.ts';
import type { Broker } from './support/broker.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, sorted, until } from './support/until.ts';

const SHARES = 40;
const QOS1 = ['-q', '1', '-V', '5'];

let cluster: ClusterUnderTest;
let queues: Queues;
let subs: MosquittoSub[] = [];

beforeAll(async () => {
  cluster = await ClusterUnderTest.start({ layout: 'compact' });
  queues = new Queues({ rest: () => restOf(0) } as Broker);
}, 120_000);

afterEach(async () => {
  await Promise.all(subs.map((sub) => sub.stop('SIGKILL')));
  subs = [];
});

afterAll(() => cluster?.dispose());

/** The n-th gateway. */
function at(n: number): Address {
  return addressOf((cluster.gateways()[n] as ClusterProcess).mqtt);
}

function restOf(n: number): RestClient {
  return new RestClient(`http://${(cluster.nodes[n] as ClusterProcess).http}`, 'harness', 'harness-secret');
}

async function subscribe(n: number, filter: string, more: string[] = QOS1): Promise<MosquittoSub> {
  const sub = await MosquittoSub.start(at(n), filter, more);
  subs.push(sub);
  return sub;
}

async function publish(n: number, topic: string, text: string, more: string[] = QOS1): Promise<void> {
  expect(await mosquittoPub(at(n), topic, text, more)).toEqual({ code: 0, errors: '' });
}

/** A subscription is known to the other gateways a moment after it was acknowledged. */
async function known(topic: string, ...heard: MosquittoSub[]): Promise<void> {
  const has = (sub: MosquittoSub, text: string): boolean => sub.messages.some(({ payload }) => payload === text);
  for (let n = 0; n < cluster.gateways().length; n++) {
    await until(async () => {
      await publish(n, topic, `probe ${n}`);
      return heard.every((sub) => has(sub, `probe ${n}`));
    }, `what is published at gateway ${n} reaches everybody`);
  }
}

function texts(messages: readonly MosquittoMessage[]): string[] {
  return messages.map(({ payload }) => payload).filter((text) => !text.startsWith('probe'));
}

testWith(MOSQUITTO, 'what is published at one gateway reaches subscribers at all, once', async () => {
  const all = await Promise.all([0, 1, 2].map((n) => subscribe(n, 'live/#')));
  await known('live/x', ...all);
  for (const n of [0, 1, 2]) await publish(n, 'live/x', `from ${n}`, ['-q', String(n), '-V', n === 1 ? '311' : '5']);
  for (const sub of all) {
    await until(() => texts(sub.messages).length === 3, 'all three');
    expect(sorted(texts(sub.messages))).toEqual(['from 0', 'from 1', 'from 2']);
  }
});

testWith(MOSQUITTO, 'a shared subscription has one taker a message, on whichever gateway', async () => {
  const members = await Promise.all([0, 1, 2].map((n) => subscribe(n, '$share/g/shared/#')));
  const onlooker = await subscribe(1, 'shared/#');
  await known('shared/x', onlooker);
  await Promise.all(numbered(SHARES).map((text, i) => publish(i % 3, 'shared/x', text)));
  const taken = (): string[] => members.flatMap((member) => texts(member.messages));
  await until(
    () => new Set(taken()).size === SHARES,
    () => `all are taken, there are ${taken().length}`,
  );
  await until(() => texts(onlooker.messages).length === SHARES, 'the onlooker has all');
  expect(sorted(taken())).toEqual(numbered(SHARES));
});

testWith(MOSQUITTO, 'a retained message is had at every gateway, and taken back at any', async () => {
  await publish(0, 'kept/x', 'still here', [...QOS1, '-r']);
  for (const n of [0, 1, 2]) {
    const sub = await subscribe(n, 'kept/#');
    expect((await sub.received(1))[0]).toMatchObject({ payload: 'still here', retain: 1 });
  }
  await publish(2, 'kept/x', '', [...QOS1, '-r']);
  const late = await subscribe(1, 'kept/#');
  await publish(1, 'kept/y', 'after', QOS1);
  expect(texts(await late.received(1))).toEqual(['after']);
});

testWith(MOSQUITTO, 'a client id that connects at another gateway takes the connection over', async () => {
  const first = await HandClient.connect(at(0), { clientId: 'wanderer' });
  const second = await HandClient.connect(at(1), { clientId: 'wanderer' });
  await until(() => first.isClosed, 'the first connection is put out');
  expect(second.isClosed).toBe(false);
  second.destroy();
});

test('strategies are exact over gateways: round robin in the order of joining', async () => {
  await queues.create({ name: 'robin', topic_filter: 'robin', dispatch_strategy: 'round_robin' });
  const workers: HandClient[] = [];
  for (const n of [0, 1, 2]) {
    const worker = await HandClient.connect(at(n));
    await worker.subscribe('$queue/robin');
    workers.push(worker);
    await queues.consumers('robin', n + 1);
  }
  const publisher = await HandClient.connect(at(1));
  for (const text of numbered(6)) expect(await publisher.publishQoS1('robin', text)).toBe(0);
  await until(() => workers.every(({ deliveries }) => deliveries.length === 2), 'two each');
  expect(workers.map((worker) => worker.texts)).toEqual([
    ['1', '4'],
    ['2', '5'],
    ['3', '6'],
  ]);
  for (const client of [...workers, publisher]) client.destroy();
  await queues.consumers('robin', 0);
});

test('a gateway that dies gives back at once what its workers held; the figures are the same everywhere', async () => {
  await queues.create({ topic_filter: 'held', local_max_inflight: 5 });
  const leader = await cluster.leaderOf('held');
  const doomed = cluster.nodes.findIndex(({ name }) => name !== leader);
  const survivor = cluster.nodes.findIndex(({ name }, n) => n !== doomed && name !== leader);
  const publisher = await HandClient.connect(at(survivor));
  for (const text of numbered(8)) await publisher.publishQoS1('held', text);
  const dying = await HandClient.connect(at(doomed));
  await dying.subscribe('$q/held');
  await dying.received(5);
  const living = await HandClient.connect(at(survivor));
  await living.subscribe('$q/held');
  await living.received(3);
  const node = cluster.nodes[doomed] as ClusterProcess;
  await node.kill();
  living.ackAll();
  await living.received(8);
  expect(sorted(living.texts)).toEqual(numbered(8));
  for (let n = 3; n < 8; n++) living.ack(n);
  await cluster.restart(node.name);
  for (const n of [0, 1, 2]) {
    const everywhere = new Queues({ rest: () => restOf(n) } as Broker);
    await everywhere.depth('/held', 0);
    expect(await everywhere.statistics('/held')).toMatchObject({ published_total: 8, accepted_total: 8 });
  }
  for (const client of [living, publisher]) client.destroy();
}, 60_000);

test('what was retained and acknowledged is seen by who subscribes later, at any gateway, while a node is killed', async () => {
  const doomed = 2;
  const node = cluster.nodes[doomed] as ClusterProcess;
  const publishers = await Promise.all([0, 1].map((n) => HandClient.connect(at(n))));
  const last = new Map<string, string>();
  let missed = 0;
  for (let round = 0; round < 40; round++) {
    if (round === 10) await node.kill();
    if (round === 25) await cluster.restart(node.name);
    const topic = `survives/${round % 8}`;
    const isErased = round % 5 === 4;
    const text = isErased ? '' : `round ${round}`;
    const publisher = publishers[round % 2] as HandClient;
    expect(await publisher.publishQoS1(topic, text, true)).toBe(0);
    if (isErased) last.delete(topic);
    else last.set(topic, text);
    // Another gateway than the one it was published at.
    const reader = await HandClient.connect(at((round + 1) % 2));
    await reader.subscribe('survives/#');
    await until(
      () => reader.deliveries.length >= last.size,
      () => `${last.size} retained, there are ${reader.texts}`,
      20_000,
    );
    if (sorted(reader.texts).join() !== sorted([...last.values()]).join()) missed++;
    reader.destroy();
  }
  expect(missed).toBe(0);
  for (const publisher of publishers) publisher.destroy();
}, 120_000);
