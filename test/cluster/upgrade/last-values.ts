import type { MqttClient } from 'mqtt';
import { pause } from '../../faults/kill-rounds.ts';
import { API, connect } from '../../faults/load.ts';
import { mqttEvent } from '../../harness/mqtt-event.ts';
import { addressOf } from '../../harness/server-process.ts';
import type { ClusterUnderTest } from '../cluster-under-test.ts';
import { isReached, type KindVerdict, type UpgradeKind } from './upgrade-kind.ts';

const KEYS = 16;
const PACE_MS = 50;
const CREATE_MS_MAX = 30_000;

/**
 * A last-value queue that nobody takes from until all nodes are upgraded: its keys, written by one build and replaced by
 * another, are each there once then, with what was acknowledged last.
 */
export class LastValues implements UpgradeKind {
  readonly name = 'last values';
  readonly #cluster: ClusterUnderTest;
  readonly #acknowledged = new Map<string, number>();
  readonly #invoked = new Map<string, number>();
  #refused = 0;
  readonly #clients: MqttClient[] = [];
  #isOver = false;
  #publishing: Promise<void> = Promise.resolve();

  constructor(cluster: ClusterUnderTest) {
    this.#cluster = cluster;
  }

  async begin(): Promise<void> {
    const rest = this.#cluster.rest(this.#cluster.gateways()[0]?.name as string, CREATE_MS_MAX);
    const definition = { is_lastvalue: true, key_expression: 'message.topic', dispatch_strategy: 'random' };
    const { status, body } = await rest.post(API, { topic_filter: 'latest/+', ...definition });
    if (status >= 300) throw new Error(`the queue was refused: ${status} ${JSON.stringify(body)}`);
    const publisher = await this.#connect('latest');
    const publish = async (n: number): Promise<void> => {
      const key = `latest/${n % KEYS}`;
      const sequence = (this.#invoked.get(key) ?? 0) + 1;
      this.#invoked.set(key, sequence);
      try {
        await publisher.publishAsync(key, String(sequence), { qos: 1 });
        this.#acknowledged.set(key, sequence);
      } catch {
        // Refused, as where a partition was silent for long: it may be there or not.
        this.#refused++;
      }
    };
    for (let n = 0; n < KEYS; n++) await publish(n);
    // The last keys keep the value that the former build wrote.
    this.#publishing = (async () => {
      for (let n = 0; !this.#isOver; n = (n + 1) % (KEYS - 2)) {
        await publish(n);
        await pause(PACE_MS);
      }
    })();
  }

  async afterStep(): Promise<void> {}

  async end(): Promise<KindVerdict> {
    this.#isOver = true;
    await this.#publishing;
    const taken: { key: string; sequence: number }[] = [];
    const consumer = await this.#connect('takes-latest');
    consumer.on('message', (key, payload) => taken.push({ key, sequence: Number(payload.toString()) }));
    await consumer.subscribeAsync('$q/latest/+', { qos: 1 });
    await isReached(() => taken.length >= KEYS);
    // Long enough for what should not be there to come.
    await pause(1_000);
    const wrong: string[] = [];
    for (const [key, sequence] of this.#acknowledged) {
      const came = taken.filter((one) => one.key === key).map((one) => one.sequence);
      const [value = 0] = came;
      if (came.length !== 1 || value < sequence || value > (this.#invoked.get(key) ?? 0))
        wrong.push(`${key} came as ${came.join()}, not as ${sequence}`);
    }
    const published = [...this.#acknowledged.values()].reduce((sum, sequence) => sum + sequence, 0);
    return { did: `${published} values of ${KEYS} keys, ${this.#refused} refused`, wrong };
  }

  stop(): void {
    this.#isOver = true;
    for (const client of this.#clients) client.end(true);
  }

  async #connect(clientId: string): Promise<MqttClient> {
    const client = connect(
      clientId,
      5,
      this.#cluster.gateways().map(({ mqtt }) => addressOf(mqtt)),
    );
    this.#clients.push(client);
    if (!client.connected) await mqttEvent(client, 'connect');
    return client;
  }
}
