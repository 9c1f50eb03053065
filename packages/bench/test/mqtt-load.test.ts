import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { driver } from '@sluice/bench/mqtt/mqtt-driver';
import { sluiceOf } from '@sluice/bench/peers/sluice';
import { measureFlat } from '@sluice/bench/run/measure-flat';
import { measureFlow } from '@sluice/bench/run/measure-flow';
import type { Channel, RunningPeer } from '@sluice/bench/run/peer';
import type { FlatWorkload, Flow } from '@sluice/bench/run/workload';
import { allWorkloads } from '@sluice/bench/run/workloads';
import { channelOf, PeerUnderTest, runSmallLoad, SMALL_FLOW } from './support/small-load.ts';

const MESSAGES = 600;
const CLEAN = { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 };
const DRIVERS = { publish: driver, consume: driver };

let server: PeerUnderTest;
beforeAll(async () => {
  server = await PeerUnderTest.start(sluiceOf('sluice-1'));
});
afterAll(() => server.dispose());

function inVersion(channel: Channel, version: 4 | 5): Channel {
  const way = { ...channel.publish, options: { ...channel.publish.options, version } };
  return { publish: way, consume: { ...way, sources: channel.consume.sources } };
}

describe('the MQTT load against a real server', () => {
  test.each([4, 5] as const)(
    'version %d: workers share a queue, everything comes once and in order',
    async (version) => {
      const channel = inVersion(await channelOf(server.running, SMALL_FLOW, `shared-${version}`), version);
      const { verdict, receivedBy, sent } = await runSmallLoad(channel, SMALL_FLOW, MESSAGES, DRIVERS);
      expect(verdict).toEqual(CLEAN);
      expect(sent).toEqual([MESSAGES / 2, MESSAGES / 2]);
      expect(receivedBy.every((count) => count > 0)).toBe(true);
    },
  );

  test('many queues, each with one of the workers: everything comes once and in the order of its queue', async () => {
    const flow: Flow = { ...SMALL_FLOW, channel: 'queues', keys: 10 };
    const channel = await channelOf(server.running, flow, 'many');
    const { verdict, receivedBy } = await runSmallLoad(channel, flow, MESSAGES, DRIVERS);
    expect(verdict).toEqual(CLEAN);
    expect(receivedBy).toEqual([MESSAGES / 2, MESSAGES / 2]);
  });

  test('payloads larger than what a socket gives at once arrive whole', async () => {
    const flow: Flow = { ...SMALL_FLOW, payloadBytes: 200_000, window: 4, backlogMax: 16 };
    const channel = await channelOf(server.running, flow, 'large');
    expect((await runSmallLoad(channel, flow, 60, DRIVERS)).verdict).toEqual(CLEAN);
  });

  test.each([0, 1] as const)('fan-out at QoS %d: everybody gets all', async (qos) => {
    const flow: Flow = { ...SMALL_FLOW, channel: 'fan-out', qos, publishers: 1, consumers: 3 };
    const channel = await channelOf(server.running, flow, `all-${qos}`);
    const { verdict, receivedBy } = await runSmallLoad(channel, flow, MESSAGES, DRIVERS);
    expect(verdict).toEqual(CLEAN);
    expect(receivedBy).toEqual([MESSAGES, MESSAGES, MESSAGES]);
  });

  test('a slow worker holds its one message while the other does the rest', async () => {
    const flow: Flow = { ...SMALL_FLOW, publishers: 1, prefetch: 1, workMs: [60_000, 0] };
    const channel = await channelOf(server.running, flow, 'slow');
    const { receivedBy } = await runSmallLoad(channel, flow, 100, DRIVERS, 100);
    expect(receivedBy).toEqual([1, 99]);
  });
});

test('what a message costs is measured over more and more, beginning with the first of it', async () => {
  const flow: Flow = { ...SMALL_FLOW, window: 4, backlogMax: 20 };
  const steps = [
    { label: 'one', flow, backlog: 0 },
    { label: 'some', flow: { ...flow, channel: 'queues', keys: 6 } as const, backlog: 0 },
    { label: 'behind', flow, backlog: 300 },
  ];
  const workload = {
    kind: 'flat',
    name: 'flat',
    title: '',
    steps,
    perSecond: 0,
    warmUpMessages: 50,
    warmUpMs: 100,
    measureMs: 300,
  } as const;
  const said: string[] = [];
  const result = await measureFlat(workload, builtPeer(server.running), 77, (text) => said.push(text));
  const { figures, sequences } = result as NonNullable<typeof result>;
  expect(sequences).toEqual(CLEAN);
  const { firstCpuUs, secondCpuUs, thirdCpuUs, timesMost } = figures as Record<string, number>;
  expect(firstCpuUs).toBeGreaterThan(0);
  expect(timesMost).toBeCloseTo(Math.max(secondCpuUs as number, thirdCpuUs as number) / (firstCpuUs as number));
  expect(said.map((text) => text.split(':')[0])).toEqual([
    'one',
    'some',
    expect.stringMatching(/lie in the/),
    'behind',
  ]);
});

test('a peer that has no such thing is left out', async () => {
  const peer = { ...server.running, open: async () => undefined };
  const [workload] = allWorkloads().filter(({ kind }) => kind === 'flat') as [FlatWorkload];
  expect(await measureFlat(workload, peer, 1, () => {})).toBeUndefined();
});

/** Processes of the load run what was built. */
function builtPeer(running: RunningPeer): RunningPeer {
  const driver = new URL('../dist/mqtt/mqtt-driver.js', import.meta.url).href;
  return {
    ...running,
    open: async (need) => {
      const channel = await running.open(need);
      return channel && { publish: { ...channel.publish, driver }, consume: { ...channel.consume, driver } };
    },
  };
}

test('a measurement as the command makes it, in processes of its own', async () => {
  const flow: Flow = { ...SMALL_FLOW, window: 4, backlogMax: 20 };
  const channel = await channelOf(builtPeer(server.running), flow, 'measured');
  const workload = {
    kind: 'flow',
    name: 'small',
    title: '',
    flow,
    perSecond: 200,
    warmUpMs: 200,
    measureMs: 800,
  } as const;
  const { figures, sequences } = await measureFlow(workload, server.running, channel, 99);
  expect(sequences).toEqual(CLEAN);
  expect(figures.rate).toBeGreaterThan(0);
  expect(figures.rate).toBeLessThan(2_000);
  expect(figures.cpuUs).toBeGreaterThan(0);
  expect(figures.p99Ms).toBeGreaterThanOrEqual(figures.p50Ms as number);
  expect(figures.loadShare).toBeGreaterThan(0);
});
