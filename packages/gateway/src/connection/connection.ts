import { isUtf8 } from 'node:buffer';
import { assert } from '@sluice/common/assert';
import { type ConnectPacket, type Packet, PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { InboundAck } from '@sluice/mqtt/protocol/ack-order';
import { ConnectionPhase } from '@sluice/mqtt/protocol/connection-phase';
import { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import type { ConnectionEffects, DropReason, OpenedSession } from '@sluice/mqtt/protocol/effects';
import type { SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import type { ConnectionEnd } from '@sluice/mqtt/protocol/will';
import type { Relievable } from '../backpressure.ts';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import { reasonName } from '../gateway-metrics.ts';
import type { GatewayServices } from '../gateway-services.ts';
import { isAwaited } from './append-packet.ts';
import type { ByteChannel, ByteSink } from './byte-channel.ts';
import { assignClientId } from './client-id.ts';
import { ConnectionAccess } from './connection-access.ts';
import { ConnectionAdmission } from './connection-admission.ts';
import { ConnectionDeadline, type DeadlineOwner } from './connection-deadline.ts';
import { ConnectionPublisher } from './connection-publisher.ts';
import { type ConnectionSummary, summaryOf } from './connection-summary.ts';
import { Outbox, type OutboxOwner } from './outbox.ts';
import type { ShareTaker } from './publish-share.ts';
import { OWN_DOING, type PacketSink, ReadLoop, ReadPause } from './read-loop.ts';
import { refuseUnread } from './refuse-unread.ts';
import { closeSession } from './takeover.ts';
import type { TurnTaker } from './turn-flusher.ts';

/**
 * One network connection: performs what its `ConnectionState` decides. Bytes come in by the channel and are decoded by the
 * read loop; what there is to say is gathered by the outbox and written once, in the connection's turn.
 *
 * Everything that may hold memory for a client that does not keep up is decided here, in the outbox and in the session: the
 * socket (`sendBufferBytesMax`, then deliveries wait or are dropped), our answers (`answerBytesMax`, then the client is not
 * read), its unacknowledged publishes (`inflightBytesMax`, then likewise).
 *
 * The end comes once: by the protocol (`close`, which lets the last bytes out and cuts the connection after `lingerMs`)
 * or by the network (`closed`).
 *
 * @hotpath
 */
export class Connection
  implements ConnectionEffects, ByteSink, PacketSink, TurnTaker, Relievable, ShareTaker, OutboxOwner, DeadlineOwner
{
  readonly #services: GatewayServices;
  readonly #channel: ByteChannel;
  readonly #reader: ReadLoop;
  readonly #outbox: Outbox;
  readonly #deadline: ConnectionDeadline;
  readonly state: ConnectionState;
  readonly publisher: ConnectionPublisher;
  /** What it may do. */
  readonly access: ConnectionAccess;
  readonly connectedAtMs: number;
  /** When its CONNECT succeeded, by both clocks: what tells two connections of one client apart. */
  openedAtMs = 0;
  openedMonotonicMs = 0;
  turnRequested = false;
  /** A PUBLISH is to be written in the next turn. */
  delivers = false;
  #admission: ConnectionAdmission | undefined;
  /** When what is being decoded was come to: the time of all its packets. Each asking for its own is a tenth of a message. */
  #readAtMs: number;
  /** When this turn's first publish was answered, the time of all that it answers; 0 until one is. */
  #answeredAtMs = 0;
  #closing = false;
  #gone = false;
  #announced = false;
  #pausedSinceMs = 0;
  #leaving = false;
  #endReason = 'closed';

  constructor(services: GatewayServices, channel: ByteChannel) {
    this.#services = services;
    this.#channel = channel;
    this.#reader = new ReadLoop(this, services.limits);
    this.#outbox = new Outbox(services, channel, this);
    this.state = new ConnectionState(this, services.limits);
    this.publisher = new ConnectionPublisher(channel);
    this.access = new ConnectionAccess(services, this);
    this.connectedAtMs = services.clock.nowMs();
    this.#readAtMs = this.connectedAtMs;
    this.#deadline = new ConnectionDeadline(services, this);
    services.table.add(this);
    channel.open(this);
  }

  get channel(): ByteChannel {
    return this.#channel;
  }
  get session(): GatewaySession | undefined {
    return this.state.session as GatewaySession | undefined;
  }
  get isUtf8(): typeof isUtf8 {
    return isUtf8;
  }
  get assignClientId(): typeof assignClientId {
    return assignClientId;
  }

  // ---- bytes in

  bytes(chunk: Uint8Array): void {
    if (this.#closing) return;
    this.#reader.push(chunk);
    this.#heard(chunk.length);
  }

  lent(chunk: Buffer): void {
    if (this.#closing) return;
    this.#reader.lend(chunk);
    this.#heard(chunk.length);
    this.#reader.reclaim();
  }

  get room(): Uint8Array | undefined {
    return this.#reader.room;
  }

  filled(count: number): void {
    if (this.#closing) return;
    this.#reader.filled(count);
    this.#heard(count);
  }

  #heard(count: number): void {
    this.#deadline.heard(this.#services.clock.monotonicMs());
    this.#services.metrics.bytesIn.add(count);
    this.#read();
    // An answer may have made room. Not in `#read`: a turn reads, too, and would never rest.
    if (this.session?.replaying === true) this.#services.flusher.request(this);
  }

  get pieceBytesMax(): number {
    return this.isOpen ? Number.POSITIVE_INFINITY : this.#services.limits.connectBytesMax;
  }

  misused(why: string): void {
    if (!this.#closing) this.state.fail(ReasonCode.MALFORMED_PACKET, why);
  }

  #read(): void {
    this.#readAtMs = this.#services.clock.nowMs();
    try {
      this.#reader.run();
    } catch (error) {
      const { logger } = this.#services;
      refuseUnread(error, this.state, this.#reader.protocolVersion, { logger, peer: this.#channel.peerName });
    }
  }

  packet(packet: Packet): boolean {
    this.#services.metrics.packetsIn[packet.type]?.add();
    if (packet.type === PacketType.DISCONNECT) this.#endReason = 'client_disconnect';
    else if (packet.type === PacketType.CONNECT) {
      this.#outbox.peerMaximumPacketSizeBytes = packet.properties?.maximumPacketSizeBytes ?? Number.POSITIVE_INFINITY;
    }
    this.state.receive(packet, this.#readAtMs);
    if (packet.type === PacketType.PUBLISH) this.#checkPublishBounds();
    // Judged before the next packet, not at the end of the turn: a turn may bring megabytes of questions.
    if (this.#outbox.hasUnreadAnswers) this.pause(ReadPause.ANSWERS_UNREAD);
    return !this.#closing;
  }

  #checkPublishBounds(): void {
    const { acks } = this.state;
    const { limits, backpressure, publishShare } = this.#services;
    if (acks.bytes >= limits.inflightBytesMax || acks.count >= limits.receiveMaximum) {
      // An MQTT 5 client at its Receive Maximum has nothing to send but what must be read.
      if (this.state.version === 4 || acks.bytes >= limits.inflightBytesMax) this.pause(ReadPause.UNACKNOWLEDGED);
    }
    if (publishShare.spend(this)) this.pause(ReadPause.OTHERS_TURN);
    if (backpressure.congested && !this.#reader.isPausedFor(ReadPause.CONGESTED)) {
      backpressure.hold(this);
      this.pause(ReadPause.CONGESTED);
    }
  }

  relieved(): void {
    this.unpause(ReadPause.CONGESTED);
  }

  yourTurn(): void {
    if (!this.#reader.unpause(ReadPause.OTHERS_TURN) || this.#closing) return;
    this.#read();
    // While the next bytes are to wait as well, they wait in the socket.
    if (!this.#reader.paused) this.#channel.resume();
  }

  /** Stops reading for good: outstanding publishes may still be answered. */
  drain(): void {
    this.pause(ReadPause.DRAINING);
  }

  /** First step of going: its queues give it no more, while it may still answer what it has. */
  leave(): void {
    this.#leaving = true;
    this.session?.paceQueues(true);
  }

  pause(pause: ReadPause): void {
    if (this.#closing || !this.#reader.pause(pause)) return;
    this.#pausedSinceMs = this.#services.clock.monotonicMs();
    this.#channel.pause();
    this.#deadline.unread(this.#pausedSinceMs);
    if (pause === ReadPause.AUTHENTICATING) this.#deadline.asked(this.#pausedSinceMs);
  }

  unpause(pause: ReadPause): void {
    if (!this.#reader.unpause(pause) || this.#closing) return;
    const nowMs = this.#services.clock.monotonicMs();
    const pausedMs = nowMs - this.#pausedSinceMs;
    // What it sent meanwhile is not heard before this turn is over.
    this.#deadline.heard(nowMs);
    if (!OWN_DOING.has(pause)) this.#services.metrics.backpressureSeconds.add(pausedMs / 1000);
    this.#channel.resume();
    this.#services.flusher.request(this);
  }

  // ---- the connection's turn

  takeTurn(): void {
    this.#answeredAtMs = 0;
    this.delivers = false;
    if (this.#gone) return;
    if (this.#reader.isPausedFor(ReadPause.UNFINISHED)) {
      if (this.state.goOn()) this.unpause(ReadPause.UNFINISHED);
      else this.#services.flusher.request(this);
    }
    if (!this.#closing && this.#reader.isBehind && !this.#reader.paused) this.#read();
    const { session } = this;
    const waits = this.#outbox.isHolding || this.state.unfinished !== undefined;
    if (session?.replaying === true && !waits && !this.#closing && session.connection === this.state) {
      if (session.replay(this.#services.clock.nowMs())) this.#services.flusher.request(this);
    }
    this.flush();
    if (this.#closing) this.#channel.end();
  }

  flush(): void {
    this.#outbox.flush();
  }

  overBound(): void {
    if (!this.#closing) this.session?.paceQueues(true);
  }

  drained(): void {
    if (this.#closing) return;
    const { session } = this;
    if (this.#outbox.drained()) session?.paceQueues(this.#leaving);
    session?.pump(this.#services.clock.nowMs());
  }

  answersTaken(): void {
    this.unpause(ReadPause.ANSWERS_UNREAD);
    if (this.session?.replaying === true) this.#services.flusher.request(this);
  }

  closed(): void {
    if (this.#gone) return;
    if (this.#reader.isPausedFor(ReadPause.OTHERS_TURN)) this.#services.publishShare.finish(this);
    this.#gone = true;
    this.#closing = true;
    this.#deadline.end();
    this.#services.backpressure.forget(this);
    this.#services.table.delete(this);
    this.#reader.stop();
    this.state.closed();
    this.access.closed();
    if (this.#announced) {
      this.#services.metrics.connections(this.state.protocolName, this.#channel.transport).add(-1);
      this.#services.metrics.disconnects(this.#endReason).add();
    }
  }

  // ---- its deadline

  get isUnread(): boolean {
    return this.#reader.paused;
  }
  get keepAliveS(): number {
    return this.state.keepAliveS;
  }
  outOfTime(reasonCode: number, why: string): void {
    this.state.fail(reasonCode, why);
  }

  // ---- effects

  send(packet: Packet): void {
    if (this.#gone) return;
    if (!this.#outbox.append(packet, this.state.version)) {
      // Whoever waits for an answer that it does not take would wait for ever.
      if (isAwaited(packet)) this.state.fail(ReasonCode.PACKET_TOO_LARGE, 'an answer exceeds its Maximum Packet Size');
      return;
    }
    if (packet.type === PacketType.PUBLISH) this.delivers = true;
    else if (packet.type === PacketType.DISCONNECT) this.#endReason = reasonName(packet.reasonCode);
    this.#services.metrics.packetsOut[packet.type]?.add();
    this.#services.flusher.request(this);
  }

  released(): void {
    if (!this.#gone) this.#services.flusher.request(this);
  }

  get writable(): boolean {
    return !this.#closing && this.#outbox.isWritable;
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#services.backpressure.forget(this);
    this.#reader.stop();
    if (this.#gone) return;
    // What still arrives is read and thrown away: unread bytes would make the close a reset, and our last words lost.
    this.#channel.resume();
    this.#deadline.linger();
    this.#services.flusher.request(this);
  }

  authenticate(packet: ConnectPacket): void {
    this.#admission = new ConnectionAdmission(this.#services, this);
    this.#admission.begin(packet);
  }

  continueAuthentication(data: Uint8Array | undefined, isNew: boolean): void {
    this.#admission?.next(data, isNew);
  }

  openSession(clientId: string, cleanStart: boolean, identity: string | undefined): OpenedSession | number {
    assert(this.#admission !== undefined, 'a session is opened for who was admitted');
    return this.#admission.openSession(clientId, cleanStart, identity);
  }

  /** It is open since then. */
  admitted(nowMs: number): void {
    const { metrics, clock } = this.#services;
    if (this.#admission?.isByMethod === false) this.#admission = undefined;
    this.#reader.admit();
    // What it was allowed over another connection, from another address.
    this.access.lookAgain();
    this.#announced = true;
    this.openedAtMs = clock.nowMs();
    this.openedMonotonicMs = nowMs;
    metrics.connects(ReasonCode.SUCCESS).add();
    metrics.connections(this.state.protocolName, this.#channel.transport).add(1);
    this.#deadline.admitted(nowMs);
  }

  endSession(session: GatewaySession, end: ConnectionEnd): void {
    closeSession(this.#services, session, end);
  }

  publish(packet: PublishPacket, ack: InboundAck | undefined): void {
    const kept = packet.qos === 2 ? this.session?.stored?.exchanges.begin(packet, ack, this.publisher) : undefined;
    if (!this.access.mayPublish(packet, kept ?? ack)) return;
    if (kept !== undefined) kept.publish();
    else this.#services.ingress.publish(packet, this.publisher, ack, this.#readAtMs);
  }

  publishWill(packet: PublishPacket): void {
    if (!this.access.mayPublishWill(packet)) return;
    this.#services.ingress.publish(packet, this.publisher, undefined, this.#services.clock.nowMs());
  }

  subscribe(session: GatewaySession, subscription: SessionSubscription): number {
    if (!this.access.maySubscribe(subscription)) return ReasonCode.NOT_AUTHORIZED;
    const reasonCode = session.route(subscription);
    if (reasonCode === ReasonCode.SUCCESS) this.#outbox.subscribed(session, subscription);
    return reasonCode;
  }

  postponed(): void {
    this.pause(ReadPause.UNFINISHED);
    this.#services.flusher.request(this);
  }

  subscribed(session: GatewaySession, subscription: SessionSubscription, retained: boolean): void {
    session.begin(subscription, retained);
    this.#services.flusher.request(this);
  }

  unsubscribe(session: GatewaySession, subscription: SessionSubscription): void {
    session.unroute(subscription);
    this.#outbox.unsubscribed(session, subscription);
  }

  acknowledged(qos: 1 | 2, receivedAtMs: number): void {
    const { metrics, limits, clock, flusher } = this.#services;
    if (this.#answeredAtMs === 0) {
      this.#answeredAtMs = clock.nowMs();
      flusher.request(this);
    }
    const seconds = Math.max(0, this.#answeredAtMs - receivedAtMs) / 1000;
    (qos === 1 ? metrics.publishAckQos1 : metrics.publishAckQos2).observe(seconds);
    if (!this.#reader.isPausedFor(ReadPause.UNACKNOWLEDGED)) return;
    const { acks } = this.state;
    // Half, so that a connection at its bound does not stop and go for every message.
    if (acks.bytes <= limits.inflightBytesMax / 2 && acks.count <= limits.receiveMaximum / 2) {
      this.unpause(ReadPause.UNACKNOWLEDGED);
    }
  }

  dropped(reason: DropReason): void {
    this.#services.metrics.dropped(reason);
  }

  failed(reasonCode: number, why: string): void {
    const { metrics, logger } = this.#services;
    metrics.protocolErrors(reasonCode).add();
    if (this.state.phase !== ConnectionPhase.OPEN) metrics.connects(reasonCode).add();
    this.#endReason = reasonName(reasonCode);
    const [client, peer] = [this.publisher.clientId, this.#channel.peerName];
    logger.debug({ client, peer, reason: this.#endReason, why }, 'connection ended by the server');
  }

  /** For the table of connections; nothing here is secret. */
  summary(): ConnectionSummary {
    return summaryOf(this, this.#outbox.unsentBytes, this.#reader.paused);
  }

  /** Nothing it sends is acted on any more. */
  get isClosing(): boolean {
    return this.#closing;
  }

  get isOpen(): boolean {
    return this.state.phase === ConnectionPhase.OPEN;
  }
}
