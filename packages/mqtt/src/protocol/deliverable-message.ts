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
  /** What it costs to hold on to it, for bounds. */
  readonly heldBytes: number;
  /** Called when somebody keeps the message beyond this turn. Afterwards `payload` does not pin a receive buffer. */
  keep(): void;
}

/** Stands for the message of an exchange that goes on without it, or before it is here, and of one that is over. */
export const NO_MESSAGE: DeliverableMessage = {
  topic: '',
  payload: new Uint8Array(0),
  properties: undefined as Properties | undefined,
  expiresAtMs: 0,
  heldBytes: 0,
  keep: () => {},
};

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
  #heldBytes = 0;

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

  get heldBytes(): number {
    if (this.#heldBytes === 0) {
      this.#heldBytes =
        HELD_OVERHEAD_BYTES + this.payload.length + this.topic.length + propertiesHeldBytes(this.properties);
    }
    return this.#heldBytes;
  }

  keep(): void {
    if (this.#kept) return;
    this.#kept = true;
    this.payload = new Uint8Array(this.payload);
    const { properties } = this;
    if (properties?.correlationData !== undefined) {
      properties.correlationData = new Uint8Array(properties.correlationData);
    }
  }
}

/** Objects around a held message; measured roughly, so that a million empty messages do not count as nothing. */
const HELD_OVERHEAD_BYTES = 200;
const STRING_OVERHEAD_BYTES = 24;

/** A packet may be all properties and no payload: a bound that looks at payloads alone bounds nothing. */
export function propertiesHeldBytes(properties: Properties | undefined): number {
  if (properties === undefined) return 0;
  let bytes = 0;
  if (properties.contentType !== undefined) bytes += STRING_OVERHEAD_BYTES + properties.contentType.length;
  if (properties.responseTopic !== undefined) bytes += STRING_OVERHEAD_BYTES + properties.responseTopic.length;
  if (properties.correlationData !== undefined) bytes += STRING_OVERHEAD_BYTES + properties.correlationData.length;
  if (properties.userProperties !== undefined) {
    for (const text of properties.userProperties) bytes += STRING_OVERHEAD_BYTES + text.length;
  }
  return bytes;
}
