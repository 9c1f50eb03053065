import type { Properties } from '@sluice/mqtt/codec/packet';
import type { DeliverableMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { DeliverySource } from '@sluice/mqtt/protocol/outbound-message';
import type { EncodedRecord } from '@sluice/queue/record/record-view';

/**
 * One delivery of a stream as an outbound message, read lazily from the record's bytes, and the way back for what the
 * client says to it. Refused or accepted, the client is done with it: nobody else waits for it.
 *
 * @hotpath
 */
export class StreamMessage implements DeliverableMessage, DeliverySource {
  readonly streamId: number;
  readonly offset: number;
  readonly record: EncodedRecord;
  readonly #owner: StreamMessageOwner;

  constructor(owner: StreamMessageOwner, streamId: number, offset: number, record: EncodedRecord) {
    this.#owner = owner;
    this.streamId = streamId;
    this.offset = offset;
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

  get withdrawn(): boolean {
    return false;
  }
  accepted(): void {
    this.#owner.done(this.streamId, this.offset);
  }
  rejected(): void {
    this.#owner.done(this.streamId, this.offset);
  }
  tooLarge(): void {
    this.#owner.done(this.streamId, this.offset);
  }
  /** The connection ended: the store has it, and brings it to the next one. */
  returned(): void {}
}

export interface StreamMessageOwner {
  done(streamId: number, offset: number): void;
}
