import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import amqp from 'amqplib';
import { MQTT_DRIVER } from '../mqtt/mqtt-driver.ts';
import type { Channel, ChannelNeed, Peer, Place, Processes, RunningPeer, StartedProcess, Way } from '../run/peer.ts';
import { programOf } from './installed.ts';

const START_MS_MAX = 120_000;
const HOST = '127.0.0.1';
const DRIVER = new URL('./amqp-driver.js', import.meta.url);
/** The script itself: what Debian has in the PATH changes the user and writes below its own directories. */
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const ELECTION_MS = 500;

interface RabbitOptions {
  nodes: 1 | 3;
  /** How messages get into the queue; they leave it by AMQP. */
  publishedBy: 'amqp' | 'mqtt';
}

/** RabbitMQ, quorum queues with as many members as there are nodes. */
export function rabbitOf({ nodes, publishedBy }: RabbitOptions): Peer {
  return {
    name: publishedBy === 'mqtt' ? `rabbitmq-${nodes}-mqtt` : `rabbitmq-${nodes}`,
    copies: nodes,
    documentedSync: 'yes',

    describe() {
      const { stdout } = spawnSync('dpkg-query', ['-s', 'rabbitmq-server'], { encoding: 'utf8' });
      const version = /^Version: ([\d.]+)/m.exec(stdout ?? '')?.[1] ?? '';
      const way =
        publishedBy === 'mqtt'
          ? 'published over MQTT 3.1.1, consumed over AMQP'
          : 'AMQP 0.9.1, amqplib; fan-out: MQTT 3.1.1';
      return `RabbitMQ ${version} quorum queue of ${nodes}, ${way}`;
    },

    missing() {
      return existsSync(SERVER) && programOf('epmd') !== undefined ? undefined : 'apt-get install rabbitmq-server';
    },

    async start(place: Place): Promise<RunningPeer> {
      const cluster = await RabbitCluster.start(place, nodes);
      return {
        startMs: cluster.startMs,
        pids: cluster.pids,
        directories: [place.directory],
        open: (need) => cluster.open(need, publishedBy),
        stop: () => cluster.stop(),
      };
    },
  };
}

interface RabbitNode {
  name: string;
  amqp: number;
  mqtt: number;
  distribution: number;
}

/**
 * Nodes find each other by a port mapper of their own, started and stopped here: the one of the machine would be left
 * running for ever. Each node's Erlang shell reads a pipe of ours, and ends with it.
 */
class RabbitCluster {
  startMs = 0;
  readonly #nodes: RabbitNode[] = [];
  readonly #servers: StartedProcess[] = [];
  #mapper: StartedProcess | undefined;

