import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import type { WorkerCheck } from '../check/worker-check.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import { type ConnectionListener, MqttConnection } from './mqtt-connection.ts';

/**
 * A worker of a queue that speaks MQTT and nothing else: it subscribes, takes what comes, thinks, and answers by PUBACK, or
 * refuses by one. It dies, falls silent, leaves, comes again anywhere while its former connection is still there, and
 * unsubscribes with jobs in its hands.
 */
export class QueueWorker implements ConnectionListener {
  readonly #parts: QueueWorkerParts;
  #connection: MqttConnection | undefined;
  /** Over this connection: what it has and has not answered, by packet id. */
  #held = new Map<number, HeldJob>();
  /** Over this connection, answered or not. */
  #had = new Set<number>();
  #subscribing = 0;
  #isSubscribed = false;
  /** How often it subscribed: a queue's window is of one subscription, what it had before counts no more there. */
  #subscription = 0;
  #roomSinceMs = Number.POSITIVE_INFINITY;
  /** Its answers that may still be under way: when it gave them. */
  #answeredAtMs: number[] = [];
  #isOver = false;

  constructor(parts: QueueWorkerParts) {
    this.#parts = parts;
  }

  begin(): void {
    const { world, draw, actEveryMs } = this.#parts;
    world.after(actEveryMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.begin();
      this.#act();
    });
  }

  /** What it is stuck with, too. */
  hurry(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    for (const [packetId, job] of this.#held) this.#think(connection, packetId, job, this.#parts.knobs.thinkMsMax);
  }

  leave(): void {
    this.#isOver = true;
    this.#connection?.leave();
  }

  #act(): void {
    const { draw, mayHarm, check, queueId, clientId, knobs } = this.#parts;
    const connection = this.#connection;
    if (connection === undefined) this.#connect();
    else if (mayHarm() && !knobs.isStuck && draw.onceIn(10)) this.#harm(connection);
    else if (connection.state === 'open' && !this.#isSubscribed && this.#subscribing === 0) this.#subscribe(connection);
    else if (this.#isSubscribed) {
      this.#look();
      const id = queueId();
      // What waits beside one that does not take everything may be too large for it.
      if (id !== undefined && this.#parts.maximumPacketSizeBytes === undefined)
        this.#checked(() => check.idleSince(id, this.#roomSinceMs, clientId));
    }
  }

  #harm(connection: MqttConnection): void {
    const { filter, draw } = this.#parts;
    const how = draw.oneOf(['reset', 'vanish', 'leave', 'take over', 'unsubscribe'] as const);
    if (how === 'reset') connection.reset();
    else if (how === 'vanish') connection.vanish();
    else if (how === 'leave') connection.leave();
    else if (how === 'unsubscribe') {
      if (!this.#isSubscribed) return;
      this.#isSubscribed = false;
      this.#subscribing = connection.unsubscribe(filter);
      this.#giveBack();
    } else {
      // The former one is not told: its gateway is, by the next one.
      this.#over();
      this.#connect();
    }
  }

  #connect(): void {
    const { world, draw, gateways, clientId, receiveMaximum, version, maximumPacketSizeBytes } = this.#parts;
    const up = gateways.filter(({ state, mqtt }) => state === 'up' && mqtt !== undefined);
    if (up.length === 0) return;
    this.#connection = new MqttConnection({
      ...{ world, clientId, receiveMaximum, version, gateway: draw.oneOf(up) },
      ...{ isClean: true, expiryS: 0, listener: this, maximumPacketSizeBytes },
    });
  }

  #subscribe(connection: MqttConnection): void {
    this.#subscribing = connection.subscribe(this.#parts.filter, 1, 1);
  }

  connected(connection: MqttConnection): void {
    if (connection === this.#connection) this.#subscribe(connection);
  }

  subscribed(connection: MqttConnection, packetId: number, reasonCode: number): void {
    if (connection !== this.#connection || packetId !== this.#subscribing) return;
    if (reasonCode > 2) throw new Violation('worker', `${this.#parts.clientId} was answered ${reasonCode}`);
    this.#subscribing = 0;
    this.#isSubscribed = true;
    this.#subscription++;
    this.#look();
  }

  unsubscribed(connection: MqttConnection, packetId: number): void {
    if (connection === this.#connection && packetId === this.#subscribing) this.#subscribing = 0;
  }

  message(connection: MqttConnection, { packetId, payload, qos, properties }: PublishPacket): void {
    const { check, receiveMaximum, clientId, version, knobs, draw, mayHarm } = this.#parts;
    // Of a former connection, which it has left behind.
    if (connection !== this.#connection) return;
    const job = { id: Number.parseInt(Buffer.from(payload).toString(), 10), subscription: this.#subscription };
    const { id } = job;
    this.#checked(() => {
      if (qos !== 1) throw new Violation('worker', `${clientId} got ${id} at QoS ${qos}`);
      if (this.#held.has(packetId))
        throw new Violation('worker', `${clientId} has packet id ${packetId}, and got ${id}`);
      check.reached(id);
      check.counted(id, countIn(properties?.userProperties));
      this.#held.set(packetId, job);
      this.#had.add(id);
      if (version === 5) check.within(this.#held.size, receiveMaximum, clientId);
      check.within(this.#ofSubscription, WINDOW, clientId);
    });
    this.#look();
    const isStuck = knobs.isStuck && mayHarm();
    this.#think(connection, packetId, job, isStuck ? knobs.stuckMs : draw.between(0, knobs.thinkMsMax));
  }

  #think(connection: MqttConnection, packetId: number, job: HeldJob, ms: number): void {
    const { world, check, draw, knobs, version } = this.#parts;
    world.after(ms, world.outside, () => {
      if (connection.state !== 'open' || this.#held.get(packetId) !== job) return;
      this.#held.delete(packetId);
      this.#answeredAtMs.push(world.nowMs);
      this.#look();
      if (version === 5 && draw.onceIn(knobs.refuseOneIn)) {
        check.givenBack(job.id);
        connection.refuse(packetId);
      } else {
        check.finishes(job.id);
        connection.acknowledge(packetId);
      }
    });
  }

  get #ofSubscription(): number {
    return [...this.#held.values()].filter(({ subscription }) => subscription === this.#subscription).length;
  }

  /** Whether it could take more. A place is its store's to give away again when the answer is there, and not before. */
  #look(): void {
    const { version, receiveMaximum, world } = this.#parts;
    this.#answeredAtMs = this.#answeredAtMs.filter((atMs) => atMs > world.nowMs - ANSWER_MS_MAX);
    const answers = this.#answeredAtMs.length;
    const isFull =
      (version === 5 && this.#held.size + answers >= receiveMaximum) || this.#ofSubscription + answers >= WINDOW;
    if (isFull || !this.#isSubscribed) this.#roomSinceMs = Number.POSITIVE_INFINITY;
    else this.#roomSinceMs = Math.min(this.#roomSinceMs, world.nowMs);
  }

  ended(connection: MqttConnection): void {
    if (connection === this.#connection) this.#over();
  }

  #over(): void {
    this.#connection = undefined;
    this.#isSubscribed = false;
    this.#subscribing = 0;
    this.#giveBack();
    this.#held = new Map();
    this.#had = new Set();
    this.#answeredAtMs = [];
  }

  /** What is not answered, and what is and was not heard. */
  #giveBack(): void {
    this.#roomSinceMs = Number.POSITIVE_INFINITY;
    for (const id of this.#had) this.#parts.check.givenBack(id);
  }

  #checked(act: () => void): void {
    try {
      act();
    } catch (cause) {
      this.#parts.world.fail(cause);
    }
  }
}

interface HeldJob {
  readonly id: number;
  readonly subscription: number;
}

/** `local_max_inflight` of a queue that says nothing. */
const WINDOW = 10;

/** Until an answer has come to the store, and the next job from there: four hops. */
const ANSWER_MS_MAX = 500;

function countIn(userProperties: readonly string[] | undefined): number {
  const at = userProperties?.indexOf('sluice-delivery-count') ?? -1;
  return at === -1 ? 1 : Number(userProperties?.[at + 1]);
}

/** How a worker works. */
export interface WorkingKnobs {
  thinkMsMax: number;
  refuseOneIn: number;
  /** It takes what it may, and does not move for `stuckMs`; nothing else happens to it. */
  isStuck: boolean;
  stuckMs: number;
}

export interface QueueWorkerParts {
  world: SimWorld;
  draw: Draw;
  gateways: readonly GatewayNode[];
  check: WorkerCheck;
  clientId: string;
  filter: string;
  /** Of the queue that it means, when there is one. */
  queueId: () => number | undefined;
  version: 4 | 5;
  receiveMaximum: number;
  /** Undefined: it takes packets of any size. */
  maximumPacketSizeBytes: number | undefined;
  actEveryMs: number;
  knobs: WorkingKnobs;
  mayHarm: () => boolean;
}
