import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import type { DurablePublish, PendingPublish, Publisher } from '../../src/publish/durable-publish.ts';
import { MemoryRetained } from './memory-retained.ts';

export interface StoredPublish {
  packet: PublishPacket;
  publisher: Publisher;
  pending: PendingPublish;
}

/** A durable side in memory: topics matching one of `filters` wait until the test commits or refuses them. */
export class MemoryDurable implements DurablePublish {
  filters: string[] = [];
  stored: StoredPublish[] = [];
  congested = false;
  /** Set to complete in the next microtask, as a fast store would. */
  autoCommit: number | undefined = undefined;
  readonly retained: MemoryRetained;
  #relief: (() => void)[] = [];

  constructor(retained = new MemoryRetained()) {
    this.retained = retained;
  }

  publish(packet: PublishPacket, publisher: Publisher, pending: PendingPublish, isRetained: boolean): boolean {
    if (isRetained) this.retained.put(packet, publisher);
    if (!this.filters.some((filter) => matches(filter, packet.topic))) {
      if (isRetained) queueMicrotask(() => pending.complete(ReasonCode.SUCCESS));
      return isRetained;
    }
    this.stored.push({
      packet: { ...packet, payload: new Uint8Array(packet.payload) },
      // Copied now: the connection may be gone when a test looks.
      publisher: { ...publisher, peerHost: publisher.peerHost, peerName: publisher.peerName },
      pending,
    });
    const reasonCode = this.autoCommit;
    if (reasonCode !== undefined) queueMicrotask(() => pending.complete(reasonCode));
    return true;
  }

  onRelief(listener: () => void): void {
    this.#relief.push(listener);
  }

  relieve(): void {
    this.congested = false;
    for (const listener of this.#relief) listener();
  }

  topics(): string[] {
    return this.stored.map((s) => s.packet.topic);
  }
}
