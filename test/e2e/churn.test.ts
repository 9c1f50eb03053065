import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, sorted, until } from './support/until.ts';

const WINDOW = 10;
const REFUSED = 0x83;

let server: Broker;
let queues: Queues;
let publisher: Client;

beforeAll(async () => {
  server = await startBroker();
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt);
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
});

/** A worker that accepts, refuses, leaves and comes back as chance has it. */
class Fickle {
  readonly done: string[] = [];
  heldMax = 0;
  readonly #prng: SeededPrng;
  readonly #filter: string;

  constructor(seed: number, filter: string) {
    this.#prng = new SeededPrng(seed);
    this.#filter = filter;
  }

  async workUntil(over: () => boolean): Promise<void> {
    while (!over()) {
      const worker = await HandClient.connect(server.mqtt);
      await worker.subscribe(this.#filter);
      const shift = 1 + this.#prng.below(60);
      let answered = 0;
      while (answered < shift && !over()) {
        await new Promise((resolve) => setTimeout(resolve, 1 + this.#prng.below(4)));
        this.heldMax = Math.max(this.heldMax, worker.deliveries.length - answered);
        for (; answered < worker.deliveries.length && this.#prng.below(8) > 0; answered++)
          this.#answer(worker, answered);
      }
      await this.#leave(worker);
    }
  }

  #answer(worker: HandClient, n: number): void {
    if (this.#prng.below(10) === 0) {
      worker.ack(n, REFUSED);
      return;
    }
    worker.ack(n);
    this.done.push(worker.texts[n] as string);
  }

  async #leave(worker: HandClient): Promise<void> {
    const way = this.#prng.below(3);
    if (way === 0) await worker.unsubscribe(this.#filter);
    if (way < 2) worker.close();
    else worker.destroy();
  }
}

test.each(['random', 'round_robin', 'least_inflight'])(
  '%s: workers come, refuse and go while jobs are published: every job is done, no window is exceeded',
  async (strategy) => {
    const name = `churn-${strategy}`;
    await queues.create({ name, topic_filter: name, dispatch_strategy: strategy, redispatch_interval: '5ms' });
    const all = numbered(1500);
    let over = false;
    const workers = [1, 2, 3, 4].map((seed) => new Fickle(seed, `$queue/${name}`));
    const working = workers.map((worker) => worker.workUntil(() => over));
    for (let at = 0; at < all.length; at += 50) await publisher.publishAll(name, all.slice(at, at + 50));
    await until(async () => (await queues.statistics(name)).depth_messages === 0, 'every job is done', 25_000);
    over = true;
    await Promise.all(working);
    const done = new Set(workers.flatMap((worker) => worker.done));
    expect(sorted([...done])).toEqual(all);
    for (const { heldMax } of workers) expect(heldMax).toBeLessThanOrEqual(WINDOW);
    const figures = await queues.statistics(name);
    expect(figures).toMatchObject({ published_total: 1500, accepted_total: 1500, inflight_messages: 0 });
    expect(figures.returned_total).toBeGreaterThan(0);
  },
);

test('a queue deleted and re-created under its publishers and workers works in the end', async () => {
  const worker = await Client.connect(server.mqtt);
  await worker.subscribe('$queue/reborn', 1);
  let sent = 0;
  let over = false;
  // Deleting a queue is no reason to refuse a publisher, which in MQTT 3.1.1 would mean to disconnect it.
  const old = await Client.connect(server.mqtt, { version: 4 });
  const publishing = (async (): Promise<void> => {
    for (let i = 0; !over; i++) await (i % 2 === 0 ? publisher : old).publish('reborn', String(++sent));
  })();
  for (let round = 0; round < 15; round++) {
    await queues.create({ name: 'reborn', topic_filter: 'reborn' });
    const before = sent;
    await until(() => worker.received.some(({ text }) => Number(text) > before), 'messages of the new queue');
    await queues.remove('reborn');
  }
  over = true;
  await publishing;
  expect([publisher.isConnected, old.isConnected]).toEqual([true, true]);
  expect(worker.isConnected).toBe(true);
  // Nothing of an earlier queue in a later one, and no order reversed on the way.
  expect(worker.texts).toEqual(sorted(worker.texts));
  expect(new Set(worker.texts).size).toBe(worker.texts.length);
  await Promise.all([worker.close(), old.close()]);
});

test('definitions that change under load change nothing else', async () => {
  await queues.create({ name: 'restless', topic_filter: 'restless' });
  const workers = await Promise.all([1, 2].map(() => Client.connect(server.mqtt)));
  for (const worker of workers) await worker.subscribe('$queue/restless', 1);
  const all = numbered(1000);
  const publishing = (async (): Promise<void> => {
    for (let at = 0; at < all.length; at += 25) await publisher.publishAll('restless', all.slice(at, at + 25));
  })();
  let published = false;
  void publishing.then(() => {
    published = true;
  });
  for (let i = 0; !published; i++) {
    const dispatch_strategy = ['random', 'round_robin', 'least_inflight'][i % 3];
    await queues.update('restless', { dispatch_strategy, local_max_inflight: 1 + (i % 7) });
  }
  await publishing;
  await queues.depth('restless', 0);
  expect(sorted(workers.flatMap((worker) => worker.texts))).toEqual(all);
  await Promise.all(workers.map((worker) => worker.close()));
});
