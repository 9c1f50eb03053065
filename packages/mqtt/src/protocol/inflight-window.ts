import { assert } from '@sluice/common/assert';
import { type OutboundMessage, OutboundPhase } from './outbound-message.ts';

const PACKET_ID_MAX = 65_535;

/**
 * What was sent at QoS 1 and 2 and is not finished, by packet id. Two numbers bound it: the ids, which stay taken until
 * the exchange is over also across connections [MQTT-2.2.1-3], and the client's Receive Maximum, which counts only what
 * is on the wire of this connection [MQTT-3.3.4-9].
 *
 * A map keeps the order in which messages were first sent, which is the order to send them again in [MQTT-4.6.0-1].
 *
 * @hotpath
 */
export class InflightWindow {
  #capacity: number;
  #onWire = 0;
  #lastId = 0;
  /** Those before are for messages that are destined for one, as long as there are others. */
  #firstId = 1;
  /** Made by the first: most connections of devices never have one. */
  #messages: Map<number, OutboundMessage> | undefined = undefined;

  constructor(capacity: number) {
    assert(capacity >= 1 && capacity <= PACKET_ID_MAX, 'Receive Maximum is 1 to 65535, section 3.1.2.11.3');
    this.#capacity = capacity;
  }

  /** Unfinished exchanges, on the wire or waiting to be sent again. */
  get size(): number {
    return this.#messages?.size ?? 0;
  }
  get capacity(): number {
    return this.#capacity;
  }
  get hasRoom(): boolean {
    return this.#onWire < this.#capacity && this.size < PACKET_ID_MAX;
  }
  /** A message that already has its packet id needs no free one. */
  hasRoomFor(outbound: OutboundMessage): boolean {
    return this.#onWire < this.#capacity && (outbound.packetId !== 0 || this.size < PACKET_ID_MAX);
  }

  /** From now on ids below `firstId` are for messages that are destined for one; the others begin at `nextId`. */
  leaveOut(firstId: number, nextId: number): void {
    this.#firstId = firstId;
    this.#lastId = nextId - 1;
  }

  /** What has that id, and this connection's client, will be answered: then it is free. */
  isOnWire(packetId: number): boolean {
    return this.#messages?.get(packetId)?.phase === OutboundPhase.AWAITING_PUBACK;
  }

  /** Takes its destined or a free packet id, or keeps the one the message has, and counts it as on the wire. */
  open(outbound: OutboundMessage): void {
    assert(this.#onWire < this.#capacity, 'the caller asks hasRoom first');
    this.#onWire++;
    if (outbound.packetId === 0) {
      assert(this.size < PACKET_ID_MAX, 'the caller asks hasRoom first');
      this.#messages ??= new Map();
      const { destinedId } = outbound;
      const isDestined = destinedId !== 0 && !this.#messages.has(destinedId);
      outbound.packetId = isDestined ? destinedId : this.#freeId(this.#messages);
      this.#messages.set(outbound.packetId, outbound);
    }
    outbound.phase = outbound.qos === 1 ? OutboundPhase.AWAITING_PUBACK : OutboundPhase.AWAITING_PUBREC;
  }

  get(packetId: number): OutboundMessage | undefined {
    return this.#messages?.get(packetId);
  }

  /** The client answers on this connection what it received on an earlier one: sending it again is not needed. */
  reclaim(outbound: OutboundMessage): void {
    if (isOffWire(outbound)) this.#onWire++;
  }

  /** An exchange that began on an earlier connection, elsewhere, under the packet id it has. */
  adopt(outbound: OutboundMessage): void {
    this.#messages ??= new Map();
    this.#messages.set(outbound.packetId, outbound);
    if (!isOffWire(outbound)) this.#onWire++;
  }

  /** The message of such an exchange is here: it takes the place of what stood for it. */
  fill(outbound: OutboundMessage): void {
    this.#messages?.set(outbound.packetId, outbound);
  }

  /** The exchange is over: the id is free again. */
  close(outbound: OutboundMessage): void {
    if (this.#messages?.delete(outbound.packetId) !== true) return;
    if (!isOffWire(outbound) && this.#onWire > 0) this.#onWire--;
    outbound.phase = OutboundPhase.SETTLED;
  }

  /** In the order of first sending. */
  messages(): Iterable<OutboundMessage> {
    return this.#messages?.values() ?? [];
  }

  /**
   * The session goes on over a new connection: nothing is on its wire yet. Messages wait to be sent again, except those
   * the client has received, for which a PUBREL is repeated, and those that were not sent yet.
   */
  rewind(capacity: number): void {
    this.#capacity = capacity;
    this.#onWire = 0;
    for (const outbound of this.messages()) {
      const { phase } = outbound;
      if (phase === OutboundPhase.AWAITING_PUBACK || phase === OutboundPhase.AWAITING_PUBREC) {
        outbound.phase = OutboundPhase.WAITING;
      } else if (!isOffWire(outbound)) this.#onWire++;
    }
  }

  #freeId(messages: ReadonlyMap<number, OutboundMessage>): number {
    const first = messages.size <= PACKET_ID_MAX - this.#firstId ? this.#firstId : 1;
    let id = this.#lastId;
    do id = id === PACKET_ID_MAX ? first : id + 1;
    while (messages.has(id));
    this.#lastId = id;
    return id;
  }
}

function isOffWire({ phase }: OutboundMessage): boolean {
  return phase === OutboundPhase.WAITING || phase === OutboundPhase.ABSENT;
}
