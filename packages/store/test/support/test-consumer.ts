import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { ConsumeRequest, ConsumeResponse, DeliverItem } from '@sluice/rpc/contract/consume';
import type { Channel } from '@sluice/rpc/transport';
import { until } from './test-store.ts';

export interface Delivered {
  offset: number;
  count: number;
  text: string;
}

/** One consumer as its store sees it: what it was handed, and what it says to that. */
export class TestConsumer {
  readonly delivered: Delivered[] = [];
  detachedBecause: string | undefined;
  /** Who leads, as said with that. */
  leader = -1;
  readonly waiting: boolean[] = [];
  readonly #channel: Channel<ConsumeRequest, ConsumeResponse>;
  readonly #consumerId: number;
  readonly #partition: number;
  /** Of what it said it holds. */
  readonly lost: number[] = [];

  constructor(channel: Channel<ConsumeRequest, ConsumeResponse>, consumerId: number, partition: number) {
    this.#channel = channel;
    this.#consumerId = consumerId;
    this.#partition = partition;
  }

  receive(response: Exclude<ConsumeResponse, { type: 'leading' | 'settled' }>): void {
    if (response.type === 'lost') {
      this.lost.push(...response.offsets);
      return;
    }
    if (response.type === 'detached') {
      this.detachedBecause = response.reason;
      this.leader = response.leader;
      return;
    }
    if (response.type === 'waiting') {
      this.waiting.push(response.waiting);
      return;
    }
    for (const item of response.deliveries) this.delivered.push(deliveredOf(item));
  }

  get texts(): string[] {
    return this.delivered.map(({ text }) => text);
  }

  async received(count: number): Promise<string[]> {
    await until(() => this.delivered.length >= count, `${count} deliveries, there are ${this.delivered.length}`);
    return this.texts;
  }

  accept(...offsets: number[]): void {
    this.#settle(offsets, true);
  }

  acceptAll(): void {
    this.accept(...this.delivered.map(({ offset }) => offset));
  }

  reject(...offsets: number[]): void {
    this.#settle(offsets, false);
  }

  window(window: number): void {
    this.#channel.send({ type: 'window', consumerId: this.#consumerId, window });
  }

  limit(recordBytesMax: number): void {
    this.#channel.send({ type: 'limit', consumerId: this.#consumerId, recordBytesMax });
  }

  tooLarge(offset: number): void {
    this.#channel.send({ type: 'too-large', consumerId: this.#consumerId, offset });
  }

  detach(): void {
    this.#channel.send({ type: 'detach', consumerId: this.#consumerId });
  }

  #settle(offsets: readonly number[], accepted: boolean): void {
    const items = offsets.map((offset) => ({ consumerId: this.#consumerId, offset, accepted }));
    this.#channel.send({ type: 'settle', partition: this.#partition, term: 0, upTo: 0, items });
  }
}

function deliveredOf(item: DeliverItem): Delivered {
  const record = new EncodedRecord(item.record);
  return { offset: item.offset, count: item.deliveryCount, text: Buffer.from(record.payload).toString() };
}
