import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MQTT_DRIVER } from '../mqtt/mqtt-driver.ts';
import type { Channel, ChannelNeed, Peer, Place, RunningPeer, Way } from '../run/peer.ts';
import { programOf, versionOf } from './installed.ts';
import { mqttAnswers } from './mqtt-answers.ts';

const START_MS_MAX = 20_000;
const HOST = '127.0.0.1';

/** Mosquitto: a queue is a shared subscription of persistent sessions. */
export const MOSQUITTO: Peer = {
  name: 'mosquitto',
  copies: 1,
  // It writes its store when it ends and every half an hour, and syncs nothing an acknowledgement would wait for.
  documentedSync: 'no',

  describe() {
    const program = programOf('mosquitto');
    const version = program === undefined ? '' : versionOf(program, '-h');
    return `Mosquitto ${version}, persistence on; queue: shared subscription of persistent sessions, MQTT 5`;
  },

  missing() {
    return programOf('mosquitto') === undefined ? 'apt-get install mosquitto' : undefined;
  },

  async start({ directory, processes }: Place): Promise<RunningPeer> {
    const port = await processes.port();
    const config = join(directory, 'mosquitto.conf');
    // Without its own bounds on what waits: those of the load hold for everybody.
    const lines = [
      `listener ${port} ${HOST}`,
      'allow_anonymous true',
      'user root',
      'persistence true',
      `persistence_location ${directory}/`,
      'set_tcp_nodelay true',
      'max_queued_messages 0',
      'max_inflight_messages 0',
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    const startedMs = performance.now();
    const program = programOf('mosquitto') as string;
    const broker = await processes.start([program, '-c', config], { log: join(directory, 'mosquitto.log') });
    const address = { host: HOST, port };
    await broker.until(() => mqttAnswers(address), START_MS_MAX);
    return {
      startMs: performance.now() - startedMs,
      pids: [broker.pid],
      directories: [directory],
      open: async (need) => channelOf(need, address),
      stop: () => broker.stop(),
    };
  },
};

function channelOf(need: ChannelNeed, address: { host: string; port: number }): Channel | undefined {
  if (need.kind === 'last-value' || need.kind === 'queues') return undefined;
  const topic = `bench/${need.name}`;
  const isQueue = need.kind === 'queue';
  const way: Way = {
    driver: MQTT_DRIVER,
    addresses: [address],
    topics: [topic],
    sources: [isQueue ? `$share/workers/${topic}` : topic],
    options: { version: 5, qos: need.qos, session: isQueue },
  };
  return { publish: way, consume: way };
}
