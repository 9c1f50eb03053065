import { connackReturnCodeOf } from '../codec/connack-return-code.ts';
import { type Packet, PacketType, type Properties, type ProtocolVersion, type Will } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import { InboundTopicAliases, type OutboundTopicAliases } from '../topic/topic-alias.ts';
import { AckOrder, type AckSink, type InboundAck } from './ack-order.ts';
import { ConnectionPhase } from './connection-phase.ts';
import type { ConnectionEffects, ProtocolLimits } from './effects.ts';
import {
  handlePuback,
  handlePubcomp,
  handlePubrec,
  handlePubrel,
  sendAcknowledgement,
  sendComplete,
} from './handle-ack.ts';
import { handleAuth, handleReauthenticated, handleWhileConnecting, sendChallenge } from './handle-auth.ts';
import { handleAuthenticated, handleConnect, type PendingConnect } from './handle-connect.ts';
import { handleDisconnect } from './handle-disconnect.ts';
import { handlePublish } from './handle-publish.ts';
import { handleSubscribe } from './handle-subscribe.ts';
import { handleUnsubscribe } from './handle-unsubscribe.ts';
import type { LongRequest } from './long-request.ts';
import type { SessionState } from './session-state.ts';
import { type ConnectionEnd, willIsDue, willPublish } from './will.ts';

/**
 * One network connection, MQTT 3.1.1 or 5: packets in, effects out. It knows no socket, no clock and no other
 * connection; each packet type has its `handle-*` file, this one keeps what they share and the way out.
 *
 *   AWAITING_CONNECT -> AUTHENTICATING -> OPEN -> CLOSED
 *   any -> CLOSED    protocol error, refusal, DISCONNECT, taken over, network gone
 *
 * In CLOSED nothing is sent and every call is ignored: the host may be late.
 */
export class ConnectionState implements AckSink {
  readonly effects: ConnectionEffects;
  readonly limits: ProtocolLimits;
  phase: ConnectionPhase = ConnectionPhase.AWAITING_CONNECT;
  version: ProtocolVersion = 4;
  isMqtt31 = false;
  /** Undefined without an Authentication Method in the CONNECT. */
  authentication: { readonly method: string; isChallenged: boolean } | undefined = undefined;
  keepAliveS = 0;
  username: string | undefined = undefined;
  session: SessionState | undefined = undefined;
  /** Unless it is kept elsewhere. */
  will: Will | undefined = undefined;
  pendingConnect: PendingConnect | undefined = undefined;
  /** Session Expiry Interval of the CONNECT: a DISCONNECT may not raise it from 0, section 3.14.2.2.2. */
  sessionExpiryAskedS = 0;
  /** For how long the session is kept when this connection ends. */
  sessionExpiryS = 0;
  requestProblemInformation = true;
  clientMaximumPacketSizeBytes: number | undefined = undefined;
  /** The client's Receive Maximum, lowered to our own bound. */
  sendWindow: number;
  /** Made by the first publish with an alias. */
  #inboundAliases: InboundTopicAliases | undefined = undefined;
  outboundAliases: OutboundTopicAliases | undefined = undefined;
  readonly acks: AckOrder;
  /** What `postponed` told of: packets wait until it is done. */
  unfinished: LongRequest | undefined = undefined;
  /** QoS 1 and 2 publishes of this connection that an MQTT 5 client counts against our Receive Maximum. */
  receiveQuotaUsed = 0;

  constructor(effects: ConnectionEffects, limits: ProtocolLimits) {
    this.effects = effects;
    this.limits = limits;
    this.sendWindow = limits.inflightMax;
    this.acks = new AckOrder(this);
  }

  get inboundAliases(): InboundTopicAliases {
    this.#inboundAliases ??= new InboundTopicAliases(this.limits.topicAliasMaximum);
    return this.#inboundAliases;
  }

