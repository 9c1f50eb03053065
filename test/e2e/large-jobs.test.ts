import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Broker, startBroker } from './support/broker.ts';
import { Client, type ClientOptions } from './support/client.ts';
import { parsePage } from './support/prometheus-text.ts';
import { Queues } from './support/queues.ts';
import { numbered, sorted, until } from './support/until.ts';

let server: Broker;
let queues: Queues;
let publisher: Client;
let workers: Client[] = [];
let name = '';

beforeAll(async () => {
  server = await startBroker();
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt);
  // Workers that come before say up to which size they take jobs a moment later.
  const level = async (): Promise<number> => ((await server.rest().get('/api/v5/cluster')).body as Level).feature_level;
  await until(async () => (await level()) >= 4, 'the stores know of sizes');
});

beforeEach(() => {
  name = `q-${randomUUID()}`;
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  workers = [];
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
});

interface Level {
  feature_level: number;
}

const IMAGE_BYTES = 200_000;
const image = (text: string, bytes = IMAGE_BYTES): Buffer => {
  const payload = Buffer.alloc(bytes);
  payload.write(text);
  return payload;
};
const images = numbered(25);

async function join(options: ClientOptions = {}): Promise<Client> {
  const worker = await Client.connect(server.mqtt, options);
  await worker.subscribe(`$queue/${name}`, 1);
  workers.push(worker);
  await queues.consumers(name, workers.length);
  return worker;
}

async function tooLarge(): Promise<number | undefined> {
  const page = parsePage((await server.rest().get('/metrics')).body as string);
  const ofQueue = page.samples.filter(({ labels }) => labels.queue === name);
  return ofQueue.find((sample) => sample.name === 'sluice_queue_too_large_messages')?.value;
}

describe.each(['random', 'round_robin', 'least_inflight'])('%s', (dispatch_strategy) => {
  test('jobs that a worker does not take go to the one who does, among small ones for both', async () => {
    await queues.create({ name, topic_filter: name, dispatch_strategy });
    const small = await join({ maximumPacketSize: 10_000 });
    const big = await join();
    for (const text of images) {
      await publisher.publish(name, image(text));
      await publisher.publish(name, `s${text}`);
    }
    await until(() => small.received.length + big.received.length === 2 * images.length, 'all are delivered');
    await queues.depth(name, 0);
    expect(small.received.filter(({ size }) => size === IMAGE_BYTES)).toEqual([]);
    expect(sorted(big.received.filter(({ size }) => size === IMAGE_BYTES).map(({ text }) => text))).toEqual(images);
    expect(small.received.length).toBeGreaterThan(0);
  });
});

test('what nobody takes holds up nothing, is told, and goes to the first who takes it', async () => {
  await queues.create({ name, topic_filter: name });
  const small = await join({ maximumPacketSize: 10_000, receiveMaximum: 1 });
  for (const text of images) await publisher.publish(name, image(text));
  await publisher.publish(name, 'small');
  expect(await small.texted(1)).toEqual(['small']);
  await queues.depth(name, images.length);
  expect(await tooLarge()).toBe(images.length);
  const big = await join({ receiveMaximum: 1 });
  expect(await big.texted(images.length)).toEqual(images);
  await queues.depth(name, 0);
  expect(await tooLarge()).toBe(0);
  expect(small.received).toHaveLength(1);
  expect(big.received.every(({ properties }) => properties.userProperties === undefined)).toBe(true);
});

/** Fixed header, topic, packet id and no properties. */
const packetBytes = (payloadBytes: number): number => 1 + 2 + (2 + Buffer.byteLength(name)) + 2 + 1 + payloadBytes;

test('a job whose packet is as large as a worker takes is taken, one byte more goes to others, once it was tried', async () => {
  await queues.create({ name, topic_filter: name });
  const exact = await join({ maximumPacketSize: packetBytes(5_000) });
  await publisher.publish(name, image('fits', 5_000));
  await publisher.publish(name, image('does not', 5_001));
  await publisher.publish(name, 'small');
  expect(await exact.texted(2)).toEqual(['fits', 'small']);
  await queues.depth(name, 1);
  await until(async () => (await tooLarge()) === 1, 'the other one waits');
  const more = await join({ maximumPacketSize: packetBytes(5_001) });
  expect(await more.texted(1)).toEqual(['does not']);
  await queues.depth(name, 0);
  expect(exact.received).toHaveLength(2);
});
