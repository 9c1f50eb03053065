/**
 * The three kinds of failure are kept apart: a *bug* is an `AssertionFailed`; an *expected refusal* is a value in a
 * reply, carrying one of the codes below; an *environment failure* is a `SluiceError` thrown once at a port.
 */
export class SluiceError extends Error {
  /** Stable, machine-readable, e.g. `ENTRY_LOG_DAMAGED`. */
  readonly code: string;
  /** What the reader should do next; printed after the message by the CLI and the log. */
  readonly hint: string;
  readonly retriable: boolean;

  constructor(code: string, message: string, options: { hint?: string; retriable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SluiceError';
    this.code = code;
    this.hint = options.hint ?? '';
    this.retriable = options.retriable ?? false;
  }
}

/** What is wrong, and what to do about it where that is known: for pages that operators read. */
export function withHint(error: Error): string {
  return error instanceof SluiceError && error.hint !== '' ? `${error.message}. ${error.hint}` : error.message;
}
