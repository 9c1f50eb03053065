import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import type { PacketWriter } from '@sluice/mqtt/codec/packet-writer';
import type { SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import type { GatewayServices } from '../gateway-services.ts';
import { SEEN_WAIT_MS } from '../live/live-mesh.ts';
import type { RouteWaiter } from '../live/route-waiters.ts';

/**
 * SUBACK and UNSUBACK that say more than this gateway knows by itself. What a client publishes elsewhere after a SUBACK
 * must find its way here, so it waits until the other gateways know; and what a stored session subscribes to or leaves
 * must be stored when it is answered. What comes behind such an answer waits with it, so that the client sees everything
 * in the order it always has; when there is nothing to wait for, nothing waits.
 *
 * What the store refuses, or does not answer, the client was not told: it is cut off and comes again. Nor is it told when
 * its connection ends before: an answer that goes out with the last words would promise what nobody has confirmed.
 */
export class AnswerHold implements RouteWaiter {
  readonly #services: GatewayServices;
  readonly #connection: HeldConnection;
  readonly #writer: PacketWriter;
  /** A filter of the SUBSCRIBE at hand may be new to other gateways. */
  #hasNewRoutes = false;
  #toKeep: SessionSubscription[] = [];
  #toForget: string[] = [];
  #holds = 0;
  /** The last words were said. */
  #isOver = false;
  #sinceMs = 0;

  /** `writer`: what is written behind an answer that is held waits there. */
  constructor(services: GatewayServices, connection: HeldConnection, writer: PacketWriter) {
    this.#services = services;
    this.#connection = connection;
    this.#writer = writer;
  }

  /** Nothing may be written. */
  get isHolding(): boolean {
    return this.#holds > 0;
  }

  subscribed(session: GatewaySession, subscription: SessionSubscription): void {
    const { kind } = subscription.request;
    if (kind === 'plain' || kind === 'shared') this.#hasNewRoutes = this.#services.mesh.active;
    if (session.stored !== undefined) this.#toKeep.push(subscription);
  }

  unsubscribed(session: GatewaySession, subscription: SessionSubscription): void {
    if (session.stored !== undefined) this.#toForget.push(subscription.text);
  }

  /** This packet is about to be written. */
  before(packet: Packet, session: GatewaySession | undefined): void {
    if (packet.type === PacketType.DISCONNECT) this.#isOver = true;
    if (this.#isOver && this.#holds > 0) {
      this.#holds = 0;
      this.#writer.take();
    } else if (packet.type === PacketType.SUBACK) {
      if (this.#hasNewRoutes) this.#awaitRoutes();
      if (this.#toKeep.length > 0) this.#await(session?.stored?.subscribe(this.#toKeep.splice(0)));
    } else if (packet.type === PacketType.UNSUBACK) {
      this.#await(session?.stored?.unsubscribe(this.#toForget.splice(0)));
    }
  }

  routesSeen(): void {
    if (this.#isOver) return;
    if (--this.#holds === 0) this.#connection.released();
  }

  #awaitRoutes(): void {
    this.#hasNewRoutes = false;
    const nowMs = this.#services.clock.monotonicMs();
    if (this.#holds === 0) this.#sinceMs = nowMs;
    // One SUBSCRIBE after the other must not keep back answers for ever.
    else if (nowMs - this.#sinceMs > SEEN_WAIT_MS) return;
    if (this.#services.mesh.waitForRoutes(this)) this.#hold();
  }

  #await(stored: Promise<boolean> | undefined): void {
    if (stored === undefined) return;
    this.#hold();
    void stored.then((isStored) => {
      if (isStored) this.routesSeen();
      else this.#connection.channel.destroy();
    });
  }

  #hold(): void {
    // What stands before the answer goes out.
    if (this.#holds === 0) this.#connection.flush();
    this.#holds++;
  }
}

export interface HeldConnection {
  readonly channel: { destroy(): void };
  flush(): void;
  released(): void;
}
