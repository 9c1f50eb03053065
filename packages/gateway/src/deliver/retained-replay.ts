import type { Properties } from '@sluice/mqtt/codec/packet';
import type { DeliverableMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { LiveMessage } from '../live/live-router.ts';
import type { RetainedCursor } from '../live/retained-store.ts';

/**
 * The retained messages of one new subscription, a portion a turn and only while the socket and the window have room: a
 * filter of `#` on a full store neither stalls the gateway nor fills the client's queue, and no QoS 0 message is dropped
 * because there were many.
 */
export class RetainedReplay {
  /** Filter as subscribed: an UNSUBSCRIBE stops the replay. */
  readonly text: string;
  readonly #cursor: RetainedCursor;

  constructor(text: string, cursor: RetainedCursor) {
    this.text = text;
    this.#cursor = cursor;
  }

  get done(): boolean {
    return this.#cursor.done;
  }

  /** Appends the next message; none, when those looked at in this step were expired, or at the end. */
  read(into: LiveMessage[], nowMs: number): void {
    this.#cursor.read(into, 1, nowMs);
  }
}

/** A message of the retained store: its bytes are its own and stay as they are. */
export class StoredMessage implements DeliverableMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly properties: Properties | undefined;
  readonly expiresAtMs: number;

  constructor(message: LiveMessage) {
    this.topic = message.topic;
    this.payload = message.payload;
    this.properties = message.properties;
    this.expiresAtMs = message.expiresAtMs;
  }

  /** The store holds it anyway; a reference to it costs this. */
  get heldBytes(): number {
    return REFERENCE_BYTES + this.payload.length;
  }

  keep(): void {}
}

const REFERENCE_BYTES = 200;
