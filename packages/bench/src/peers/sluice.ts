import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Address } from '../load/driver.ts';
import { MQTT_DRIVER } from '../mqtt/mqtt-driver.ts';
import type { Channel, ChannelNeed, Peer, Place, Processes, RunningPeer, StartedProcess, Way } from '../run/peer.ts';
import { createQueues, isReady, sourcesOf, topicsOf } from '../run/sluice-queues.ts';
import { mqttAnswers } from './mqtt-answers.ts';

const START_MS_MAX = 120_000;
const HOST = '127.0.0.1';
/** From the root of a tree that is built. */
export const SERVER_BIN = 'packages/server/dist/bin.js';
const BIN = fileURLToPath(new URL(`../../../../${SERVER_BIN}`, import.meta.url));

const ALL_ROLES = 'gateway,store,coordinator';

/** What a cluster is made of: the roles of each process. */
const LAYOUTS = {
  'sluice-1': [ALL_ROLES],
  'sluice-3': [ALL_ROLES, ALL_ROLES, ALL_ROLES],
  'sluice-tiers': [...times(3, 'coordinator'), ...times(3, 'store'), ...times(2, 'gateway')],
} as const satisfies Record<string, readonly string[]>;

export type SluiceLayout = keyof typeof LAYOUTS;

const DESCRIPTIONS: Readonly<Record<SluiceLayout, string>> = {
  'sluice-1': 'Sluice, one node; MQTT 5',
  'sluice-3': 'Sluice, three nodes with all roles, three copies; MQTT 5',
  'sluice-tiers': 'Sluice, 3 coordinators, 3 stores, 2 gateways, three copies; MQTT 5',
};

/** This repository's server, as its users start it, or that of another tree. */
export function sluiceOf(layout: SluiceLayout, bin = BIN): Peer {
  return {
    name: layout,
    copies: layout === 'sluice-1' ? 1 : 3,
    documentedSync: 'yes',
    describe: () => DESCRIPTIONS[layout],
    missing: () => (existsSync(bin) ? undefined : 'npm run build'),
    start: (place) => start(place, LAYOUTS[layout], bin),
  };
}

interface SluiceNode {
  name: string;
  roles: string;
  grpc: string;
  http: string;
  mqtt: Address | undefined;
}

async function start({ directory, processes }: Place, layout: readonly string[], bin: string): Promise<RunningPeer> {
  const nodes: SluiceNode[] = [];
  for (const [i, roles] of layout.entries()) nodes.push(await nodeOf(`node-${i + 1}`, roles, processes));
  const founders = nodes.filter(({ roles }) => roles.includes('coordinator')).map(({ grpc }) => grpc);
  const startedMs = performance.now();
  const started: StartedProcess[] = [];
  for (const node of nodes) started.push(await startNode(node, founders, directory, processes, bin));
  const rest = { url: `http://${nodes[0]?.http}` };
  for (const [i, node] of nodes.entries()) {
    const address = node.mqtt;
    if (address !== undefined) await started[i]?.until(() => mqttAnswers(address), START_MS_MAX);
  }
  const startMs = performance.now() - startedMs;
  for (const [i, { http, mqtt }] of nodes.entries()) {
    if (mqtt !== undefined) await started[i]?.until(() => isReady(`http://${http}`), START_MS_MAX);
  }
  const gateways = nodes.flatMap(({ mqtt }) => (mqtt === undefined ? [] : [mqtt]));
  return {
    startMs,
    pids: started.map(({ pid }) => pid),
    manage: rest.url,
    directories: [directory],
    async open(need) {
      await createQueues(rest, need);
      return channelOf(need, gateways);
    },
    async stop() {
      await Promise.all(started.map((node) => node.stop()));
    },
  };
}

async function nodeOf(name: string, roles: string, processes: Processes): Promise<SluiceNode> {
  return {
    name,
    roles,
    grpc: `${HOST}:${await processes.port()}`,
    http: `${HOST}:${await processes.port()}`,
    mqtt: roles.includes('gateway') ? { host: HOST, port: await processes.port() } : undefined,
  };
}

async function startNode(
  node: SluiceNode,
  founders: readonly string[],
  directory: string,
  processes: Processes,
  bin: string,
): Promise<StartedProcess> {
  const home = join(directory, node.name);
  await mkdir(home, { recursive: true });
  const mqtt = node.mqtt === undefined ? 'none' : `${node.mqtt.host}:${node.mqtt.port}`;
  const flags = ['--name', node.name, '--roles', node.roles, '--data', join(home, 'data')];
  flags.push('--mqtt', mqtt, '--ws', 'none', '--http', node.http);
  // One node is started as anybody starts one.
  if (founders.some((address) => address !== node.grpc)) flags.push('--grpc', node.grpc, '--join', founders.join(','));
  return await processes.start([process.execPath, bin, 'server', ...flags], { log: join(home, 'node.log') });
}

function channelOf(need: ChannelNeed, addresses: readonly Address[]): Channel {
  const way: Way = {
    driver: MQTT_DRIVER,
    addresses,
    topics: topicsOf(need),
    sources: sourcesOf(need),
    options: { version: 5, qos: need.qos },
  };
  return { publish: way, consume: way };
}

function times(count: number, roles: string): string[] {
  return Array.from({ length: count }, () => roles);
}
