import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient, type HandClientOptions } from './support/hand-client.ts';
import { numbered, until } from './support/until.ts';

let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
});
afterAll(() => broker?.dispose());

/** A client that leaves a will and whose connection breaks. */
async function dies(clientId: string, will: NonNullable<HandClientOptions['will']>, keptS = 0): Promise<void> {
  const expiry = keptS === 0 ? {} : { clean: false, sessionExpirySeconds: keptS };
  (await HandClient.connect(broker.mqtt, { clientId, will, ...expiry })).destroy();
}

async function metric(name: string, labels: string): Promise<number> {
  let sum = 0;
  for (const rest of broker.rests('anonymous')) {
    const page = (await rest.get('/metrics')).body as string;
    for (const [, value] of page.matchAll(new RegExp(`^${name}\\{[^}]*${labels}[^}]*\\} (\\d+)`, 'gm')))
      sum += Number(value);
  }
  return sum;
}

test('a will is stored like a publish: for sessions that are away, for queues, and retained', async () => {
  await broker.rest('key').post('/api/v5/message_queues/queues', { name: 'obituaries', topic_filter: 'end/#' });
  const away = await Client.connect(broker.mqtt, { clientId: 'away', clean: false, sessionExpirySeconds: 600 });
  await away.subscribe('end/#', 1);
  await away.close();
  await dies('mortal', { topic: 'end/mortal', payload: 'farewell', retain: true });
  const heir = await Client.connect(broker.mqtt, { clientId: 'away', clean: false, sessionExpirySeconds: 600 });
  expect(await heir.texted(1)).toEqual(['farewell']);
  const worker = await Client.connect(broker.mqtt);
  await worker.subscribe('$queue/obituaries');
  expect(await worker.texted(1)).toEqual(['farewell']);
  const later = await Client.connect(broker.mqtt);
  await later.subscribe('end/mortal', 1);
  expect(await later.texted(1)).toEqual(['farewell']);
  await Promise.all([heir, worker, later].map((client) => client.close()));
});

test('many die at once: each will comes once', async () => {
  const watcher = await Client.connect(broker.mqtt);
  await watcher.subscribe('mass/+', 1);
  const ids = numbered(150, 'mass-');
  await Promise.all(ids.map((clientId) => dies(clientId, { topic: `mass/${clientId}`, payload: clientId })));
  await watcher.texted(ids.length);
  expect([...watcher.texts].sort()).toEqual([...ids].sort());
  await until(async () => (await metric('sluice_wills', 'state="due"')) === 0, 'none is due any more');
  expect(await metric('sluice_wills_total', 'step="published"')).toBeGreaterThanOrEqual(ids.length);
  await watcher.close();
});

test('a delayed will outlives a restart of the broker, and is taken back by a client that returns', async () => {
  const watcher = { clientId: 'watcher', clean: false, sessionExpirySeconds: 600 };
  const before = await Client.connect(broker.mqtt, watcher);
  await before.subscribe('delayed/+', 1);
  await before.close();
  // Longer than any restart: who returns must be in time.
  const long = { willDelayInterval: 500 };
  await dies('returns', { topic: 'delayed/returns', payload: 'returns', properties: long }, 600);
  await dies('lost', { topic: 'delayed/lost', payload: 'lost', properties: { willDelayInterval: 3 } }, 600);
  await until(async () => (await metric('sluice_wills', 'state="connected"')) === 0, 'both are known to be gone');
  await broker.restart('all');
  const back = await Client.connect(broker.mqtt, { clientId: 'returns', clean: false, sessionExpirySeconds: 600 });
  const after = await Client.connect(broker.mqtt, watcher);
  expect(await after.texted(1)).toEqual(['lost']);
  await until(async () => (await metric('sluice_wills', 'state="delayed"')) === 0, 'nobody waits any more');
  expect(after.texts).toEqual(['lost']);
  await Promise.all([back, after].map((client) => client.close()));
});