  get protocolName(): ProtocolName {
    if (this.version === 5) return '5';
    return this.isMqtt31 ? '3.1' : '3.1.1';
  }

  /** A decoded packet. */
  receive(packet: Packet, nowMs: number): void {
    if (this.phase === ConnectionPhase.OPEN) this.#dispatch(packet, nowMs);
    else if (this.phase === ConnectionPhase.AWAITING_CONNECT && packet.type === PacketType.CONNECT) {
      handleConnect(this, packet);
    } else if (this.phase === ConnectionPhase.AWAITING_CONNECT) {
      this.fail(ReasonCode.PROTOCOL_ERROR, 'the first packet is not CONNECT [MQTT-3.1.0-1]');
    } else if (this.phase === ConnectionPhase.AUTHENTICATING && this.authentication?.isChallenged === true) {
      if (packet.type === PacketType.AUTH) handleAuth(this, packet);
      else handleWhileConnecting(this, packet.type);
    } else if (this.phase === ConnectionPhase.AUTHENTICATING) {
      this.fail(ReasonCode.PROTOCOL_ERROR, 'the host hands in no packet while it authenticates');
    }
  }

  #dispatch(packet: Packet, nowMs: number): void {
    switch (packet.type) {
      case PacketType.PUBLISH:
        handlePublish(this, packet, nowMs);
        return;
      case PacketType.PUBACK:
        handlePuback(this, packet, nowMs);
        return;
      case PacketType.PUBREC:
        handlePubrec(this, packet, nowMs);
        return;
      case PacketType.PUBREL:
        handlePubrel(this, packet);
        return;
      case PacketType.PUBCOMP:
        handlePubcomp(this, packet, nowMs);
        return;
      case PacketType.SUBSCRIBE:
        handleSubscribe(this, packet);
        return;
      case PacketType.UNSUBSCRIBE:
        handleUnsubscribe(this, packet);
        return;
      case PacketType.PINGREQ:
        this.effects.send(PINGRESP);
        return;
      case PacketType.DISCONNECT:
        handleDisconnect(this, packet);
        return;
      case PacketType.CONNECT:
        this.fail(ReasonCode.PROTOCOL_ERROR, 'a second CONNECT [MQTT-3.1.0-2]');
        return;
      case PacketType.AUTH:
        handleAuth(this, packet);
        return;
      default:
        this.fail(ReasonCode.PROTOCOL_ERROR, 'a packet that only a server sends');
        return;
    }
  }

  /** A request that may be long takes its first step, which is all of most. */
  begin(request: LongRequest): void {
    if (request.step()) return;
    this.unfinished = request;
    this.effects.postponed();
  }

  /** The turn that `postponed` asked for: another step. True when packets may be handed in again. */
  goOn(): boolean {
    if (this.unfinished?.step() !== false) this.unfinished = undefined;
    return this.unfinished === undefined;
  }

  /**
   * The answer to `authenticate`. `identity` is undefined when nobody was asked who they are; `data` are the last words
   * of an enhanced method.
   */
  authenticated(reasonCode: number, identity: string | undefined, nowMs: number, data?: Uint8Array): void {
    if (this.phase === ConnectionPhase.AUTHENTICATING) handleAuthenticated(this, reasonCode, identity, nowMs, data);
  }

  /** Another answer, to `authenticate` or `continueAuthentication`: the client is asked for more. */
  challenge(data: Uint8Array): void {
    if (this.phase !== ConnectionPhase.CLOSED) sendChallenge(this, data);
  }

  /** The answer to `continueAuthentication` of a client that is connected. */
  reauthenticated(reasonCode: number, data: Uint8Array | undefined): void {
    if (this.phase === ConnectionPhase.OPEN) handleReauthenticated(this, reasonCode, data);
  }

  /** It is kept that the client has freed this packet id of its own. */
  released(packetId: number): void {
    sendComplete(this, packetId);
  }

  /** The client's bytes were no packet, or a rule was broken: MQTT 5 is told why, 3.1.1 has no way to be told. */
  fail(reasonCode: number, why: string): void {
    if (this.phase === ConnectionPhase.CLOSED) return;
    this.effects.failed(reasonCode, why);
    if (this.phase === ConnectionPhase.OPEN) this.#sendDisconnect(reasonCode, { reasonString: why });
    this.#end('abnormal');
  }

  /** The decoder refused the bytes before there was a CONNECT, or in it; or its sender is to go elsewhere. */
  refuseConnect(
    reasonCode: number,
    why: string,
    version: ProtocolVersion,
    properties: Properties = { reasonString: why },
  ): void {
    if (this.phase !== ConnectionPhase.AWAITING_CONNECT && this.phase !== ConnectionPhase.AUTHENTICATING) return;
    this.effects.failed(reasonCode, why);
    this.version = version;
    const code = version === 5 ? reasonCode : connackReturnCodeOf(reasonCode);
    if (code !== undefined) {
      this.effects.send({
        type: PacketType.CONNACK,
        sessionPresent: false,
        reasonCode: code,
        properties: version === 5 ? properties : undefined,
      });
    }
    this.#end('abnormal');
  }

  /** The server ends the connection on its own: shutdown, drain, administrative. */
  disconnect(reasonCode: number, properties?: Properties): void {
    if (this.phase === ConnectionPhase.CLOSED) return;
    if (this.phase === ConnectionPhase.OPEN) this.#sendDisconnect(reasonCode, properties);
    this.#end('abnormal');
  }

  /** Another connection of this client came. Keeps the session alive when it goes on with it. */
  takenOver(resumed: boolean): void {
    if (this.phase === ConnectionPhase.CLOSED) return;
    this.#sendDisconnect(ReasonCode.SESSION_TAKEN_OVER, undefined);
    this.#end(resumed ? 'taken_over' : 'discarded');
  }

  /** The network connection is gone. */
  closed(): void {
    if (this.phase !== ConnectionPhase.CLOSED) this.#end('abnormal');
  }

  /** After DISCONNECT. */
  finish(end: ConnectionEnd): void {
    this.#end(end);
  }

  /** A reason string where the client wants such things [MQTT-3.1.2-29]. */
  reasonProperties(why: string | undefined): Properties | undefined {
    if (why === undefined || this.version !== 5 || !this.requestProblemInformation) return undefined;
    return { reasonString: why };
  }

  #sendDisconnect(reasonCode: number, properties: Properties | undefined): void {
    if (this.version !== 5) return;
    this.effects.send({ type: PacketType.DISCONNECT, reasonCode, properties });
  }

  #end(end: ConnectionEnd): void {
    this.phase = ConnectionPhase.CLOSED;
    this.acks.close();
    if (end === 'taken_over') this.unfinished?.abandoned();
    this.unfinished = undefined;
    this.pendingConnect = undefined;
    const { session, will } = this;
    this.will = undefined;
    this.effects.close();
    if (session !== undefined && end !== 'taken_over') {
      this.effects.endSession(session, end);
      session.end();
    }
    if (will !== undefined && willIsDue(will, end)) this.effects.publishWill(willPublish(will));
  }

  committed(ack: InboundAck): void {
    if (ack.qos === 2) this.#settleQos2(ack);
  }

  acknowledge(ack: InboundAck): void {
    sendAcknowledgement(this, ack);
  }

  abandoned(ack: InboundAck): void {
    if (ack.qos === 2) this.#settleQos2(ack);
  }

  #settleQos2(ack: InboundAck): void {
    const received = this.session?.received;
    if (received === undefined) return;
    if (ack.reasonCode < 0x80) received.receive(ack.packetId);
    else received.refuse(ack.packetId, this.version === 5 ? ack.reasonCode : 0);
  }
}

export type ProtocolName = '3.1' | '3.1.1' | '5';

const PINGRESP: Packet = { type: PacketType.PINGRESP };
