import { StoredSessions } from '@sluice/gateway/session/stored-sessions';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { type ConnectionListener, MqttConnection } from './mqtt-connection.ts';
import { MqttGateway } from './mqtt-gateway.ts';
import type { SessionKnobs } from './session-knobs.ts';
import type { WillTrail } from './will-trail.ts';

/**
 * A client that leaves wills: with a delay and without, in sessions that end before it, after it and with the connection,
 * over MQTT 5 and 3.1.1. Its connections end in every way there is; it comes back at any gateway, soon, late or while it is
 * still there, now and then with a clean start or without a will. It gives up an id under which a CONNECT was not answered,
 * or perhaps by its gateway alone: that may be applied at any time or never, and nobody could say what the next connection
 * found.
 */
export class WillClient implements ConnectionListener {
  readonly #name: string;
  readonly #parts: WillClientParts;
  #lives = 0;
  #isMqtt5 = true;
  #clientId = '';
  /** In the order of their CONNECTs; those that ended are not among them. */
  #connections: MqttConnection[] = [];
  readonly #wills = new Map<MqttConnection, { id: number; keepsNothing: boolean }>();
  #awayUntilMs = 0;
  #isOver = false;

  static readonly DELAYS_S = [0, 0, 1, 2, 4];
  static readonly EXPIRIES_S = [0, 1, 3, 8];
  static readonly AWAY_MS = [0, 0, 300, 1_500, 3_000, 6_000];

  constructor(name: string, parts: WillClientParts) {
    this.#name = name;
    this.#parts = parts;
    this.#begunAnew();
  }

  begin(): void {
    const { world, draw, knobs } = this.#parts;
    world.after(knobs.willEveryMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.begin();
      this.#act();
    });
  }

  /** For good, in one way or another: its last will is due soon, or taken back. */
  leave(): void {
    this.#isOver = true;
    for (const connection of [...this.#connections]) this.#end(connection, this.#parts.draw.between(0, 2));
  }

  #act(): void {
    const { world, draw } = this.#parts;
    const newest = this.#connections.at(-1);
    if (newest === undefined) {
      if (world.nowMs >= this.#awayUntilMs) this.#connect();
      return;
    }
    if (newest.state !== 'open') return;
    const what = draw.between(0, 9);
    if (what >= 6) return;
    if (what >= 4) {
      this.#connect();
      return;
    }
    this.#awayUntilMs = world.nowMs + draw.oneOf(WillClient.AWAY_MS);
    for (const connection of [...this.#connections]) this.#end(connection, what);
  }

  #end(connection: MqttConnection, how: number): void {
    const { draw, trail } = this.#parts;
    const id = this.#wills.get(connection)?.id;
    if (id === undefined || connection.state !== 'open' || how === 2) connection.reset();
    else if (how === 3) connection.vanish();
    else {
      const takesBack = how === 0 || !this.#isMqtt5;
      // A session that is not kept cannot be kept by the last word of its connection.
      const mayChange = this.#isMqtt5 && trail.expirySOf(id) > 0 && draw.onceIn(3);
      const expiryS = mayChange ? draw.oneOf(WillClient.EXPIRIES_S) : undefined;
      trail.saidFarewell(id, takesBack, expiryS);
      connection.leave(expiryS, takesBack ? 0 : 4);
    }
  }

  #connect(): void {
    const { world, draw, gateways, trail } = this.#parts;
    const up = gateways.filter(({ state, mqtt }) => state === 'up' && mqtt !== undefined);
    if (up.length === 0) return;
    const isMqtt5 = this.#isMqtt5;
    const isClean = draw.onceIn(isMqtt5 ? 5 : 2);
    const ofVersion4S = isClean ? 0 : MqttGateway.EXPIRY_WITHOUT_PROPERTY_S;
    const expiryS = isMqtt5 ? draw.oneOf(WillClient.EXPIRIES_S) : ofVersion4S;
    const delayS = isMqtt5 ? draw.oneOf(WillClient.DELAYS_S) : 0;
    const clientId = this.#clientId;
    const { id, will } = trail.leaves({ clientId, isClean, expiryS, delayS }, !draw.onceIn(8));
    const connection = new MqttConnection({
      world,
      gateway: draw.oneOf(up),
      clientId,
      isClean,
      expiryS,
      receiveMaximum: 10,
      listener: this,
      version: isMqtt5 ? 5 : 4,
      will,
    });
    this.#wills.set(connection, { id, keepsNothing: isClean && expiryS === 0 && will === undefined });
    this.#connections.push(connection);
  }

  connected(connection: MqttConnection, isPresent: boolean): void {
    const left = this.#wills.get(connection);
    if (left === undefined) return;
    const { world, trail } = this.#parts;
    this.#say(`${left.id} is at ${connection.process}${isPresent ? ' again' : ''}`);
    trail.opened(left.id);
    // By then its gateway lets it in whether or not a store has ended what there was.
    const isLate = world.nowMs - connection.connectSentMs >= StoredSessions.DISCARD_MS_MAX;
    if (left.keepsNothing && isLate) this.#begunAnew();
  }

  ended(connection: MqttConnection): void {
    const id = this.#wills.get(connection)?.id;
    if (id === undefined) return;
    const { isEndedByClient, wasOpen, process } = connection;
    this.#say(`${id} is at ${process} no more${isEndedByClient ? '' : ', and was not asked'}`);
    this.#parts.trail.ended(id, isEndedByClient);
    this.#wills.delete(connection);
    this.#connections = this.#connections.filter((each) => each !== connection);
    if (!wasOpen) this.#begunAnew();
  }

  #begunAnew(): void {
    this.#clientId = `${this.#name}.${++this.#lives}`;
    this.#isMqtt5 = !this.#parts.draw.onceIn(4);
    for (const connection of [...this.#connections]) connection.reset();
  }

  #say(what: string): void {
    this.#parts.world.trace.add(this.#parts.world.nowMs, this.#clientId, what);
  }
}

export interface WillClientParts {
  world: SimWorld;
  draw: Draw;
  knobs: SessionKnobs;
  gateways: readonly GatewayNode[];
  trail: WillTrail;
}
