import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from '../e2e/support/client.ts';
import { HandClient } from '../e2e/support/hand-client.ts';
import { Queues } from '../e2e/support/queues.ts';
import { numbered, sorted, until } from '../e2e/support/until.ts';
import { ServerProcess } from '../harness/server-process.ts';
import { Keda } from './keda.ts';

let server: ServerProcess;
let queues: Queues;
let publisher: Client;

beforeAll(async () => {
  server = await ServerProcess.start({ flags: ['--scaler', '127.0.0.1:0'] });
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt);
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
});

/** As a Deployment: workers are added and taken away, those with a job are not asked whether it suits them. */
class Fleet {
  readonly workers: HandClient[] = [];
  readonly #queue: string;
  finished: string[] = [];

  constructor(queue: string) {
    this.#queue = queue;
  }

  async scale(count: number): Promise<void> {
    while (this.workers.length < count) {
      const worker = await HandClient.connect(server.mqtt);
      await worker.subscribe(`$queue/${this.#queue}`);
      this.workers.push(worker);
    }
    while (this.workers.length > count) this.workers.pop()?.close();
    await queues.consumers(this.#queue, count);
  }

  /** Every worker that has a job ends it; each has one at most. */
  async finish(): Promise<void> {
    for (const worker of this.workers) {
      const last = worker.deliveries.length - 1;
      const delivery = worker.deliveries[last];
      if (delivery === undefined || this.finished.includes(delivery.text)) continue;
      this.finished.push(delivery.text);
      worker.ack(last);
    }
  }
}

test('a fleet goes from none to what a surge needs, and back to none when the last job is done', async () => {
  await queues.create({ name: 'surge', topic_filter: 'surge', local_max_inflight: 1 });
  const keda = new Keda(server.address('scaler'), { queue: 'surge', target: '5' }, 20);
  const fleet = new Fleet('surge');
  try {
    await until(() => keda.pushed.length === 1, 'it hears how it is');
    expect(keda.pushed[0]?.active).toBe(false);
    expect(await keda.replicas()).toBe(0);

    await publisher.publishAll('surge', numbered(1));
    await until(() => keda.pushed.length === 2, 'it hears of the first message');
    expect(keda.pushed[1]?.active).toBe(true);
    expect(await keda.replicas()).toBe(1);

    await publisher.publishAll('surge', numbered(41).slice(1));
    expect(await keda.replicas()).toBe(9);
    await fleet.scale(9);
    const depths: number[] = [];
    while (fleet.finished.length < 41) {
      const left = 41 - fleet.finished.length;
      const busy = Math.min(fleet.workers.length, left);
      await until(async () => (await queues.statistics('surge')).inflight_messages === busy, `${busy} work`);
      // Never fewer than work, however little waits behind them.
      const wanted = await keda.replicas();
      expect(wanted).toBe(Math.max(Math.ceil(left / 5), busy));
      depths.push(left);
      await fleet.finish();
      await queues.depth('surge', 41 - fleet.finished.length);
      // Workers that have nothing to do are taken away.
      await fleet.scale(Math.min(fleet.workers.length, await keda.replicas()));
    }
    expect(depths).toEqual([41, 32, 23, 14, 5]);
    expect(sorted(fleet.finished)).toEqual(numbered(41));
    await until(() => keda.pushed.length === 3, 'it hears that all is done');
    expect(keda.pushed[2]?.active).toBe(false);
    expect(await keda.replicas()).toBe(0);
    await fleet.scale(0);
  } finally {
    keda.close();
    await fleet.scale(0);
  }
});

test('what is wrong with a trigger is said to its author', async () => {
  const replicas = async (metadata: Record<string, string>) => {
    const keda = new Keda(server.address('scaler'), metadata, 5);
    try {
      return await keda.replicas();
    } finally {
      keda.close();
    }
  };
  await expect(replicas({ queue: 'surgе' })).rejects.toThrow(/NOT_FOUND.*surgе/);
  await expect(replicas({ queue: 'surge', lagThreshold: '5' })).rejects.toThrow(/INVALID_ARGUMENT.*lagThreshold/);
});

test('the page of metrics counts what was asked, and the log of a stop is clean', async () => {
  const { host, port } = server.address('http');
  const page = await (await fetch(`http://${host}:${port}/metrics`)).text();
  expect(page).toMatch(/^sluice_scaler_requests_total\{.*method="GetMetrics".*outcome="ok".*\} [1-9]/m);
  expect(page).toMatch(/^sluice_scaler_requests_total\{.*outcome="not_found".*\} 1$/m);
  await server.stop();
  expect(server.log).not.toMatch(/"level":"error"/);
});
