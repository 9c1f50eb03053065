import type { Properties, PublishPacket, QoS } from '../codec/packet.ts';

/**
 * A message on its way to subscribers, wherever it comes from: a live publish, a retained message, a queue. One object
 * is shared by all its receivers; what differs between them (QoS, packet id, subscription identifier) stands in
 * `OutboundMessage`.
 */
export interface DeliverableMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** What travels with the message; expiry, aliases and subscription identifiers are added on the way out. */
  readonly properties: Properties | undefined;
  /** Wall clock; 0 for never. */
  readonly expiresAtMs: number;
  /** Called when somebody keeps the message beyond this turn. Afterwards `payload` does not pin a receive buffer. */
  keep(): void;
}

/**
 * A message as a client published it. The payload is a view into the publisher's receive buffer: a hundred bytes would
 * pin 64 KiB for as long as a slow subscriber waits, and the bounds on queued bytes would mean nothing. So the first
 * one who keeps it pays for one copy, which all share.
 */
export class PublishedMessage implements DeliverableMessage {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: Properties | undefined;
  /** Client id of the publisher. */
  readonly publisher: string;
  readonly expiresAtMs: number;
  payload: Uint8Array;
  #kept = false;

  constructor(packet: PublishPacket, publisher: string, nowMs: number) {
    this.topic = packet.topic;
    this.qos = packet.qos;
    this.retain = packet.retain;
    this.payload = packet.payload;
    this.properties = packet.properties;
    this.publisher = publisher;
    const expiryS = packet.properties?.messageExpiryIntervalS;
    this.expiresAtMs = expiryS === undefined ? 0 : nowMs + expiryS * 1000;
  }

  keep(): void {
    if (this.#kept) return;
    this.#kept = true;
    this.payload = new Uint8Array(this.payload);
  }
}
