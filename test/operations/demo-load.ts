import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { HandClient } from '../e2e/support/hand-client.ts';
import { API } from '../faults/load.ts';
import { type Address, addressOf } from '../harness/server-process.ts';

const TICK_MS = 100;

/**
 * A task queue whose workers keep up and sometimes refuse, one that nobody consumes, a last-value queue, and clients that come
 * and go, do what they may not, or speak no MQTT.
 */
export class DemoLoad {
  readonly #cluster: ClusterUnderTest;
  readonly #clients: HandClient[] = [];
  #running: Promise<void> | undefined;
  #isOver = false;

  constructor(cluster: ClusterUnderTest) {
    this.#cluster = cluster;
  }

  async start(): Promise<void> {
    const rest = await this.#cluster.anyRest();
    for (const [name, more] of Object.entries({
      images: {},
      forgotten: { limits: { max_message_count: 1_000_000, overflow: 'drop_oldest' } },
      commands: { is_lastvalue: true, key_expression: 'message.topic' },
    })) {
      const { status } = await rest.post(API, { name, topic_filter: `${name}/#`, is_lastvalue: false, ...more });
      if (status >= 300) throw new Error(`${name} was refused`);
    }
    const rules = [{ topic: 'forbidden', permission: 'deny', action: 'all' }];
    const denied = await rest.post('/api/v5/authorization/sources/built_in_database/rules/all', { rules });
    if (denied.status >= 300) throw new Error('the rule was refused');
    const gateways = this.#cluster.nodes.map(({ mqtt }) => addressOf(mqtt));
    const workers: HandClient[] = [];
    for (const gateway of gateways) {
      const worker = await this.#client(gateway);
      await worker.subscribe('$queue/images');
      workers.push(worker);
    }
    const publishers = await Promise.all(gateways.map((gateway) => this.#client(gateway)));
    this.#running = this.#run(publishers, workers, gateways);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running?.catch(() => {});
    for (const client of this.#clients) client.destroy();
  }

  async #run(
    publishers: readonly HandClient[],
    workers: readonly HandClient[],
    gateways: readonly Address[],
  ): Promise<void> {
    const answered = workers.map(() => 0);
    for (let n = 0; !this.#isOver; n++) {
      const publisher = publishers[n % publishers.length] as HandClient;
      for (const topic of ['images/1', 'images/2', 'forgotten/1', 'commands/robot-1', 'images/3']) {
        await publisher.publishQoS1(topic, `${n}`);
      }
      await publisher.publishQoS2('images/4', `${n}`, 60_000, false);
      await publisher.releaseQoS2(60_000);
      for (const [w, worker] of workers.entries()) {
        while ((answered[w] as number) < worker.deliveries.length) {
          const at = answered[w] as number;
          worker.ack(at, at % 7 === 0 ? REFUSED : 0);
          answered[w] = at + 1;
        }
      }
      if (n % MISCHIEF_TICKS === 0) await this.#mischief(gateways[(n / MISCHIEF_TICKS) % gateways.length] as Address);
      await delay(TICK_MS);
    }
  }

  async #mischief(gateway: Address): Promise<void> {
    const guest = await HandClient.connect(gateway);
    await guest.publishQoS1('forbidden', '');
    guest.close();
    const stranger = connect(gateway.port, gateway.host, () => stranger.write('GET / HTTP/1.1\r\n\r\n'));
    stranger.on('error', () => {});
    await once(stranger, 'close');
  }

  async #client(gateway: Address): Promise<HandClient> {
    const client = await HandClient.connect(gateway);
    this.#clients.push(client);
    return client;
  }
}

const REFUSED = 0x83;
const MISCHIEF_TICKS = 10;
