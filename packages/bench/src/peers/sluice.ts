import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Address } from '../load/driver.ts';
import { MQTT_DRIVER } from '../mqtt/mqtt-driver.ts';
import type { Channel, ChannelNeed, Peer, Place, Processes, RunningPeer, StartedProcess, Way } from '../run/peer.ts';
import { createQueues, isReady, sourcesOf, topicsOf } from '../run/sluice-queues.ts';
import { versionOf } from './installed.ts';
import { mqttAnswers } from './mqtt-answers.ts';

const START_MS_MAX = 120_000;
const HOST = '127.0.0.1';
const COPIES_MAX = 3;
/** From the root of a tree that is built. */
export const SERVER_BIN = 'packages/server/dist/bin.js';
const BIN = fileURLToPath(new URL(`../../../../${SERVER_BIN}`, import.meta.url));

const ALL_ROLES = 'gateway,store,coordinator';

const KEEPING_ROLES = 'store,coordinator';

/** What a cluster is made of: the roles of each process. */
const LAYOUTS = {
  'sluice-1': [ALL_ROLES],
  'sluice-3': [ALL_ROLES, ALL_ROLES, ALL_ROLES],
  'sluice-tiers': [...times(3, 'coordinator'), ...times(3, 'store'), ...times(2, 'gateway')],
  'sluice-1-apart': [KEEPING_ROLES, 'gateway'],
  'sluice-1-two': [KEEPING_ROLES, ...times(2, 'gateway')],
} as const satisfies Record<string, readonly string[]>;

export type SluiceLayout = keyof typeof LAYOUTS;

const DESCRIPTIONS: Readonly<Record<SluiceLayout, string>> = {
  'sluice-1': 'Sluice, one node; MQTT 5',
  'sluice-3': 'Sluice, three nodes with all roles, three copies; MQTT 5',
  'sluice-tiers': 'Sluice, 3 coordinators, 3 stores, 2 gateways, three copies; MQTT 5',
  'sluice-1-apart': 'Sluice, one store with the coordinator, a gateway in a process of its own; MQTT 5',
  'sluice-1-two': 'Sluice, one store with the coordinator, two gateways in processes of their own; MQTT 5',
};

/** A program that runs Sluice instead of the Node.js that runs the bench. */
export interface Runtime {
  /** At most six characters: it follows the layout in the head of a row. */
  name: string;
  /** Of the `node` program. */
  path: string;
}

export interface SluiceBuild {
  /** The command of another tree. */
  bin?: string;
  runtime?: Runtime;
}

/** This repository's server, as its users start it, that of another tree, or on another version of Node.js. */
export function sluiceOf(layout: SluiceLayout, { bin = BIN, runtime }: SluiceBuild = {}): Peer {
  const stores = LAYOUTS[layout].filter((roles) => roles.includes('store')).length;
  const command = [runtime?.path ?? process.execPath, bin, 'server'];
  return {
    name: runtime === undefined ? layout : `${layout}@${runtime.name}`,
    copies: Math.min(stores, COPIES_MAX),
    documentedSync: 'yes',
    describe: () =>
      `${DESCRIPTIONS[layout]}; Node.js ${runtime === undefined ? process.versions.node : versionOf(runtime.path, '--version')}`,
    missing: () => (existsSync(bin) ? missingRuntime(runtime) : 'npm run build'),
    start: (place) => start(place, LAYOUTS[layout], command),
  };
}

function missingRuntime(runtime: Runtime | undefined): string | undefined {
  return runtime === undefined || existsSync(runtime.path) ? undefined : `there is no ${runtime.path}`;
}

interface SluiceNode {
  name: string;
  roles: string;
  grpc: string;
  http: string;
  mqtt: Address | undefined;
}

async function start(
  { directory, processes }: Place,
  layout: readonly string[],
  command: readonly string[],
): Promise<RunningPeer> {
  const nodes: SluiceNode[] = [];
  for (const [i, roles] of layout.entries()) nodes.push(await nodeOf(`node-${i + 1}`, roles, processes));
  const founders = nodes.filter(({ roles }) => roles.includes('coordinator')).map(({ grpc }) => grpc);
  const startedMs = performance.now();
  const started: StartedProcess[] = [];
  for (const node of nodes) started.push(await startNode(node, founders, directory, processes, command));
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
  command: readonly string[],
): Promise<StartedProcess> {
  const home = join(directory, node.name);
  await mkdir(home, { recursive: true });
  const mqtt = node.mqtt === undefined ? 'none' : `${node.mqtt.host}:${node.mqtt.port}`;
  const flags = ['--name', node.name, '--roles', node.roles, '--data', join(home, 'data')];
  flags.push('--mqtt', mqtt, '--ws', 'none', '--http', node.http);
  // One node is started as anybody starts one.
  if (node.roles !== ALL_ROLES || founders.length > 1) flags.push('--grpc', node.grpc, '--join', founders.join(','));
  return await processes.start([...command, ...flags], { log: join(home, 'node.log') });
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
