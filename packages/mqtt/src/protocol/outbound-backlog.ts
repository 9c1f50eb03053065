import { assert } from '@sluice/common/assert';
import { type OutboundMessage, OutboundPhase } from './outbound-message.ts';

/**
 * Messages that wait for room in the inflight window or in the socket, first in first out. It decides nothing about its
 * bounds (`outbound-publish` does); it counts what live traffic holds so that the bound costs no walk.
 *
 * An array with a moving head: shifting an array moves everything behind, and a linked list allocates.
 */
export class OutboundBacklog {
  #items: (OutboundMessage | undefined)[] = NOTHING;
  #head = 0;
  #liveCount = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }
  get liveCount(): number {
    return this.#liveCount;
  }

  push(outbound: OutboundMessage): void {
    if (this.#items === NOTHING) this.#items = [];
    this.#items.push(outbound);
    if (outbound.live) this.#liveCount++;
  }

  /** The first that was neither settled nor withdrawn while it waited. */
  peek(): OutboundMessage | undefined {
    for (;;) {
      const outbound = this.#items[this.#head];
      if (outbound === undefined || isDue(outbound)) return outbound;
      this.#drop();
    }
  }

  /** Removes what `peek` returned. */
  shift(): void {
    assert(this.#head < this.#items.length, 'shift follows a peek that found something');
    this.#drop();
  }

  /** In their order. */
  messages(): OutboundMessage[] {
    return this.#items.slice(this.#head) as OutboundMessage[];
  }

  /** Everything that waits, and forgets it. */
  takeAll(): OutboundMessage[] {
    const waiting = this.messages();
    this.#items = NOTHING;
    this.#head = 0;
    this.#liveCount = 0;
    return waiting;
  }

  #drop(): void {
    if (this.#items[this.#head]?.live === true) this.#liveCount--;
    // The array must not keep it alive.
    this.#items[this.#head] = undefined;
    this.#head++;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

/** Nobody pushes to it: a list is made by the first message that waits. */
const NOTHING: (OutboundMessage | undefined)[] = [];

/** One that was sent on an earlier connection is finished in any case: the client may hold half of the exchange. */
function isDue(outbound: OutboundMessage): boolean {
  if (outbound.phase === OutboundPhase.SETTLED) return false;
  return outbound.packetId !== 0 || outbound.source?.withdrawn !== true;
}
