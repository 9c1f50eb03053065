import type { Properties } from '@sluice/mqtt/codec/packet';
import type { DeliverableMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { DeliverySource } from '@sluice/mqtt/protocol/outbound-message';
import type { EncodedRecord } from '@sluice/queue/record/record-view';

/**
 * The way back for what the client says to a record of a stream. Refused or accepted, the client is done with it: nobody
 * else waits for it.
 *
 * @hotpath
 */
export class StreamSource implements DeliverySource {
  readonly streamId: number;
  readonly offset: number;
  /** The log says so already: an exchange of QoS 2 passes its record at PUBREC. */
  isPassed = false;
  readonly #owner: StreamMessageOwner;

  constructor(owner: StreamMessageOwner, streamId: number, offset: number) {
    this.#owner = owner;
    this.streamId = streamId;
    this.offset = offset;
  }

  get withdrawn(): boolean {
    return false;
  }
  accepted(): void {
    this.#owner.done(this);
  }
  rejected(): void {
    this.#owner.done(this);
  }
  tooLarge(): void {
    this.#owner.done(this);
  }
  /** The connection ended: the store has it, and brings it to the next one. */
  returned(): void {}
}

/**
 * One delivery of a stream as an outbound message, read lazily from the record's bytes.
 *
 * @hotpath
 */
export class StreamMessage extends StreamSource implements DeliverableMessage {
  readonly record: EncodedRecord;

  constructor(owner: StreamMessageOwner, streamId: number, offset: number, record: EncodedRecord) {
    super(owner, streamId, offset);
    this.record = record;
  }

  get topic(): string {
    return this.record.topic;
  }
  get payload(): Uint8Array {
    return this.record.payload;
  }
  get expiresAtMs(): number {
    return this.record.expiresAtMs;
  }
  get properties(): Properties | undefined {
    return this.record.properties;
  }
  get heldBytes(): number {
    return this.record.sizeBytes;
  }
  keep(): void {}
}

export interface StreamMessageOwner {
  done(source: StreamSource): void;
}
