import { stableHashOfText } from '@sluice/common/stable-hash';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import type { PacketIdCheck } from '../check/packet-id-check.ts';
import type { RetainedCheck } from '../check/retained-check.ts';
import type { SessionCheck } from '../check/session-check.ts';
import { TakenIds } from '../check/taken-ids.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { type ConnectionListener, MqttConnection } from './mqtt-connection.ts';
import type { SessionKnobs } from './session-knobs.ts';
import type { WillTrail } from './will-trail.ts';

/**
 * A client with a session that is kept: it subscribes and unsubscribes, goes away in every way there is, comes back at any
 * gateway, and is now and then connected to two at once. What it was not answered it asks again over its next connection,
 * so that it always comes to know what it is subscribed to.
 */
export class KeptClient implements ConnectionListener {
  readonly clientId: string;
  readonly expiryS: number;
  readonly #parts: KeptClientParts;
  readonly #partition: number;
  /** In the order of their CONNECTs; those that ended are not among them. */
  #connections: MqttConnection[] = [];
  /** Over which something was acknowledged that the gateway may not have heard of. */
  readonly #acknowledged = new Map<MqttConnection, { subscriptionId: number; id: number }[]>();
  readonly #wishes = new Map<string, Wish>();
  /** By packet id; of the newest connection. */
  #asked = new Map<number, Wish>();
  #askedOver: MqttConnection | undefined;
  /** Of messages at QoS 2 that it has, and the broker has not released. */
  readonly #taken = new TakenIds();
  #awayUntilMs = 0;
  #isOver = false;
  /** When something came that shows that the session was there; undefined: it need not be. */
  #provenMs: number | undefined;
  /** A clean start that was asked for and not answered may be done until then; what was so before the last of them. */
  #doubtUntilMs = 0;
  #doubtBefore = 0;

  /** How long a question of a client that is gone may go round. */
  static readonly DOUBT_MS = 40_000;

  constructor(clientId: string, expiryS: number, parts: KeptClientParts) {
    this.clientId = clientId;
    this.expiryS = expiryS;
    this.#parts = parts;
    this.#partition = 1 + (stableHashOfText(clientId) % parts.partitions);
  }

