import { describe, expect, test } from '@jest/globals';
import type { Driver } from '@sluice/bench/load/driver';
import { driver as mqtt } from '@sluice/bench/mqtt/mqtt-driver';
import { AEDES } from '@sluice/bench/peers/aedes';
import { ALL_PEERS, PEERS_BY_NAME, peersOn } from '@sluice/bench/peers/all-peers';
import { driver as amqp } from '@sluice/bench/peers/amqp-driver';
import { MOSQUITTO } from '@sluice/bench/peers/mosquitto';
import { natsOf } from '@sluice/bench/peers/nats';
import { driver as nats } from '@sluice/bench/peers/nats-driver';
import { rabbitOf } from '@sluice/bench/peers/rabbitmq';
import { REDIS } from '@sluice/bench/peers/redis';
import { driver as redis } from '@sluice/bench/peers/redis-driver';
import type { Peer } from '@sluice/bench/run/peer';
import { familyOf, figuresOf } from '@sluice/bench/run/process-figures';
import type { Flow } from '@sluice/bench/run/workload';
import { testWith } from '../../../test/harness/left-out.ts';
import { channelOf, PeerUnderTest, runSmallLoad, SMALL_FLOW } from './support/small-load.ts';

const MESSAGES = 400;
const CLEAN = { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 };
/** RabbitMQ takes eight seconds on a quiet machine. */
const TEST_MS_MAX = 120_000;

const FAN_OUT: Flow = { ...SMALL_FLOW, channel: 'fan-out', qos: 0, publishers: 1, consumers: 3 };

interface Case {
  peer: Peer;
  drivers: { publish: Driver; consume: Driver };
  flows: Flow[];
}

const both = (driver: Driver) => ({ publish: driver, consume: driver });

const CASES: Case[] = [
  { peer: AEDES, drivers: both(mqtt), flows: [FAN_OUT, { ...FAN_OUT, qos: 1 }] },
  { peer: MOSQUITTO, drivers: both(mqtt), flows: [SMALL_FLOW, FAN_OUT] },
  { peer: REDIS, drivers: both(redis), flows: [SMALL_FLOW] },
  { peer: natsOf(1), drivers: both(nats), flows: [SMALL_FLOW, { ...SMALL_FLOW, prefetch: 1 }, FAN_OUT] },
  { peer: rabbitOf({ nodes: 1, publishedBy: 'amqp' }), drivers: both(amqp), flows: [SMALL_FLOW] },
  { peer: rabbitOf({ nodes: 1, publishedBy: 'mqtt' }), drivers: { publish: mqtt, consume: amqp }, flows: [SMALL_FLOW] },
];

describe('the load drives every peer that is installed', () => {
  for (const { peer, drivers, flows } of CASES) {
    const tool = {
      name: peer.name,
      install: peer.missing() ?? 'npm install',
      isPresent: () => peer.missing() === undefined,
    };
    testWith(
      tool,
      `${peer.name}: everything comes once and in order`,
      async () => {
        const under = await PeerUnderTest.start(peer);
        try {
          for (const [i, flow] of flows.entries()) {
            const channel = await channelOf(under.running, flow, `flow-${i}`);
            const { verdict } = await runSmallLoad(channel, flow, MESSAGES, drivers);
            expect(verdict).toEqual(CLEAN);
          }
          const figures = figuresOf(familyOf(under.running.pids));
          expect(figures.cpuUs).toBeGreaterThan(0);
          expect(figures.rssBytes).toBeGreaterThan(1024 * 1024);
        } finally {
          await under.dispose();
        }
      },
      TEST_MS_MAX,
    );
  }
});

test('a peer that was stopped leaves no process behind', async () => {
  const under = await PeerUnderTest.start(AEDES);
  const family = familyOf(under.running.pids);
  expect(figuresOf(family).rssBytes).toBeGreaterThan(0);
  await under.dispose();
  expect(figuresOf(family).rssBytes).toBe(0);
});

test('every peer has a name of its own that fits the head of a row', () => {
  const names = [...ALL_PEERS, ...PEERS_BY_NAME, ...peersOn({ name: '24.9.1', path: process.execPath })].map(
    ({ name }) => name,
  );
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name.length).toBeLessThanOrEqual(15);
});

test('a version of Node.js that is not there leaves its peers out, and says where it was looked for', () => {
  for (const peer of peersOn({ name: '99', path: '/nowhere/node' })) {
    expect(peer.missing()).toBe('there is no /nowhere/node');
  }
});
