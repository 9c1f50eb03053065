import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import { PacketWriter } from '@sluice/mqtt/codec/packet-writer';
import type { SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import type { GatewayServices } from '../gateway-services.ts';
import { AnswerHold } from './answer-hold.ts';
import { appendPacket } from './append-packet.ts';
import type { ByteChannel } from './byte-channel.ts';

export interface OutboxOwner {
  readonly session: GatewaySession | undefined;
  readonly publisher: { readonly clientId: string };
  /** What was held may be written. */
  released(): void;
  /** Its client has taken all answers. */
  answersTaken(): void;
  /** More is written than the socket may hold: deliveries are to wait, until `drained`. */
  overBound(): void;
}

/**
 * What a connection has to say: gathered as it is decided, written once a turn, and counted until its client has taken
 * it. Two things may grow with a client that does not read. Of deliveries nothing more is asked for while the socket has
 * more than `sendBufferBytesMax`; of answers, which its own packets cause, `answerBytesMax` says when it is not read.
 *
 * @hotpath
 */
export class Outbox {
  readonly channel: ByteChannel;
  readonly #services: GatewayServices;
  readonly #owner: OutboxOwner;
  readonly #writer = new PacketWriter();
  /** Bytes of answers since it was known that the client had taken everything. */
  #answerBytes = 0;
  /** The last write was not taken at once. */
  #isBuffering = false;
  #isOverBound = false;
  /** Made by the first SUBSCRIBE or UNSUBSCRIBE. */
  #hold: AnswerHold | undefined = undefined;

  constructor(services: GatewayServices, channel: ByteChannel, owner: OutboxOwner) {
    this.#services = services;
    this.channel = channel;
    this.#owner = owner;
  }

  /** Of its CONNECT; in force for the refusal of that already [MQTT-3.2.2-19]. */
  set peerMaximumPacketSizeBytes(bytes: number) {
    this.#writer.peerMaximumPacketSizeBytes = bytes;
  }

  /** False: its client does not take it, and nothing was written. */
  append(packet: Packet, version: 4 | 5): boolean {
    const hold = packet.type === PacketType.UNSUBACK ? this.#answerHold : this.#hold;
    hold?.before(packet, this.#owner.session);
    const writer = this.#writer;
    writer.version = version;
    const before = writer.sizeBytes;
    if (!appendPacket(writer, packet, this.#services.logger, this.#owner.publisher.clientId)) return false;
    if (packet.type !== PacketType.PUBLISH) this.#answerBytes += writer.sizeBytes - before;
    return true;
  }

  /** One write of all that was gathered, unless it is held. */
  flush(): void {
    const sizeBytes = this.#writer.sizeBytes;
    if (sizeBytes === 0 || this.isHolding) return;
    this.#services.metrics.bytesOut.add(sizeBytes);
    this.channel.write(this.#writer.take());
    const bufferedBytes = this.channel.bufferedBytes;
    this.#isBuffering = bufferedBytes > 0;
    if (bufferedBytes === 0) this.#answersTaken();
    if (bufferedBytes > this.#services.limits.sendBufferBytesMax && !this.#isOverBound) {
      this.#isOverBound = true;
      this.#owner.overBound();
    }
  }

  /**
   * Everything written has been taken.
   *
   * @returns whether the owner was told `overBound` since the last time.
   */
  drained(): boolean {
    this.#answersTaken();
    const wasOverBound = this.#isOverBound;
    this.#isOverBound = false;
    return wasOverBound;
  }

  #answersTaken(): void {
    this.#answerBytes = 0;
    this.#owner.answersTaken();
  }

  /** There is room for a delivery. */
  get isWritable(): boolean {
    return this.unsentBytes <= this.#services.limits.sendBufferBytesMax;
  }

  get unsentBytes(): number {
    // Its socket is asked while a write has not been taken: it is three objects away, and each delivery asks.
    return this.#writer.sizeBytes + (this.#isBuffering ? this.channel.bufferedBytes : 0);
  }

  /**
   * More answers than a client may leave unread. More than that were given since a write ended with nothing left, which
   * may be never: TLS takes everything a moment later, and of what is less than the socket's high-water mark nobody is
   * told that it was taken. What is unsent is never less than what is unread of it; and when that is beyond two such
   * marks, as the bound is, the socket will tell.
   */
  get hasUnreadAnswers(): boolean {
    const { answerBytesMax } = this.#services.limits;
    if (this.#answerBytes <= answerBytesMax) return false;
    this.#answerBytes = Math.min(this.#answerBytes, this.unsentBytes);
    return this.#answerBytes > answerBytesMax;
  }

  // ---- answers that wait until others know

  /** Nothing may be written. */
  get isHolding(): boolean {
    return this.#hold?.isHolding === true;
  }

  subscribed(session: GatewaySession, subscription: SessionSubscription): void {
    this.#answerHold.subscribed(session, subscription);
  }

  unsubscribed(session: GatewaySession, subscription: SessionSubscription): void {
    this.#answerHold.unsubscribed(session, subscription);
  }

  released(): void {
    this.#owner.released();
  }

  get #answerHold(): AnswerHold {
    this.#hold ??= new AnswerHold(this.#services, this, this.#writer);
    return this.#hold;
  }
}
