import { isUtf8 } from 'node:buffer';
import type { ConnectPacket, Packet, PublishPacket } from '../../src/codec/packet.ts';
import { ReasonCode } from '../../src/codec/reason-code.ts';
import type { InboundAck } from '../../src/protocol/ack-order.ts';
import { ConnectionState } from '../../src/protocol/connection-state.ts';
import { PublishedMessage } from '../../src/protocol/deliverable-message.ts';
import {
  type ConnectionEffects,
  DEFAULT_PROTOCOL_LIMITS,
  type DropReason,
  type OpenedSession,
  type ProtocolLimits,
} from '../../src/protocol/effects.ts';
import type { KeptExchanges } from '../../src/protocol/kept-exchanges.ts';
import type { DeliverySource, OutboundMessage } from '../../src/protocol/outbound-message.ts';
import { SessionState, type SessionSubscription } from '../../src/protocol/session-state.ts';
import { formatPacket, hex, parsePacket, qosOf } from './notation.ts';

/**
 * A world for scripts: named connections, sessions by client id, and a log of everything that was asked of the host.
 * Commands, one a line; what follows from each stands indented below it:
 *
 *   limits receiveMaximum=2 …          before the first connection
 *   a > <packet>                       connection `a` receives a packet (`notation.ts`)
 *   a lost | a fail <code> | a bye     the network is gone, the decoder fails, the server disconnects it
 *   a turn                             what it was asked for by `postponed`
 *   a slow | a fast                    the socket is over its bound, or empty again
 *   a auth <code> [identity]           the answer, after `later` made authentication wait
 *   commit <n> [code]                  the n-th publish that was handed to the stores is finished
 *   live <client> <topic> <payload> [q1] [sid=3] [expiry=10] [source]
 *   queue <client> <topic> <payload> [q1] [expiresAt=1000]
 *   keep <client>                      its packet ids are kept by somebody, who is asked from now on:
 *   bound <client> <id> | receipt <client> <id> | a released <id>     what it answers
 *   adopt <client> <id> q2 [received]  an exchange that began elsewhere
 *   stored <client> <topic> <payload> q2 [as=<id>] | vanished <client> <id>   its message is here, or is gone
 *   at <ms>                            the wall clock
 */
export class ScriptWorld {
  readonly #log: string[] = [];
  readonly #connections = new Map<string, ScriptConnection>();
  readonly sessions = new Map<string, SessionState>();
  readonly publishes: { packet: PublishPacket; ack: InboundAck | undefined }[] = [];
  limits: ProtocolLimits = { ...DEFAULT_PROTOCOL_LIMITS };
  nowMs = 1_000;
  authenticateLater = false;
  refuseSubscriptions = false;
  #sources = 0;

  log(line: string): void {
    this.#log.push(line);
  }
  take(): string[] {
    return this.#log.splice(0);
  }

