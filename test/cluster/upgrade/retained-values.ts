import type { Prng } from '@sluice/common/prng';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { pause } from '../../faults/kill-rounds.ts';
import { connect } from '../../faults/load.ts';
import { mqttEvent } from '../../harness/mqtt-event.ts';
import { type Address, addressOf } from '../../harness/server-process.ts';
import type { ClusterProcess, ClusterUnderTest } from '../cluster-under-test.ts';
import type { KindVerdict, UpgradeKind } from './upgrade-kind.ts';

const TOPICS = 24;
const PUBLISH_PACE_MS = 50;
const READ_PACE_MS = 500;
/** On a machine that does other things as well. */
const READ_MS_MAX = 60_000;
const CLEARED_ONE_IN = 5;

/** Of one topic. Each value is published when the one before is acknowledged. */
interface Shown {
  acknowledged: Value;
  invoked: Value[];
}

interface Value {
  readonly sequence: number;
  readonly isClear: boolean;
}

/**
 * Retained messages that change and are cleared all the time, and readers who come to one gateway after the other with a
 * wildcard: each is given of every topic what was acknowledged last before it subscribed, or something newer, and nothing
 * older.
 */
export class RetainedValues implements UpgradeKind {
  readonly name = 'retained messages';
  readonly #cluster: ClusterUnderTest;
  readonly #prng: Prng;
  readonly #topics = new Map<string, Shown>();
  readonly #wrong: string[] = [];
  #publisher: MqttClient | undefined;
  #isOver = false;
  #running: Promise<unknown> = Promise.resolve();
  #published = 0;
  #refused = 0;
  #reads = 0;
  #interrupted = 0;

  constructor(cluster: ClusterUnderTest, prng: Prng) {
    this.#cluster = cluster;
    this.#prng = prng;
    for (let n = 0; n < TOPICS; n++) {
      this.#topics.set(`shown/${n}`, { acknowledged: { sequence: 0, isClear: true }, invoked: [] });
    }
  }

  async begin(): Promise<void> {
    this.#publisher = connect(
      'shows',
      5,
      this.#cluster.gateways().map(({ mqtt }) => addressOf(mqtt)),
    );
    if (!this.#publisher.connected) await mqttEvent(this.#publisher, 'connect');
    for (const topic of this.#topics.keys()) await this.#show(topic, false);
    this.#running = Promise.all([this.#publish(), this.#read()]);
  }

  async afterStep(): Promise<void> {
    for (const gateway of this.#cluster.gateways()) await this.#readSurely(gateway);
  }

  async end(): Promise<KindVerdict> {
    this.#isOver = true;
    await this.#running;
    await this.afterStep();
    const did = `${this.#published} published, ${this.#refused} refused, ${this.#reads} times read, ${this.#interrupted} times cut short`;
    return { did, wrong: this.#wrong };
  }

  stop(): void {
    this.#isOver = true;
    this.#publisher?.end(true);
  }

  async #publish(): Promise<void> {
    const topics = [...this.#topics.keys()];
    while (!this.#isOver) {
      await this.#show(topics[this.#prng.below(topics.length)] as string, this.#prng.below(CLEARED_ONE_IN) === 0);
      await pause(PUBLISH_PACE_MS);
    }
  }

  async #show(topic: string, isClear: boolean): Promise<void> {
    const shown = this.#topics.get(topic) as Shown;
    const value = { sequence: (shown.invoked.at(-1)?.sequence ?? 0) + 1, isClear };
    shown.invoked.push(value);
    try {
      await this.#publisher?.publishAsync(topic, isClear ? '' : String(value.sequence), { qos: 1, retain: true });
    } catch {
      // Refused, as where a partition was silent for long: nothing is promised of it.
      this.#refused++;
      return;
    }
    shown.acknowledged = value;
    this.#published++;
  }

  async #read(): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      const gateways = this.#cluster.gateways().filter(({ isRunning }) => isRunning);
      const gateway = gateways[n % gateways.length];
      if (gateway !== undefined) await this.#readOnce(gateway, n % 2 === 0 ? 5 : 4);
      await pause(READ_PACE_MS);
    }
  }

  /** Of a gateway that serves. */
  async #readSurely(gateway: ClusterProcess): Promise<void> {
    if (await this.#readOnce(gateway, 5)) return;
    if (!(await this.#readOnce(gateway, 4))) this.#wrong.push(`${gateway.name} serves, and ended two readers`);
  }

  /** False when the connection ended before. */
  async #readOnce(gateway: ClusterProcess, version: 4 | 5): Promise<boolean> {
    const client = mqtt.connect({
      ...(addressOf(gateway.mqtt) satisfies Address),
      clientId: `reads-${this.#reads}-${this.#interrupted}`,
      protocolVersion: version,
      reconnectPeriod: 0,
      connectTimeout: READ_MS_MAX,
    });
    client.on('error', () => {});
    const seen = new Map<string, number>();
    const retained = new Map<string, number>();
    let isLost = false;
    client.on('close', () => {
      isLost = true;
    });
    client.on('message', (topic: string, payload: Buffer, packet: IPublishPacket) => {
      if (payload.length === 0) return;
      const sequence = Number(payload.toString());
      seen.set(topic, Math.max(seen.get(topic) ?? 0, sequence));
      if (packet.retain) retained.set(topic, sequence);
    });
    try {
      const untilMs = performance.now() + READ_MS_MAX;
      while (!client.connected && !isLost) await pause(5);
      const due = new Map([...this.#topics].map(([topic, { acknowledged }]) => [topic, acknowledged]));
      let isAnswered = false;
      client.subscribe('shown/#', { qos: 1 }, (error) => {
        isAnswered = !error;
      });
      let missing: string[] = [];
      do {
        await pause(5);
        missing = [...due].filter(([topic, value]) => this.#isMissing(topic, value, seen.get(topic))).map(([t]) => t);
      } while (!isLost && (missing.length > 0 || !isAnswered) && performance.now() < untilMs);
      for (const [topic, sequence] of retained) {
        const { sequence: least, isClear } = due.get(topic) as Value;
        if (sequence >= (isClear ? least + 1 : least)) continue;
        const was = `${least}${isClear ? ', a clear,' : ''}`;
        this.#wrong.push(`${gateway.name} gave ${sequence} of ${topic}, though ${was} was acknowledged before`);
      }
      if (isLost) {
        this.#interrupted++;
        return false;
      }
      if (missing.length > 0 || !isAnswered) {
        this.#wrong.push(`${gateway.name} did not give ${missing.join(', ')}; SUBACK: ${isAnswered}`);
      }
      this.#reads++;
      return true;
    } finally {
      client.end(true);
    }
  }

  #isMissing(topic: string, { sequence, isClear }: Value, seen: number | undefined): boolean {
    if (isClear || (seen ?? 0) >= sequence) return false;
    const { invoked } = this.#topics.get(topic) as Shown;
    // Cleared since, or about to be.
    return !invoked.some((value) => value.isClear && value.sequence > sequence);
  }
}
