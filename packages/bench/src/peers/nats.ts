import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { Address } from '../load/driver.ts';
import type { Channel, ChannelNeed, Peer, Place, RunningPeer, StartedProcess, Way } from '../run/peer.ts';
import { programOf, versionOf } from './installed.ts';

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 5_000;
const HOST = '127.0.0.1';
const DRIVER = new URL('./nats-driver.js', import.meta.url);
const WORKERS = 'workers';
/** All workers together; each pulls no more than its window. */
const UNACKNOWLEDGED_MAX = 100_000;

/** NATS with JetStream on files: a work-queue stream with as many replicas as there are nodes. */
export function natsOf(nodes: 1 | 3): Peer {
  return {
    name: `nats-${nodes}`,
    copies: nodes,
    // Its stores are synced every two minutes.
    documentedSync: 'no',

    describe() {
      const program = programOf('nats-server');
      const version = program === undefined ? '' : versionOf(program, '--version');
      return `NATS ${version} JetStream on files, R${nodes}, work-queue stream, pull consumers; fan-out: core NATS`;
    },

    missing() {
      return programOf('nats-server') === undefined ? 'apt-get install nats-server' : undefined;
    },

    async start({ directory, processes }: Place): Promise<RunningPeer> {
      const ports = [];
      for (let i = 0; i < nodes; i++) ports.push({ client: await processes.port(), route: await processes.port() });
      const startedMs = performance.now();
      const program = programOf('nats-server') as string;
      const servers: StartedProcess[] = [];
      for (const [i, port] of ports.entries()) {
        const store = join(directory, `node-${i + 1}`);
        await mkdir(store, { recursive: true });
        const config = join(directory, `node-${i + 1}.conf`);
        await writeFile(config, configOf(i + 1, store, port, ports));
        servers.push(await processes.start([program, '-c', config], { log: join(directory, `node-${i + 1}.log`) }));
      }
      const addresses = ports.map(({ client }) => ({ host: HOST, port: client }));
      for (const [i, server] of servers.entries()) {
        const address = addresses[i] as Address;
        await server.until(() => answers(address), START_MS_MAX);
      }
      return {
        startMs: performance.now() - startedMs,
        pids: servers.map(({ pid }) => pid),
        directories: [directory],
        open: (need) => open(need, addresses, nodes),
        async stop() {
          await Promise.all(servers.map((server) => server.stop()));
        },
      };
    },
  };
}

interface NodePorts {
  client: number;
  route: number;
}

function configOf(node: number, store: string, own: NodePorts, all: readonly NodePorts[]): string {
  const lines = [
    `server_name: node-${node}`,
    `listen: "${HOST}:${own.client}"`,
    `jetstream { store_dir: "${store}", max_file_store: 100G, max_memory_store: 1G }`,
  ];
  if (all.length > 1) {
    const routes = all.map(({ route }) => `"nats://${HOST}:${route}"`).join(', ');
    lines.push(`cluster { name: bench, listen: "${HOST}:${own.route}", routes: [${routes}] }`);
  }
  return `${lines.join('\n')}\n`;
}

async function open(need: ChannelNeed, addresses: readonly Address[], copies: number): Promise<Channel | undefined> {
  if (need.kind === 'queues') return undefined;
  if (need.kind === 'fan-out') {
    if (need.qos === 1) return undefined;
    return channelOf(addresses, [need.name], need.name, false);
  }
  const isLastValue = need.kind === 'last-value';
  const topics = isLastValue ? Array.from({ length: need.keys }, (_, key) => `${need.name}.${key}`) : [need.name];
  await managed(addresses[0] as Address, async (manager) => {
    await manager.streams.add({
      name: need.name,
      subjects: [isLastValue ? `${need.name}.*` : need.name],
      retention: isLastValue ? RetentionPolicy.Limits : RetentionPolicy.Workqueue,
      storage: StorageType.File,
      num_replicas: copies,
      ...(isLastValue ? { max_msgs_per_subject: 1 } : {}),
    });
    await manager.consumers.add(need.name, {
      durable_name: WORKERS,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      max_ack_pending: UNACKNOWLEDGED_MAX,
    });
  });
  return channelOf(addresses, topics, need.name, true);
}

function channelOf(addresses: readonly Address[], topics: string[], source: string, isStream: boolean): Channel {
  const way: Way = { driver: DRIVER.href, addresses, topics, sources: [source], options: { jetstream: isStream } };
  return { publish: way, consume: way };
}

async function answers(address: Address): Promise<boolean> {
  try {
    await managed(address, (manager) => manager.getAccountInfo());
    return true;
  } catch {
    return false;
  }
}

async function managed<T>({ host, port }: Address, run: (manager: JetStreamManager) => Promise<T>): Promise<T> {
  const connection = await connect({ servers: `${host}:${port}`, reconnect: false, timeout: STOP_MS_MAX });
  try {
    return await run(await jetstreamManager(connection));
  } finally {
    await connection.close();
  }
}
