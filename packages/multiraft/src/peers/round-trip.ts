import type { Histogram } from '@sluice/common/metrics';
import type { Message } from '@sluice/raft/message';
import type { GroupMessage } from '@sluice/rpc/contract/raft';

/**
 * How long one peer takes to answer an append: the way there, its synced write, the way back. Which node makes commits
 * slow cannot be seen in the time of a commit, which ends with the fastest majority.
 *
 * Nothing here is a call that could be timed: appends and answers pass each other in frames. To keep a time for each
 * would cost every append; so one is followed at a time, and the next at the earliest a tick later. Between those an
 * append costs one comparison.
 * @hotpath
 */
export class RoundTrip {
  readonly #seconds: Histogram;
  /** A tick has passed since the last one was followed. */
  #isDue = true;
  #sentMs = 0;
  /** Undefined: none is followed. */
  #groupId: number | undefined;
  #term = 0;
  #index = 0;

  /** Not answered by then, it never will be: its connection broke, or its leader leads no more. */
  static readonly GIVEN_UP_MS = 10_000;

  constructor(seconds: Histogram) {
    this.#seconds = seconds;
  }

  /** Whether the next append is to be followed. */
  get wantsOne(): boolean {
    return this.#isDue && this.#groupId === undefined;
  }

  tick(nowMs: number): void {
    this.#isDue = true;
    if (nowMs - this.#sentMs > RoundTrip.GIVEN_UP_MS) this.#groupId = undefined;
  }

  follow(groupId: number, { term, last }: Extract<Message, { type: 'append' }>, nowMs: number): void {
    this.#isDue = false;
    this.#sentMs = nowMs;
    this.#groupId = groupId;
    this.#term = term;
    this.#index = last;
  }

  /** What the peer sent. */
  hear(messages: readonly GroupMessage[], nowMs: number): void {
    if (this.#groupId === undefined) return;
    for (let i = 0; i < messages.length; i++) {
      const { groupId, message } = messages[i] as GroupMessage;
      if (groupId !== this.#groupId || message.type !== 'append-response' || message.term !== this.#term) continue;
      if (!message.rejected && message.index < this.#index) continue;
      if (!message.rejected) this.#seconds.observe((nowMs - this.#sentMs) / 1000);
      this.#groupId = undefined;
      return;
    }
  }
}
