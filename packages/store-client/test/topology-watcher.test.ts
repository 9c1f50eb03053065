import { expect, test } from '@jest/globals';
import { Topology } from '@sluice/meta/topology';
import type { TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import type { Channel } from '@sluice/rpc/transport';
import { TopologyWatcher } from '../src/topology-watcher.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(acted: () => Promise<void> | undefined) {
  const requests: TopologyFeedRequest[] = [];
  const transport = new InprocTransport({ isolate: true });
  const feed: { channel?: Channel<TopologyUpdate, TopologyFeedRequest> } = {};
  transport.serveChannel<TopologyFeedRequest, TopologyUpdate>('topology', (channel) => {
    feed.channel = channel;
    channel.onMessage((request) => requests.push(request));
  });
  const watcher = new TopologyWatcher({ topology: new Topology(), transport, coordinatorNodeId: 1, acted });
  watcher.start();
  return { watcher, requests, feed };
}

const image = (epoch: number): TopologyUpdate => ({
  type: 'image',
  epoch,
  clusterId: 'c',
  partitionCount: 1,
  leaders: [1],
  queues: [],
});
const delta = (epoch: number): TopologyUpdate => ({ type: 'delta', epoch, changed: [], removed: [] });

test('an epoch is reached when this node acts on it, not when it has heard of it', async () => {
  let act: () => void = () => {};
  const { watcher, requests, feed } = setUp(() => new Promise((resolve) => (act = () => resolve())));
  await turn();
  expect(requests).toEqual([{ type: 'watch' }]);
  feed.channel?.send(image(3));
  await watcher.imaged();
  await turn();
  expect(requests).toHaveLength(1);
  act();
  await turn();
  expect(requests[1]).toEqual({ type: 'reached', epoch: 3 });
  watcher.close();
});

test('listeners hear of every change, a late one at once; a delta that is not newer changes nothing', async () => {
  const { watcher, feed } = setUp(() => undefined);
  const heard: number[] = [];
  watcher.onChange(({ epoch }) => heard.push(epoch));
  await turn();
  feed.channel?.send(image(3));
  feed.channel?.send(delta(4));
  feed.channel?.send(delta(4));
  await turn();
  expect(watcher.topology.epoch).toBe(4);
  expect(heard.slice(0, 2)).toEqual([3, 4]);
  const late: number[] = [];
  watcher.onChange(({ epoch }) => late.push(epoch));
  expect(late).toEqual([4]);
  watcher.close();
});
