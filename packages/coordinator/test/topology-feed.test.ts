import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import type { Channel } from '@sluice/rpc/transport';
import { TopologyFeed } from '../src/topology-feed.ts';

type Watcher = { channel: Channel<TopologyFeedRequest, TopologyUpdate>; updates: TopologyUpdate[] };

const IMAGE = { type: 'image', epoch: 3, clusterId: 'c', partitionCount: 1, leaders: [1], queues: [] } as const;

let feed: TopologyFeed;
let image: Extract<TopologyUpdate, { type: 'image' }> | undefined;
let transport: InprocTransport;

beforeEach(() => {
  image = IMAGE;
  transport = new InprocTransport({ isolate: true });
  feed = new TopologyFeed({ logger: silentLogger, image: () => image });
  transport.serveChannel<TopologyFeedRequest, TopologyUpdate>('topology', (channel) => feed.accept(channel));
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

async function watch(): Promise<Watcher> {
  const channel = transport.open<TopologyFeedRequest, TopologyUpdate>(1, 'topology');
  const updates: TopologyUpdate[] = [];
  channel.onMessage((update) => updates.push(update));
  channel.send({ type: 'watch' });
  await turn();
  return { channel, updates };
}

describe('a node that watches', () => {
  test('gets the image at once, then each change', async () => {
    const { updates } = await watch();
    feed.sendDelta({ epoch: 4, changed: [], removed: [7] });
    await turn();
    expect(updates).toEqual([IMAGE, { type: 'delta', epoch: 4, changed: [], removed: [7] }]);
  });

  test('before there is a cluster: gets the image when it is formed', async () => {
    image = undefined;
    const { updates } = await watch();
    feed.sendImage();
    await turn();
    expect(updates).toEqual([]);
    image = IMAGE;
    feed.sendImage();
    await turn();
    expect(updates).toEqual([IMAGE]);
  });
});

describe('an epoch is reached', () => {
  test('when the slowest node that watches acts on it', async () => {
    const [a, b] = [await watch(), await watch()];
    let reached: boolean | undefined;
    void feed.reached(4, 5_000).then((outcome) => {
      reached = outcome;
    });
    a.channel.send({ type: 'reached', epoch: 4 });
    b.channel.send({ type: 'reached', epoch: 3 });
    await turn();
    expect(reached).toBeUndefined();
    b.channel.send({ type: 'reached', epoch: 5 });
    await turn();
    expect(reached).toBe(true);
    expect(await feed.reached(4, 5_000)).toBe(true);
  });

  test('without a node that left meanwhile', async () => {
    const [a, b] = [await watch(), await watch()];
    a.channel.send({ type: 'reached', epoch: 4 });
    const reaching = feed.reached(4, 5_000);
    b.channel.close();
    expect(await reaching).toBe(true);
  });

  test('or not in time, which is said', async () => {
    await watch();
    expect(await feed.reached(4, 20)).toBe(false);
  });
});
