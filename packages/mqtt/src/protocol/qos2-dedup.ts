import type { InboundAck } from './ack-order.ts';

/**
 * Packet ids of QoS 2 publishes that were taken and not yet released, so that a repeated PUBLISH is answered and not
 * published again [MQTT-4.3.3-10]. An id is `pending` until the message is committed, then `received` until its PUBREL.
 *
 * A refusal frees the id [MQTT-4.3.3-9], and is remembered all the same: a client that did not hear of it sends the PUBLISH
 * again, with DUP, and some of the stores that were to have it may have it. Published anew, those would have it twice; so it
 * is refused again, for the same reason. Without DUP it is another message.
 *
 * Bounds: an MQTT 5 client may have Receive Maximum of them (checked where publishes are counted). MQTT 3.1.1 has no such
 * limit to tell, so the bound is the number of packet ids, and ids that wait for PUBREL are kept as bits: 8 KiB a session
 * at the very worst, nothing for those who never use QoS 2. Of refusals the oldest is forgotten.
 */
export class Qos2Dedup {
  #pending: Map<number, InboundAck> | undefined = undefined;
  #received: Uint32Array | undefined = undefined;
  #receivedCount = 0;
  /** Packet id to reason code, the newest last. */
  #refused: Map<number, number> | undefined = undefined;

  static readonly REFUSED_MAX = 256;

  /** Exchanges that are not over. */
  get size(): number {
    return (this.#pending?.size ?? 0) + this.#receivedCount;
  }

  pending(packetId: number): InboundAck | undefined {
    return this.#pending?.get(packetId);
  }

  isReceived(packetId: number): boolean {
    return this.#received !== undefined && ((this.#received[packetId >>> 5] as number) & (1 << (packetId & 31))) !== 0;
  }

  /** The reason; 0: it was not refused. */
  refusal(packetId: number): number {
    return this.#refused?.get(packetId) ?? 0;
  }

  begin(ack: InboundAck): void {
    this.#refused?.delete(ack.packetId);
    this.#pending ??= new Map();
    this.#pending.set(ack.packetId, ack);
  }

  /** Committed: the client may be told, and the id waits for PUBREL. */
  receive(packetId: number): void {
    this.#pending?.delete(packetId);
    if (this.isReceived(packetId)) return;
    this.#received ??= new Uint32Array(2048);
    this.#received[packetId >>> 5] = (this.#received[packetId >>> 5] as number) | (1 << (packetId & 31));
    this.#receivedCount++;
  }

  /** The id is free. A reason of 0: its client is not told, and is to try again. */
  refuse(packetId: number, reasonCode: number): void {
    this.#pending?.delete(packetId);
    if (reasonCode === 0) return;
    this.#refused ??= new Map();
    this.#refused.delete(packetId);
    this.#refused.set(packetId, reasonCode);
    const [oldest = packetId] = this.#refused.keys();
    if (this.#refused.size > Qos2Dedup.REFUSED_MAX) this.#refused.delete(oldest);
  }

  /** PUBREL. False when the id was not in use, or its publish is still being committed. */
  release(packetId: number): boolean {
    if (!this.isReceived(packetId)) return false;
    const bits = this.#received as Uint32Array;
    bits[packetId >>> 5] = (bits[packetId >>> 5] as number) & ~(1 << (packetId & 31));
    this.#receivedCount--;
    return true;
  }
}
