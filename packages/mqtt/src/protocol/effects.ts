import type { ConnectPacket, Packet, PublishPacket } from '../codec/packet.ts';
import type { InboundAck } from './ack-order.ts';
import type { SessionState, SessionSubscription } from './session-state.ts';
import type { ConnectionEnd } from './will.ts';

/**
 * All that a connection asks of the world. The protocol decides, the host performs; nothing here waits. The answers
 * that take time (authentication, a committed publish, room in the socket) come back as calls on `ConnectionState`.
 *
 * Calls and not data: at a hundred thousand packets a second an effect object a packet is one too many.
 */
export interface ConnectionEffects {
  /** Puts the packet into the outgoing bytes of this turn, in order; trimmed to the client's Maximum Packet Size. */
  send(packet: Packet): void;
  /** False while the socket holds more than its bound: deliveries wait or are dropped, answers still go out. */
  readonly writable: boolean;
  /** Ends the network connection once everything sent is written. Called once. */
  close(): void;

  /** Answered by `ConnectionState.authenticated`, in this turn or later. No packet is handed in meanwhile. */
  authenticate(packet: ConnectPacket): void;
  /**
   * AUTH data of the client, `isNew` when a client that is connected begins to prove itself once more. Answered by
   * `challenge`, `authenticated` or `reauthenticated`.
   */
  continueAuthentication(data: Uint8Array | undefined, isNew: boolean): void;
  /** Whether bytes are text as Unicode has it; asked only where `validatePayloadFormat` is set. */
  isUtf8(bytes: Uint8Array): boolean;
  /** An id that no other client has. */
  assignClientId(): string;
  /** Takes over or begins the session of this client id; a number refuses the CONNECT with that reason code. */
  openSession(clientId: string, cleanStart: boolean, identity: string | undefined): OpenedSession | number;
  /** The session is over here: take it out of every table, route and queue. A will that is kept elsewhere goes by `end`. */
  endSession(session: SessionState, end: ConnectionEnd): void;

  /** Publishes live and durably. `ack` is undefined at QoS 0, otherwise completed once, now or later. */
  publish(packet: PublishPacket, ack: InboundAck | undefined): void;
  /** A will that nobody else keeps has become due. */
  publishWill(packet: PublishPacket): void;
  /** Takes a subscription in, or its new options; a number of 0x80 and above refuses it. Nothing is delivered yet. */
  subscribe(session: SessionState, subscription: SessionSubscription): number;
  /** SUBACK is on its way: deliveries may begin, with the retained messages if `retained` says so. */
  subscribed(session: SessionState, subscription: SessionSubscription, retained: boolean): void;
  /** Stops deliveries. Idempotent. */
  unsubscribe(session: SessionState, subscription: SessionSubscription): void;

  /** A request of many filters has more to do: `ConnectionState.goOn` in a turn of its own. No packet is handed in meanwhile. */
  postponed(): void;

  /** A publish was answered, `receivedAtMs` after it was read; for measuring. */
  acknowledged(qos: 1 | 2, receivedAtMs: number): void;
  /** A delivery that will not happen; counted, and nothing else follows. */
  dropped(reason: DropReason): void;
  /** A protocol error or refusal ended the connection; counted and logged. */
  failed(reasonCode: number, why: string): void;
}

export interface OpenedSession {
  session: SessionState;
  /** The client goes on with a session it had: of a connection that was still open, or one that was kept for it. */
  present: boolean;
  /** For how long it is kept after its connection. */
  expiryS: number;
  /** The will is kept where it outlives this process, and fires from there. */
  keepsWill?: boolean;
}

export type DropReason =
  /** QoS 0 for a socket over its bound. */
  | 'slow_qos0'
  /** More live messages wait than the bound allows. */
  | 'queue_full'
  | 'expired'
  /** Larger than the client's Maximum Packet Size [MQTT-3.1.2-25]. */
  | 'too_large';

/** Bounds of the protocol, and what the server announces. */
export interface ProtocolLimits {
  /** Announced: QoS 1 and 2 publishes a client may have unacknowledged. */
  receiveMaximum: number;
  /** Announced: the largest packet accepted. */
  maximumPacketSizeBytes: number;
  /** Announced: topic aliases a client may define; also how many we define towards a client at most. */
  topicAliasMaximum: number;
  /** A payload that says it is text and is not is refused [0x99]. */
  validatePayloadFormat: boolean;
  /** Told to clients that ask for it; empty for none. */
  responseInformation: string;
  /** Longest keep-alive accepted from MQTT 5 clients; undefined accepts any, 0 (never) included. */
  keepAliveMaxS: number | undefined;
  /** Subscriptions of one session. */
  subscriptionsMax: number;
  /** Text of the filters of one session: their number alone would allow 640 MB. */
  subscriptionBytesMax: number;
  /** Levels of the filters of one session: a topic that is chosen for it walks them all, and everybody else waits. */
  subscriptionLevelsMax: number;
  /** Outbound QoS 1 and 2 messages on the wire at once, whatever larger Receive Maximum the client gave. */
  inflightMax: number;
  /** Live QoS 1 and 2 messages that wait for a slow client; further ones are dropped and counted. */
  liveQueueMax: number;
  /** Bytes of live QoS 1 and 2 messages held for one client, waiting or unacknowledged; at least one message fits. */
  liveQueueBytesMax: number;
}

export const DEFAULT_PROTOCOL_LIMITS: ProtocolLimits = {
  receiveMaximum: 1024,
  // A camera image with room to spare. Every connection may make the server hold one packet of this size.
  maximumPacketSizeBytes: 10 * 1024 * 1024,
  topicAliasMaximum: 32,
  validatePayloadFormat: false,
  responseInformation: '',
  keepAliveMaxS: undefined,
  subscriptionsMax: 10_000,
  subscriptionBytesMax: 2 * 1024 * 1024,
  subscriptionLevelsMax: 65_536,
  inflightMax: 1024,
  liveQueueMax: 1000,
  liveQueueBytesMax: 16 * 1024 * 1024,
};
