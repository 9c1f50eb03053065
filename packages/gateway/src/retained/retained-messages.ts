/**
 * What the gateway needs of the retained messages, which it does not keep: those that match a filter, a page at a time.
 * Everything is in it that was acknowledged before the first `more`.
 */
export interface RetainedMessages {
  /** Nothing is read before `more`. */
  open(filter: string, listener: RetainedListener): RetainedPages;
}

export interface RetainedPages {
  /** One `page` follows, later, or `stalled`. Not to be called again before it has, nor after the last. */
  more(): void;
  /** Something of that topic may come. */
  mayBring(topic: string): boolean;
  /** Nothing follows any more. */
  close(): void;
}

export interface RetainedListener {
  /** In the form of queue records. May be empty. */
  page(records: readonly Uint8Array[], isLast: boolean): void;
  /** What is left cannot be had now: no page follows before `again`, and another `more` after that. */
  stalled(): void;
  again(): void;
}