  run(line: string): void {
    const words = line.split(' ').filter((word) => word !== '');
    const [first = '', second = '', ...rest] = words;
    switch (first) {
      case 'limits':
        for (const word of words.slice(1)) {
          const [name = '', value = ''] = word.split('=');
          (this.limits as unknown as Record<string, number>)[name] = Number(value);
        }
        return;
      case 'at':
        this.nowMs = Number(second);
        return;
      case 'later':
        this.authenticateLater = true;
        return;
      case 'full':
        this.refuseSubscriptions = true;
        return;
      case 'commit': {
        const publish = this.publishes[Number(second) - 1];
        if (publish?.ack === undefined) throw new Error(`no publish ${second} waits`);
        publish.ack.complete(Number(rest[0] ?? 0));
        return;
      }
      case 'live':
        this.#live(second, rest);
        return;
      case 'queue':
        this.#queue(second, rest);
        return;
      case 'keep':
        this.#session(second).exchanges = this.#keeper();
        return;
      case 'leave-out':
        this.#session(second).inflight.leaveOut(Number(rest[0]), Number(rest[1]));
        return;
      case 'bound':
        this.#session(second).bound(this.#exchange(second, rest), this.nowMs);
        return;
      case 'receipt':
        this.#session(second).receiptKept(this.#exchange(second, rest));
        return;
      case 'vanished':
        this.#session(second).vanished(this.#exchange(second, rest));
        return;
      case 'adopt': {
        const isReceived = rest.includes('received');
        const source = isReceived ? undefined : this.#source();
        this.#session(second).adopt(Number(rest[0]), qosOf(rest) === 1 ? 1 : 2, isReceived, source);
        return;
      }
      case 'stored': {
        const packet = parsePacket([
          'PUBLISH',
          ...rest.filter((word) => !/^(as=|for=|unsure$)/.test(word)),
        ]) as PublishPacket;
        const packetId = Number(rest.find((word) => word.startsWith('as='))?.slice(3) ?? 0);
        const message = new PublishedMessage(packet, 'somebody', this.nowMs);
        const session = this.#session(second);
        if (packetId !== 0) session.deliverAgain(message, packet.qos, false, 0, this.#source(), packetId, this.nowMs);
        else {
          const destinedId = Number(rest.find((word) => word.startsWith('for='))?.slice(4) ?? 0);
          const isUnsure = rest.includes('unsure');
          session.deliverStored(message, packet.qos, false, 0, this.#source(), destinedId, isUnsure, this.nowMs);
        }
        return;
      }
      default:
        this.#connection(first, second, rest);
    }
  }

  #connection(name: string, verb: string, rest: string[]): void {
    let connection = this.#connections.get(name);
    if (connection === undefined) {
      connection = new ScriptConnection(this, name);
      this.#connections.set(name, connection);
    }
    const { state } = connection;
    if (verb === '>') state.receive(parsePacket(rest), this.nowMs);
    else if (verb === 'lost') state.closed();
    else if (verb === 'bye') state.disconnect(ReasonCode.SERVER_SHUTTING_DOWN);
    else if (verb === 'fail') state.fail(Number(rest[0]), 'the decoder says so');
    else if (verb === 'refuse') state.refuseConnect(Number(rest[1]), 'the decoder says so', rest[0] === 'v5' ? 5 : 4);
    else if (verb === 'challenge') state.challenge(Buffer.from(rest[0] ?? ''));
    else if (verb === 'reauth') state.reauthenticated(Number(rest[0]), Buffer.from(rest[1] ?? ''));
    else if (verb === 'proved') state.authenticated(0, rest[0], this.nowMs, Buffer.from(rest[1] ?? ''));
    else if (verb === 'auth') state.authenticated(Number(rest[0]), rest[1], this.nowMs);
    else if (verb === 'released') state.released(Number(rest[0]));
    else if (verb === 'turn') this.#log.push(`${name} ${state.goOn() ? 'reads on' : 'postponed'}`);
    else if (verb === 'slow') connection.writable = false;
    else if (verb === 'fast') {
      connection.writable = true;
      state.session?.pump(this.nowMs);
    } else throw new Error(`unknown command: ${name} ${verb}`);
  }

  #session(clientId: string): SessionState {
    const session = this.sessions.get(clientId);
    if (session === undefined) throw new Error(`no session ${clientId}`);
    return session;
  }

  #live(clientId: string, words: string[]): void {
    const packet = parsePacket(['PUBLISH', ...words]) as PublishPacket;
    const identifier = packet.properties?.subscriptionIdentifiers?.[0] ?? 0;
    if (packet.properties !== undefined) packet.properties.subscriptionIdentifiers = undefined;
    const message = new PublishedMessage(packet, 'somebody', this.nowMs);
    const source = words.includes('source') ? this.#source() : undefined;
    this.#session(clientId).deliverLive(message, packet.qos, packet.retain, identifier, source, this.nowMs);
  }

  #queue(clientId: string, words: string[]): void {
    const packet = parsePacket(['PUBLISH', ...words]) as PublishPacket;
    const identifier = packet.properties?.subscriptionIdentifiers?.[0] ?? 0;
    if (packet.properties !== undefined) packet.properties.subscriptionIdentifiers = undefined;
    const message = new PublishedMessage(packet, 'somebody', this.nowMs);
    const qos = qosOf(words) === 0 ? 0 : 1;
    this.#session(clientId).deliverFromQueue(message, qos, identifier, this.#source(), this.nowMs);
  }

  #exchange(clientId: string, [id]: string[]): OutboundMessage {
    const outbound = this.#session(clientId).inflight.get(Number(id));
    if (outbound === undefined) throw new Error(`no exchange ${id} of ${clientId}`);
    return outbound;
  }

  /** Keeps the ids from 100 on of what the client publishes. */
  #keeper(): KeptExchanges {
    return {
      bind: ({ packetId }) => this.log(`keep: bind ${packetId}`),
      receive: ({ packetId }) => this.log(`keep: received ${packetId}`),
      finish: ({ packetId }, accepted) => this.log(`keep: finished ${packetId}${accepted ? '' : ', refused'}`),
      release: (packetId) => {
        if (packetId >= 100) this.log(`keep: release ${packetId}`);
        return packetId >= 100;
      },
    };
  }

  #source(): DeliverySource {
    const number = ++this.#sources;
    const tell = (what: string) => (): void => this.log(`source ${number} ${what}`);
    return { withdrawn: false, accepted: tell('accepted'), rejected: tell('rejected'), returned: tell('returned') };
  }
}

