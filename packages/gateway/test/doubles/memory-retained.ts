import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import { iterateRecords } from '@sluice/queue/record/record-batch';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { recordOf } from '../../src/live/forwarded-message.ts';
import type { Publisher } from '../../src/publish/durable-publish.ts';
import type { RetainedListener, RetainedMessages, RetainedPages } from '../../src/retained/retained-messages.ts';

/** Retained messages in a map, read in pages of a few, each in a microtask of its own. */
export class MemoryRetained implements RetainedMessages {
  readonly records = new Map<string, Uint8Array>();
  pageRecords = 3;
  /** While set, no page comes. */
  isHeld = false;
  /** Of these filters nothing more can be had. */
  readonly unreached = new Set<string>();
  readonly #stalled = new Set<RetainedListener>();
  readonly asked: string[] = [];
  nowMs: () => number = Date.now;
  #waiting: (() => void)[] = [];

  put(packet: PublishPacket, publisher: Publisher): void {
    this.records.delete(packet.topic);
    if (packet.payload.length === 0) return;
    const nowMs = this.nowMs();
    const builder = new RecordBatchBuilder('plain');
    builder.add(recordOf(new PublishedMessage(packet, publisher.clientId, nowMs), nowMs));
    const [record] = iterateRecords(builder.finish());
    if (record !== undefined) this.records.set(packet.topic, record.encoded.slice());
  }

  open(filter: string, listener: RetainedListener): RetainedPages {
    let topics: string[] | undefined;
    let isClosed = false;
    const page = (): void => {
      if (isClosed) return;
      if (this.unreached.has(filter)) {
        this.#stalled.add(listener);
        listener.stalled();
        return;
      }
      topics ??= [...this.records.keys()].filter((topic) => matches(filter, topic));
      const some = topics.splice(0, this.pageRecords);
      const records = some.flatMap((topic) => this.records.get(topic) ?? []);
      listener.page(records, topics.length === 0);
    };
    return {
      more: () => {
        this.asked.push(filter);
        if (this.isHeld) this.#waiting.push(page);
        else queueMicrotask(page);
      },
      mayBring: (topic) => matches(filter, topic) && topics?.includes(topic) !== false,
      close: () => {
        isClosed = true;
        this.#stalled.delete(listener);
      },
    };
  }

  get stalled(): number {
    return this.#stalled.size;
  }

  reached(): void {
    this.unreached.clear();
    const stalled = [...this.#stalled];
    this.#stalled.clear();
    for (const listener of stalled) listener.again();
  }

  release(): void {
    this.isHeld = false;
    for (const page of this.#waiting.splice(0)) page();
  }
}
