import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import type { RetainedCheck } from '../check/retained-check.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { SimWorld } from '../sim-world.ts';
import { type ConnectionListener, MqttConnection } from './mqtt-connection.ts';

/** A client that comes, subscribes once, and reads what is retained, or what comes live in its stead. */
export class RetainedProbe implements ConnectionListener {
  readonly #world: SimWorld;
  readonly #check: RetainedCheck;
  readonly #filter: string;
  readonly #connection: MqttConnection;
  #askedMs = 0;
  /** What it has something of. */
  readonly topics = new Set<string>();
  hasEnded = false;

  constructor(options: {
    world: SimWorld;
    gateway: GatewayNode;
    check: RetainedCheck;
    clientId: string;
    filter: string;
  }) {
    const { world, gateway, clientId } = options;
    this.#world = world;
    this.#check = options.check;
    this.#filter = options.filter;
    this.#connection = new MqttConnection({
      world,
      gateway,
      clientId,
      isClean: true,
      expiryS: 0,
      receiveMaximum: 100,
      listener: this,
    });
  }

  get askedMs(): number {
    return this.#askedMs;
  }

  describe(): string {
    return `${this.#connection.clientId} (${this.#connection.state}, ${this.topics.size} topics)`;
  }

  leave(): void {
    this.#connection.leave();
  }

  connected(connection: MqttConnection): void {
    this.#askedMs = this.#world.nowMs;
    connection.subscribe(this.#filter, 1, 1);
  }

  message(connection: MqttConnection, { packetId, qos, retain, topic, payload }: PublishPacket): void {
    if (qos > 0) connection.answer(PacketType.PUBACK, packetId);
    const text = Buffer.from(payload).toString().trimEnd();
    if (!retain) {
      if (this.#check.standsIn(topic, text, this.#askedMs)) this.topics.add(topic);
      return;
    }
    this.topics.add(topic);
    try {
      this.#check.replayed(connection.clientId, topic, text, this.#askedMs);
    } catch (cause) {
      this.#world.fail(cause);
    }
  }

  ended(): void {
    this.hasEnded = true;
  }
}
