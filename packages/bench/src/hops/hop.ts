/**
 * One step of a message's way, alone: what it costs when nothing else runs, beside what the machine can do at best with
 * the same bytes. The whole never costs less than its hops together; where it costs much more, the rest is between them.
 */
export interface Hop {
  /** Letters, digits and hyphens, its group first: `codec-decode-256`. */
  readonly name: string;
  /** What a message goes through. */
  readonly what: string;
  /** The hop that is the machine's best at the same, measured in the same run. */
  readonly limit?: string;
  /** `directory` is empty and its own. */
  prepare(directory: string): PreparedHop | Promise<PreparedHop>;
}

export interface PreparedHop {
  /** How many messages a round is. */
  readonly messages: number;
  round(): void | Promise<void>;
  close?(): Promise<void>;
}

/** A task, and an image. */
export const SMALL_BYTES = 256;
export const IMAGE_BYTES = 256 * 1024;
/** What comes in one turn under load. */
export const TURN_MESSAGES = 64;
/** What a socket gives at once. */
export const CHUNK_BYTES = 64 * 1024;
