import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ClusterProcess, ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { type Address, addressOf } from '../harness/server-process.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { numbered, settled, until } from './support/until.ts';

let cluster: ClusterUnderTest;
beforeAll(async () => {
  cluster = await ClusterUnderTest.start({ layout: 'compact' });
}, 120_000);
afterAll(() => cluster?.dispose());

function nodeOf(n: number): ClusterProcess {
  return cluster.gateways()[n] as ClusterProcess;
}

const at = (n: number): Address => addressOf(nodeOf(n).mqtt);

/** One that listens live, and one that has a session and was away meanwhile. */
async function watchers(name: string): Promise<{ live: Client; came: () => Promise<[string[], string[]]> }> {
  const live = await Client.connect(at(1), { clientId: `${name}-live` });
  await live.subscribe(`${name}/+`, 1);
  const kept = { clientId: `${name}-kept`, clean: false, sessionExpirySeconds: 600 };
  const away = await Client.connect(at(1), kept);
  await away.subscribe(`${name}/+`, 1);
  await away.close();
  const came = async (): Promise<[string[], string[]]> => {
    const back = await Client.connect(at(1), kept);
    await until(() => back.received.length >= live.received.length, 'the session has what came live');
    await settled(() => back.received.length + live.received.length);
    const both: [string[], string[]] = [[...live.texts].sort(), [...back.texts].sort()];
    await back.close();
    await live.close();
    return both;
  };
  return { live, came };
}

test('a gateway is killed: the wills of its clients fire, each once, with their delay', async () => {
  const { live, came } = await watchers('killed');
  const ids = numbered(24, 'killed-');
  for (const [i, clientId] of ids.entries()) {
    const will = { topic: `killed/${clientId}`, payload: clientId };
    // As clients are: some keep no session, some keep one, and some of those have a will that waits.
    const kept = i % 3 === 0 ? {} : { clean: false, sessionExpirySeconds: 600 };
    const delay = i % 3 === 2 ? { properties: { willDelayInterval: 2 } } : {};
    await HandClient.connect(at(0), { clientId, will: { ...will, ...delay }, ...kept });
  }
  const spared = await HandClient.connect(at(2), {
    clientId: 'spared',
    will: { topic: 'killed/spared', payload: 'spared' },
  });
  await nodeOf(0).kill();
  await live.texted(ids.length, 40_000);
  const sorted = [...ids].sort();
  expect(await came()).toEqual([sorted, sorted]);
  spared.destroy();
  await nodeOf(0).start();
  await cluster.atRest(60_000);
}, 120_000);

test('a store is killed while wills wait: they fire under the next leaders, each once', async () => {
  const { live, came } = await watchers('waiting');
  // Enough that every partition has some.
  const ids = numbered(48, 'waiting-');
  const clients: HandClient[] = [];
  for (const clientId of ids) {
    const will = { topic: `waiting/${clientId}`, payload: clientId, properties: { willDelayInterval: 3 } };
    clients.push(await HandClient.connect(at(1), { clientId, will, clean: false, sessionExpirySeconds: 600 }));
  }
  for (const client of clients) client.destroy();
  await nodeOf(2).kill();
  await live.texted(ids.length, 30_000);
  const sorted = [...ids].sort();
  expect(await came()).toEqual([sorted, sorted]);
  await nodeOf(2).start();
}, 120_000);
