import type { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { ForwardedMessage, LiveRoute } from '@sluice/rpc/contract/live';
import { recordOf } from './forwarded-message.ts';

/**
 * What other gateways get of one turn. A message is encoded once, when the first gateway takes it, into one buffer for
 * all messages and gateways; each gateway's outbox has only numbers until the turn ends. A payload is copied by that,
 * since it lies in a socket's buffer.
 *
 * @hotpath
 */
export class ForwardBatch {
  readonly #builder = new RecordBatchBuilder();
  readonly #messages: PublishedMessage[] = [];
  /** Where each record begins in the batch, and the end of the last. */
  readonly #bounds: number[] = [];
  #encoded: Uint8Array | undefined;
  readonly #forwarded: (ForwardedMessage | undefined)[] = [];

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Send it before the turn ends. */
  get isFull(): boolean {
    return this.#builder.isFull || this.#builder.sizeBytes >= BATCH_BYTES_MAX;
  }

  /**
   * Returns the message's number in the batch.
   * @throws SluiceError `RECORD_INVALID` for what the format cannot carry
   */
  add(message: PublishedMessage, publishedAtMs: number): number {
    const start = this.#builder.sizeBytes;
    const number = this.#builder.add(recordOf(message, publishedAtMs));
    this.#messages.push(message);
    this.#bounds[number] = start;
    this.#bounds[number + 1] = this.#builder.sizeBytes;
    return number;
  }

  sizeBytes(number: number): number {
    return (this.#bounds[number + 1] as number) - (this.#bounds[number] as number);
  }

  /** No more is added. */
  seal(): void {
    this.#encoded = this.#builder.finish();
  }

  /** Takes the outbox and leaves it empty. */
  messagesFor(outbox: Outbox): ForwardedMessage[] {
    const messages: ForwardedMessage[] = [];
    for (let i = 0; i < outbox.numbers.length; i++) {
      const number = outbox.numbers[i] as number;
      const shares = outbox.shares[i] as readonly LiveRoute[];
      const plain = this.#plain(number);
      const { record, qos, retain } = plain;
      messages.push(shares.length === 0 ? plain : { record, qos, retain, shares });
    }
    outbox.clear();
    return messages;
  }

  reset(): void {
    this.#messages.length = 0;
    this.#bounds.length = 0;
    this.#forwarded.length = 0;
    this.#encoded = undefined;
  }

  /** The same object for all gateways that have no group to serve by it. */
  #plain(number: number): ForwardedMessage {
    let forwarded = this.#forwarded[number];
    if (forwarded === undefined) {
      const { qos, retain } = this.#messages[number] as PublishedMessage;
      const record = (this.#encoded as Uint8Array).subarray(this.#bounds[number], this.#bounds[number + 1]);
      forwarded = { record, qos, retain, shares: NO_SHARES };
      this.#forwarded[number] = forwarded;
    }
    return forwarded;
  }
}

/** One gateway's part of the batch. */
export class Outbox {
  readonly numbers: number[] = [];
  readonly shares: (readonly LiveRoute[])[] = [];
  sizeBytes = 0;

  get isEmpty(): boolean {
    return this.numbers.length === 0;
  }

  /** True when `number` is what was put in last. */
  endsWith(number: number): boolean {
    return this.numbers[this.numbers.length - 1] === number;
  }

  put(number: number, sizeBytes: number): void {
    this.numbers.push(number);
    this.shares.push(NO_SHARES);
    this.sizeBytes += sizeBytes;
  }

  /** The message put in last is also the one copy of this group. */
  share(route: LiveRoute): void {
    const last = this.shares.length - 1;
    this.shares[last] = [...(this.shares[last] as readonly LiveRoute[]), route];
  }

  clear(): void {
    this.numbers.length = 0;
    this.shares.length = 0;
    this.sizeBytes = 0;
  }
}

/** One message between gateways: this and one record at most. */
const BATCH_BYTES_MAX = 256 * 1024;
const NO_SHARES: readonly LiveRoute[] = [];
