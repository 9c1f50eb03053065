import type { InboundAck } from './ack-order.ts';

/**
 * Packet ids of QoS 2 publishes that were taken and not yet released, so that a repeated PUBLISH is answered and not
 * published again [MQTT-4.3.3-10]. An id is `pending` until the message is committed, then `received` until its PUBREL.
 *
 * Bounds: an MQTT 5 client may have Receive Maximum of them (checked where publishes are counted). MQTT 3.1.1 has no such
 * limit to tell, so the bound is the number of packet ids, and ids that wait for PUBREL are kept as bits: 8 KiB a session
 * at the very worst, nothing for those who never use QoS 2.
 */
export class Qos2Dedup {
  #pending: Map<number, InboundAck> | undefined = undefined;
  #received: Uint32Array | undefined = undefined;
  #receivedCount = 0;

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

  begin(ack: InboundAck): void {
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

  /** Refused: the id is free, the client may try again. */
  refuse(packetId: number): void {
    this.#pending?.delete(packetId);
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