  begin(): void {
    const { world, draw, knobs } = this.#parts;
    world.after(knobs.actEveryMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.begin();
      this.#act();
    });
  }

  /** It has one connection, and knows what it is subscribed to. Called until it is so. */
  settle(): boolean {
    this.#isOver = true;
    const { world } = this.#parts;
    if (this.#connections.length === 0) this.#connect(this.#anyGateway(), false);
    const [first, ...others] = this.#connections;
    // One that was left behind is sent away by the newest; where that did not come to be, none is.
    if (others.length > 0 && world.nowMs - (others.at(-1) as MqttConnection).connectSentMs > KeptClient.CROSSING_MS) {
      first?.reset();
    }
    const newest = this.#connections.at(-1);
    if (newest?.state === 'open') this.#reconcile(newest);
    const isKnown = [...this.#wishes.values()].every(({ state }) => state === 'in' || state === 'out');
    return this.#connections.length === 1 && newest?.state === 'open' && isKnown;
  }

  /** For good. */
  leave(): void {
    this.#isOver = true;
    const expiryS = this.expiryS === NEVER ? 0 : undefined;
    for (const connection of [...this.#connections]) connection.leave(expiryS);
  }

  describe(): string {
    const connections = this.#connections.map(({ process, state }) => `${state} at ${process}`);
    const wishes = [...this.#wishes.values()].map(({ filter, state }) => `${filter} ${state}`);
    return `${this.clientId}: ${connections.join(', ') || 'nowhere'}; ${wishes.join(', ')}`;
  }

  // ---- what it does

  #act(): void {
    const { world, draw, knobs } = this.#parts;
    const newest = this.#connections.at(-1);
    if (newest === undefined) {
      if (world.nowMs < this.#awayUntilMs) return;
      this.#connect(this.#anyGateway(), draw.onceIn(knobs.cleanOneIn ?? 20));
      if (draw.onceIn(8)) this.#connect(this.#anyGateway(), false);
      return;
    }
    if (newest.state !== 'open') return;
    this.#reconcile(newest);
    const what = draw.between(1, 20);
    if (what <= 9) this.#wish(newest);
    else if (what <= 12) this.#connect(this.#anyGateway(), false);
    else if (what <= 17) {
      this.#awayUntilMs = world.nowMs + draw.between(0, knobs.awayMsMax);
      if (what <= 14 && knobs.endsOneIn !== undefined && draw.onceIn(knobs.endsOneIn)) this.#end();
      for (const connection of [...this.#connections]) {
        if (what <= 14) connection.leave();
        else if (what <= 16) connection.reset();
        else connection.vanish();
      }
    }
  }

  /** It leaves, and its session with it, unless nobody hears that. */
  #end(): void {
    for (const wish of this.#wishes.values()) if (wish.state !== 'out') this.#doubt(wish);
    this.#provenMs = undefined;
    for (const connection of [...this.#connections]) connection.leave(0);
  }

  #anyGateway(): GatewayNode | undefined {
    const up = this.#parts.gateways.filter(({ state, mqtt }) => state === 'up' && mqtt !== undefined);
    return up.length === 0 ? undefined : this.#parts.draw.oneOf(up);
  }

  #connect(gateway: GatewayNode | undefined, isClean: boolean): void {
    if (gateway === undefined) return;
    const { world, knobs } = this.#parts;
    if (isClean) {
      this.#doubtBefore = this.#doubtUntilMs;
      this.#doubtUntilMs = world.nowMs + KeptClient.DOUBT_MS;
      this.#provenMs = undefined;
    }
    const { clientId, expiryS } = this;
    const { receiveMaximum } = knobs;
    this.#connections.push(
      new MqttConnection({ world, gateway, clientId, isClean, expiryS, receiveMaximum, listener: this }),
    );
  }

  /** Another filter, or one less. */
  #wish(connection: MqttConnection): void {
    const { world, draw, check, filters } = this.#parts;
    const filter = draw.oneOf(filters);
    const wish = this.#wishes.get(filter);
    if (wish === undefined || wish.state === 'out') this.#ask(filter);
    else if (wish.state === 'in' && draw.onceIn(3)) {
      wish.state = 'leaving';
      wish.isWanted = false;
      check.leaving(wish.subscriptionId, world.nowMs);
    }
    this.#reconcile(connection);
  }

  #ask(filter: string): void {
    const { world, check } = this.#parts;
    const wish = this.#wishes.get(filter);
    // One that may be there all the same goes on, under the new identifier.
    const former = wish?.isUnsure === true ? wish.subscriptionId : undefined;
    const sinceMs = former === undefined ? world.nowMs : 0;
    const subscriptionId = check.asked(this.clientId, this.#partition, filter, sinceMs, former);
    this.#wishes.set(filter, { filter, subscriptionId, state: 'asking', isUnsure: false, isWanted: true });
  }

  /** What is not answered yet is asked over this connection, once. */
  #reconcile(connection: MqttConnection): void {
    if (this.#askedOver !== connection) {
      this.#askedOver = connection;
      this.#asked = new Map();
    }
    const { world, check, knobs } = this.#parts;
    const asked = new Set(this.#asked.values());
    for (const wish of this.#wishes.values()) {
      if (asked.has(wish)) continue;
      if (wish.state === 'asking') {
        if (world.nowMs < this.#doubtUntilMs) check.doubtful(wish.subscriptionId);
        this.#asked.set(connection.subscribe(wish.filter, wish.subscriptionId, knobs.isExactlyOnce ? 2 : 1), wish);
      } else if (wish.state === 'leaving') this.#asked.set(connection.unsubscribe(wish.filter), wish);
    }
  }

  // ---- what it is told

  connected(connection: MqttConnection, isPresent: boolean): void {
    const { world, check } = this.#parts;
    const { nowMs } = world;
    this.#say(`is at ${connection.process}${isPresent ? ' again' : ''}`);
    if (connection.isClean) this.#doubtUntilMs = this.#doubtBefore;
    const mustBe = this.#isKept(connection) && nowMs >= this.#doubtUntilMs;
    this.#guarded(() => check.present(this.clientId, isPresent, mustBe, connection.isClean));
    if (!isPresent) this.#begunAnew(connection);
    else if (this.#mayBeOver() && this.#isAnotherUnderWay()) this.#maybeBegunAnew();
    this.#proven();
    if (connection === this.#connections.at(-1)) this.#reconcile(connection);
  }

  /** Its session was seen, and cannot have expired since. */
  #isKept({ connectSentMs }: MqttConnection): boolean {
    const provenMs = this.#provenMs;
    return provenMs !== undefined && connectSentMs >= provenMs && !this.#mayBeOver();
  }

  /** And may begin a session, which this one is then told of. Of a clean start that is said when it is answered. */
  #isAnotherUnderWay(): boolean {
    return this.#connections.some(({ state, isClean }) => state === 'connecting' && !isClean);
  }

  /** It may have expired since it was seen. */
  #mayBeOver(): boolean {
    const provenMs = this.#provenMs;
    if (provenMs === undefined) return true;
    // What it was answered was said a little before.
    const untilMs = provenMs - KeptClient.ANSWER_MS_MAX + this.expiryS * 1000;
    return this.expiryS !== NEVER && this.#parts.world.nowMs >= untilMs;
  }

  #proven(): void {
    const { nowMs } = this.#parts.world;
    if (nowMs >= this.#doubtUntilMs) this.#provenMs = nowMs;
  }

  /** There was no session when it came. What another connection subscribed to meanwhile may be there or not. */
  #begunAnew(connection: MqttConnection): void {
    const { check, world } = this.#parts;
    for (const wish of this.#wishes.values()) {
      if (wish.state === 'out') continue;
      wish.state = 'out';
      const isAskedElsewhere = connection !== this.#askedOver && [...this.#asked.values()].includes(wish);
      if (isAskedElsewhere || check.askedMs(wish.subscriptionId) >= connection.connectSentMs) this.#doubt(wish);
      else check.gone(wish.subscriptionId, connection, world.nowMs);
    }
    this.#asked.clear();
    this.#taken.clear();
    if (this.#parts.knobs.subscribesAnew !== true) return;
    for (const { filter, isWanted } of [...this.#wishes.values()]) if (isWanted) this.#ask(filter);
  }

  subscribed(connection: MqttConnection, packetId: number, reasonCode: number): void {
    const wish = this.#answered(connection, packetId, 'asking');
    if (wish === undefined) return;
    if (reasonCode >= 0x80) {
      this.#doubt(wish);
      return;
    }
    wish.state = 'in';
    this.#say(`is subscribed to ${wish.filter} (${wish.subscriptionId})`);
    this.#proven();
    this.#parts.check.subscribed(wish.subscriptionId, this.#parts.world.nowMs);
  }

  unsubscribed(connection: MqttConnection, packetId: number): void {
    const wish = this.#answered(connection, packetId, 'leaving');
    if (wish === undefined) return;
    wish.state = 'out';
    this.#say(`has left ${wish.filter} (${wish.subscriptionId})`);
    this.#proven();
    this.#parts.check.left(wish.subscriptionId, this.#parts.world.nowMs);
  }

  #answered(connection: MqttConnection, packetId: number, state: Wish['state']): Wish | undefined {
    if (connection !== this.#askedOver) return undefined;
    const wish = this.#asked.get(packetId);
    this.#asked.delete(packetId);
    return wish?.state === state ? wish : undefined;
  }

  message(connection: MqttConnection, packet: PublishPacket): void {
    const { world, draw, knobs, check, packetIds, retained, wills } = this.#parts;
    const { packetId, qos, retain, dup, topic } = packet;
    // What it has of an exchange that is not over is not another message [MQTT-4.3.3-10].
    let isTaken = false;
    if (qos === 2) {
      const isNewest = connection === this.#connections.at(-1);
      const what = `${topic} ${Buffer.from(packet.payload).toString().trimEnd()}`;
      this.#guarded(() => {
        isTaken = this.#taken.came({ connection, packetId, what, isAgain: dup, isNewest }, world.nowMs);
      });
    }
    const text = isTaken ? '' : Buffer.from(packet.payload).toString().trimEnd();
    const subscriptionIds = packet.properties?.subscriptionIdentifiers ?? [];
    const ids: { subscriptionId: number; id: number }[] = [];
    this.#guarded(() => {
      // Without a text it cannot be told from others.
      for (const subscriptionId of text === '' ? [] : subscriptionIds) {
        if (retain) retained.replayed(this.clientId, topic, text, check.askedMs(subscriptionId));
        else if (qos === 0)
          wills.cameLive(
            Number.parseInt(text, 10),
            `${this.clientId} of ${connection.connectSentMs} by ${subscriptionId}`,
          );
        else ids.push({ subscriptionId, id: check.delivered(connection, subscriptionId, text, dup, qos === 2) });
      }
    });
    for (const { id } of ids) world.trace.count(id);
    if (qos === 0) return;
    const number = Number.parseInt(Buffer.from(packet.payload).toString(), 10);
    // Without a text it cannot be told from others either.
    const stored = retain || Number.isNaN(number) ? [] : subscriptionIds.map((id) => check.streamOf(id));
    const what = stored.map((stream) => `${number} of ${stream}`);
    this.#guarded(() => packetIds.sent(connection, packetId, dup, what[0] && `${what[0]} to ${this.clientId}`));
    world.after(draw.between(0, knobs.thinkMsMax), world.outside, () => {
      if (connection.state !== 'open') return;
      connection.answer(qos === 2 ? PacketType.PUBREC : PacketType.PUBACK, packetId);
      packetIds.answered(connection, packetId);
      const acknowledged = this.#acknowledged.get(connection) ?? [];
      acknowledged.push(...ids);
      this.#acknowledged.set(connection, acknowledged);
    });
  }

  released(connection: MqttConnection, packetId: number): void {
    this.#taken.released(packetId);
    connection.answer(PacketType.PUBCOMP, packetId);
  }

  ended(connection: MqttConnection): void {
    this.#say(`is at ${connection.process} no more${connection.leftPolitely ? ', and said so' : ''}`);
    // Of one that was overtaken, what it acknowledged from then on is heard by nobody.
    const wasNewest = connection === this.#connections.at(-1);
    this.#connections = this.#connections.filter((each) => each !== connection);
    const acknowledged = this.#acknowledged.get(connection) ?? [];
    this.#acknowledged.delete(connection);
    const mayBegin = connection.isClean || !this.#isKept(connection);
    if (mayBegin && !connection.wasOpen) this.#maybeBegunAnew();
    if (!connection.leftPolitely || !wasNewest) return;
    for (const { subscriptionId, id } of acknowledged) this.#parts.check.settled(subscriptionId, id);
  }

  /**
   * A clean start that nobody answered, or the first words behind an expiry: what there was may be gone, now or in a while,
   * and whoever comes next is told of a session that is there, and empty.
   */
  #maybeBegunAnew(): void {
    for (const wish of this.#wishes.values()) if (wish.state !== 'out') this.#doubt(wish);
    this.#taken.clear();
  }

  #doubt(wish: Wish): void {
    wish.state = 'out';
    wish.isUnsure = true;
    this.#parts.check.doubtful(wish.subscriptionId);
  }

  #say(what: string): void {
    this.#parts.world.trace.add(this.#parts.world.nowMs, this.clientId, what);
  }

  #guarded(act: () => void): void {
    try {
      act();
    } catch (cause) {
      this.#parts.world.fail(cause);
    }
  }

  /** From what a store says until its client hears it, at most. */
  static readonly ANSWER_MS_MAX = 1_000;
  /** Two that were made at once have sorted it out by then. */
  static readonly CROSSING_MS = 5_000;
}

const NEVER = 0xffff_ffff;

/** A filter, as far as the client knows. */
interface Wish {
  readonly filter: string;
  readonly subscriptionId: number;
  state: 'asking' | 'in' | 'leaving' | 'out';
  /** Out, as the client takes it, and perhaps there. */
  isUnsure: boolean;
  /** Asked for and not left since, in this session or a former one. */
  isWanted: boolean;
}

export interface KeptClientParts {
  world: SimWorld;
  draw: Draw;
  knobs: SessionKnobs;
  gateways: readonly GatewayNode[];
  partitions: number;
  /** What it may subscribe to. */
  filters: readonly string[];
  check: SessionCheck;
  packetIds: PacketIdCheck;
  retained: RetainedCheck;
  wills: WillTrail;
}
