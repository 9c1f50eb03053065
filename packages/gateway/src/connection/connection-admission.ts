import type { ConnectPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { OpenedSession } from '@sluice/mqtt/protocol/effects';
import { wouldTakeConnack } from '@sluice/mqtt/protocol/handle-connect';
import { type AuthenticationOutcome, UNAVAILABLE } from '../auth/authenticator.ts';
import type { GatewayServices } from '../gateway-services.ts';
import type { KeptSession } from '../session/stored-sessions.ts';
import { type AuthenticationDialogue, beginDialogue } from './authentication-dialogue.ts';
import type { Connection } from './connection.ts';
import { ReadPause } from './read-loop.ts';
import { askStored, giveBack, openSession } from './takeover.ts';

/**
 * From the CONNECT of a connection to its CONNACK: who the client is, what it may do, and the session it is to have. The
 * authenticator may take its time, and so may the stores: meanwhile the connection is not read, and what the stores opened
 * for one that ends before is given back.
 *
 * Who is refused is told why. Who comes when nobody can say is told nothing: a CONNACK that refuses is the end for MQTT.js
 * and mosquitto_sub, which never try again whatever its reason code, while after a connection that just ends all come again.
 *
 * An object of its own, because ten thousand connections that are open have no use for it; one whose CONNECT named a
 * method keeps it, to be asked again.
 */
export class ConnectionAdmission {
  readonly #services: GatewayServices;
  readonly #connection: Connection;
  #dialogue: AuthenticationDialogue | undefined;
  /** What the stores keep of the session, between their answer and the CONNACK. */
  #kept: KeptSession | undefined;

  constructor(services: GatewayServices, connection: Connection) {
    this.#services = services;
    this.#connection = connection;
  }

  /** The client may authenticate anew. */
  get isByMethod(): boolean {
    return this.#dialogue !== undefined;
  }

  begin(packet: ConnectPacket): void {
    const { state, publisher, channel } = this.#connection;
    const clientId = state.pendingConnect?.clientId ?? packet.clientId;
    publisher.identify(clientId, packet);
    const { username, password } = packet;
    const { peerHost, certificate } = channel;
    const request = { clientId, username, password, peerHost, certificate };
    const startedMs = this.#services.clock.monotonicMs();
    if (packet.properties?.authenticationMethod !== undefined) {
      this.#dialogue = beginDialogue(this.#services, this, state, packet.properties, request);
      return;
    }
    const outcome = this.#services.authenticator.authenticate(request);
    if (!(outcome instanceof Promise)) {
      this.decided(outcome, startedMs);
      return;
    }
    this.#connection.pause(ReadPause.AUTHENTICATING);
    outcome
      .catch((error: unknown) => {
        this.#services.logger.warn({ err: error }, 'the authenticator failed; nobody is let in by that');
        return UNAVAILABLE;
      })
      .then((answer) => this.decided(answer, startedMs));
  }

  /** What the client says in a proof of several steps. */
  next(data: Uint8Array | undefined, isNew: boolean): void {
    this.#dialogue?.next(data, isNew);
  }

  decided(outcome: AuthenticationOutcome, startedMs: number, data?: Uint8Array): void {
    const { metrics, clock, authenticator } = this.#services;
    const { state, access } = this.#connection;
    metrics.authSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
    metrics.auth(outcome.method ?? authenticator.method, outcome.reasonCode === ReasonCode.SUCCESS).add();
    if (this.#connection.isClosing) return;
    let { reasonCode } = outcome;
    if (reasonCode === ReasonCode.SUCCESS && !access.admit(outcome, state.pendingConnect?.packet.will)) {
      reasonCode = ReasonCode.NOT_AUTHORIZED;
    }
    const mayBeLetIn = reasonCode === ReasonCode.SUCCESS && wouldTakeConnack(state, data);
    const asked = mayBeLetIn ? askStored(this.#services, state, outcome.identity) : undefined;
    if (asked === undefined) {
      this.#admit(reasonCode, outcome.identity, data);
      return;
    }
    this.#connection.pause(ReadPause.AUTHENTICATING);
    void asked.then(({ reasonCode, kept }) => {
      this.#kept = kept;
      this.#admit(reasonCode, outcome.identity, data);
    });
  }

  openSession(clientId: string, cleanStart: boolean, identity: string | undefined): OpenedSession | number {
    return openSession(this.#services, this.#connection.state, clientId, cleanStart, identity, this.#kept);
  }

  #admit(reasonCode: number, identity: string | undefined, data: Uint8Array | undefined): void {
    const { clock, drain } = this.#services;
    const { state, publisher, isClosing } = this.#connection;
    const isUndecided = reasonCode === ReasonCode.SERVER_UNAVAILABLE;
    if (isClosing || drain.active || isUndecided) {
      giveBack(this.#services, publisher.clientId, this.#kept);
      // Also who came just before a drain began.
      if (!isClosing) this.#hangUp(isUndecided);
      return;
    }
    const nowMs = clock.monotonicMs();
    const isNamed = state.pendingConnect?.assigned === false;
    state.authenticated(reasonCode, identity, clock.nowMs(), data);
    if (!this.#connection.isOpen) giveBack(this.#services, publisher.clientId, this.#kept);
    this.#kept = undefined;
    if (this.#connection.isOpen) {
      this.#connection.admitted(nowMs);
      // An id of our own is nobody else's.
      if (isNamed) this.#services.mesh.clientConnected(publisher.clientId, identity, this.#connection.openedAtMs);
    }
    this.#connection.unpause(ReadPause.AUTHENTICATING);
  }

  #hangUp(isUndecided: boolean): void {
    const { metrics, logger } = this.#services;
    const { publisher, channel } = this.#connection;
    if (isUndecided) {
      metrics.connects(ReasonCode.SERVER_UNAVAILABLE).add();
      logger.debug({ client: publisher.clientId, peer: channel.peerName }, 'nobody can say whether it may come in now');
    }
    channel.destroy();
  }
}
