import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MQTT_DRIVER } from '../mqtt/mqtt-driver.ts';
import type { Peer, Place, RunningPeer, Way } from '../run/peer.ts';
import { mqttAnswers } from './mqtt-answers.ts';

const START_MS_MAX = 20_000;
const HOST = '127.0.0.1';
/** Built, also when this file is not: a process of its own runs what was compiled. */
const BROKER = new URL('../../dist/peers/aedes-broker.js', import.meta.url);

/** aedes: publish and subscribe in the memory of a Node.js process, as Sluice's gateway is one. */
export const AEDES: Peer = {
  name: 'aedes',
  copies: 1,
  documentedSync: 'memory',
  describe: () => 'aedes 1.2, in memory, MQTT 3.1.1',
  missing: () => undefined,

  async start({ directory, processes }: Place): Promise<RunningPeer> {
    const port = await processes.port();
    const address = { host: HOST, port };
    const startedMs = performance.now();
    const command = [process.execPath, fileURLToPath(BROKER), String(port)];
    const broker = await processes.start(command, { log: join(directory, 'aedes.log') });
    await broker.until(() => mqttAnswers(address), START_MS_MAX);
    return {
      startMs: performance.now() - startedMs,
      pids: [broker.pid],
      directories: [],
      async open(need) {
        if (need.kind !== 'fan-out') return undefined;
        const topic = `bench/${need.name}`;
        const options = { version: 4, qos: need.qos };
        const way: Way = { driver: MQTT_DRIVER, addresses: [address], topics: [topic], sources: [topic], options };
        return { publish: way, consume: way };
      },
      stop: () => broker.stop(),
    };
  },
};