class ScriptConnection implements ConnectionEffects {
  readonly #world: ScriptWorld;
  readonly #name: string;
  readonly state: ConnectionState;
  writable = true;

  constructor(world: ScriptWorld, name: string) {
    this.#world = world;
    this.#name = name;
    this.state = new ConnectionState(this, world.limits);
  }

  #log(text: string): void {
    this.#world.log(`${this.#name} ${text}`);
  }

  send(packet: Packet): void {
    this.#log(`< ${formatPacket(packet)}`);
  }
  close(): void {
    this.#log('close');
  }
  authenticate(packet: ConnectPacket): void {
    if (this.#world.authenticateLater) return;
    if (packet.properties?.authenticationMethod !== undefined) {
      this.#log(`proves itself by ${packet.properties.authenticationMethod}`);
      return;
    }
    this.state.authenticated(ReasonCode.SUCCESS, packet.username, this.#world.nowMs);
  }
  continueAuthentication(data: Uint8Array | undefined, isNew: boolean): void {
    this.#log(`says ${Buffer.from(data ?? []).toString()}${isNew ? ', anew' : ''}`);
  }
  isUtf8(bytes: Uint8Array): boolean {
    return isUtf8(bytes);
  }
  assignClientId(): string {
    return 'assigned-1';
  }
  openSession(clientId: string, cleanStart: boolean, identity: string | undefined): OpenedSession | number {
    const existing = this.#world.sessions.get(clientId);
    existing?.connection.takenOver(!cleanStart);
    if (existing !== undefined && !cleanStart) {
      existing.moveTo(this.state);
      return { session: existing, present: true, expiryS: 0 };
    }
    const session = new SessionState(clientId, identity, this.#world.limits, this.state);
    this.#world.sessions.set(clientId, session);
    return { session, present: false, expiryS: 0 };
  }
  endSession(session: SessionState): void {
    this.#log(`end session ${session.clientId}`);
    if (this.#world.sessions.get(session.clientId) === session) this.#world.sessions.delete(session.clientId);
  }
  publish(packet: PublishPacket, ack: InboundAck | undefined): void {
    const number = this.#world.publishes.push({ packet, ack });
    this.#log(`publish #${number} ${formatPacket(packet).slice('PUBLISH '.length)}`);
  }
  publishWill(packet: PublishPacket): void {
    this.#log(`will ${formatPacket(packet).slice('PUBLISH '.length)}`);
  }
  subscribe(): number {
    return this.#world.refuseSubscriptions ? ReasonCode.QUOTA_EXCEEDED : ReasonCode.SUCCESS;
  }
  postponed(): void {
    this.#log('postponed');
  }
  subscribed(_session: SessionState, subscription: SessionSubscription, retained: boolean): void {
    const { request, qos, noLocal, retainAsPublished, subscriptionIdentifier } = subscription;
    const options = [`q${qos}`];
    if (noLocal) options.push('no-local');
    if (retainAsPublished) options.push('retain-as-published');
    if (subscriptionIdentifier !== 0) options.push(`sid=${subscriptionIdentifier}`);
    if (retained) options.push('replay');
    this.#log(`subscribed ${request.kind} ${subscription.text} ${options.join(' ')}`);
  }
  unsubscribe(_session: SessionState, subscription: SessionSubscription): void {
    this.#log(`unsubscribed ${subscription.text}`);
  }
  acknowledged(): void {}
  dropped(reason: DropReason): void {
    this.#log(`dropped ${reason}`);
  }
  failed(reasonCode: number): void {
    this.#log(`failed ${hex(reasonCode)}`);
  }
}
