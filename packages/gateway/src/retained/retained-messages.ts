/**
 * What the gateway needs of the retained messages, which it does not keep: those that match a filter, a page at a time.
 * Everything is in it that was acknowledged before the first `more`.
 */
export interface RetainedMessages {
  /** Nothing is read before `more`. */
  open(filter: string, listener: RetainedListener): RetainedPages;
}

export interface RetainedPages {
  /** One `page` follows, later. Not to be called again before it has, nor after the last. */
  more(): void;
  /** Nothing follows any more. */
  close(): void;
}

export interface RetainedListener {
  /** In the form of queue records. May be empty. */
  page(records: readonly Uint8Array[], isLast: boolean): void;
}