  static async start({ directory, processes }: Place, count: number): Promise<RabbitCluster> {
    const cluster = new RabbitCluster();
    const mapperPort = await processes.port();
    const startedMs = performance.now();
    const mapper = [programOf('epmd') as string, '-port', String(mapperPort), '-address', HOST];
    cluster.#mapper = await processes.start(mapper, { log: join(directory, 'epmd.log') });
    for (let i = 1; i <= count; i++) cluster.#nodes.push(await nodeOf(`bench-${i}-${mapperPort}@localhost`, processes));
    const start = async (node: RabbitNode) => {
      const server = await startNode(node, cluster.#nodes, directory, mapperPort, processes);
      cluster.#servers.push(server);
      await server.until(() => answers(node.amqp), START_MS_MAX);
    };
    // The first is what the others join.
    await start(cluster.#nodes[0] as RabbitNode);
    await Promise.all(cluster.#nodes.slice(1).map(start));
    cluster.startMs = performance.now() - startedMs;
    return cluster;
  }

  get pids(): number[] {
    return [...this.#servers, ...(this.#mapper === undefined ? [] : [this.#mapper])].map(({ pid }) => pid);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    await this.#mapper?.stop();
  }

  async open(need: ChannelNeed, publishedBy: 'amqp' | 'mqtt'): Promise<Channel | undefined> {
    if (need.kind === 'last-value' || need.kind === 'queues') return undefined;
    const overMqtt = (qos: number): Way => ({
      driver: MQTT_DRIVER,
      addresses: this.#nodes.map(({ mqtt }) => ({ host: HOST, port: mqtt })),
      topics: [`bench/${need.name}`],
      sources: [`bench/${need.name}`],
      options: { version: 4, qos },
    });
    if (need.kind === 'fan-out') {
      // The same as without queues, measured under the other name.
      return publishedBy === 'mqtt' ? undefined : { publish: overMqtt(need.qos), consume: overMqtt(need.qos) };
    }
    await this.#declare(need.name);
    const overAmqp: Way = {
      driver: DRIVER.href,
      addresses: this.#nodes.map((node) => ({ host: HOST, port: node.amqp })),
      topics: [need.name],
      sources: [need.name],
      options: {},
    };
    return { publish: publishedBy === 'mqtt' ? overMqtt(1) : overAmqp, consume: overAmqp };
  }

  async #declare(queue: string): Promise<void> {
    const connection = await amqp.connect({ hostname: HOST, port: (this.#nodes[0] as RabbitNode).amqp });
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.bindQueue(queue, 'amq.topic', `bench.${queue}`);
    await connection.close();
    // Consumers that come while its members are still electing get an internal error.
    await new Promise((resolve) => setTimeout(resolve, ELECTION_MS));
  }
}

async function nodeOf(name: string, processes: Processes): Promise<RabbitNode> {
  return { name, amqp: await processes.port(), mqtt: await processes.port(), distribution: await processes.port() };
}

async function startNode(
  node: RabbitNode,
  all: readonly RabbitNode[],
  directory: string,
  mapperPort: number,
  processes: Processes,
): Promise<StartedProcess> {
  const home = join(directory, node.name);
  await mkdir(home, { recursive: true });
  const config = join(home, 'rabbitmq.conf');
  const lines = [
    `listeners.tcp.1 = ${HOST}:${node.amqp}`,
    `mqtt.listeners.tcp.1 = ${HOST}:${node.mqtt}`,
    'mqtt.allow_anonymous = true',
    'mqtt.tcp_listen_options.nodelay = true',
    'cluster_formation.peer_discovery_backend = classic_config',
    ...all.map(({ name }, i) => `cluster_formation.classic_config.nodes.${i + 1} = ${name}`),
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  await writeFile(join(home, 'enabled_plugins'), '[rabbitmq_mqtt].\n');
  const local = '-kernel inet_dist_use_interface {127,0,0,1}';
  return await processes.start([SERVER], {
    log: join(home, 'console.log'),
    directory: home,
    // The script then becomes the node instead of waiting for it, and the node ends with this pipe.
    hasInput: true,
    env: {
      HOME: home,
      ERL_EPMD_PORT: String(mapperPort),
      RABBITMQ_ALLOW_INPUT: 'true',
      RABBITMQ_CONF_ENV_FILE: join(home, 'no-environment-file'),
      RABBITMQ_CONFIG_FILE: config,
      RABBITMQ_CONFIG_FILES: join(home, 'no-more-files'),
      RABBITMQ_ADVANCED_CONFIG_FILE: join(home, 'no-advanced-file'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'enabled_plugins'),
      RABBITMQ_ERLANG_COOKIE: 'sluice-bench',
      RABBITMQ_NODENAME: node.name,
      RABBITMQ_DIST_PORT: String(node.distribution),
      RABBITMQ_MNESIA_BASE: join(home, 'data'),
      RABBITMQ_LOG_BASE: join(home, 'log'),
      RABBITMQ_GENERATED_CONFIG_DIR: join(home, 'generated'),
      RABBITMQ_PID_FILE: join(home, 'pid'),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: local,
    },
  });
}

async function answers(port: number): Promise<boolean> {
  try {
    const connection = await amqp.connect({ hostname: HOST, port } satisfies amqp.Options.Connect, { timeout: 2_000 });
    await connection.close();
    return true;
  } catch {
    return false;
  }
}
