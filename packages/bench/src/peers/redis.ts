import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Address } from '../load/driver.ts';
import type { Peer, Place, RunningPeer, Way } from '../run/peer.ts';
import { programOf, versionOf } from './installed.ts';
import { WORKERS } from './redis-driver.ts';

const START_MS_MAX = 20_000;
const HOST = '127.0.0.1';
const DRIVER = new URL('./redis-driver.js', import.meta.url);

/** Redis, a stream as a queue, every turn's commands synced before they are answered. */
export const REDIS: Peer = {
  name: 'redis',
  copies: 1,
  documentedSync: 'yes',

  describe() {
    const program = programOf('redis-server');
    const version = program === undefined ? '' : versionOf(program, '--version');
    return `Redis ${version}, stream with a consumer group, appendfsync always, ioredis`;
  },

  missing() {
    return programOf('redis-server') === undefined ? 'apt-get install redis-server' : undefined;
  },

  async start({ directory, processes }: Place): Promise<RunningPeer> {
    const port = await processes.port();
    const address = { host: HOST, port };
    const config = join(directory, 'redis.conf');
    const lines = [
      `bind ${HOST}`,
      `port ${port}`,
      `dir ${directory}`,
      'daemonize no',
      'save ""',
      'appendonly yes',
      'appendfsync always',
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    const startedMs = performance.now();
    const program = programOf('redis-server') as string;
    const server = await processes.start([program, config], { log: join(directory, 'redis.log') });
    await server.until(
      async () => (await ask(address, (redis) => redis.ping()).catch(() => '')) === 'PONG',
      START_MS_MAX,
    );
    return {
      startMs: performance.now() - startedMs,
      pids: [server.pid],
      directories: [directory],
      async open(need) {
        if (need.kind !== 'queue') return undefined;
        await ask(address, (redis) => redis.xgroup('CREATE', need.name, WORKERS, '$', 'MKSTREAM'));
        const way: Way = {
          driver: DRIVER.href,
          addresses: [address],
          topics: [need.name],
          sources: [need.name],
          options: {},
        };
        return { publish: way, consume: way };
      },
      stop: () => server.stop(),
    };
  },
};

async function ask<T>(address: Address, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ ...address, lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}
