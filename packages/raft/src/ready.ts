import type { Entry, HardState, SnapshotMeta } from './entry.ts';
import type { Message } from './message.ts';

/**
 * What the core wants done, in this order; the host owns all I/O.
 *
 * 1. `messages` may leave at once, in parallel to the writes below: a leader's appends do not wait for its own disk.
 * 2. `snapshot`, when present, replaces the log and the machine's state.
 * 3. `entries` (the first may truncate an uncommitted tail) and `hardState` go to the disk in ONE synced write, shared
 *    with every other group of the node.
 * 4. When that write is durable: send `messagesAfterPersist` (vote requests, granted votes, append responses), then call
 *    `persisted(term, index)` with the last of `entries`, or with the snapshot when there are none; a Ready with neither
 *    is not reported. Writes finish in the order of their Readys. Each write is reported, in order; one sync that covers
 *    several Readys reports each. By then the `LogReader` shows the write. Reporting a write that was overwritten since
 *    is harmless (the A-B-A problem): the core knows which writes followed it.
 *    A Ready with `messagesAfterPersist` always brings something to write, so it never depends on an earlier one alone.
 * 5. `committed` are indexes to apply, in order; all are durable here. Fetch the entries (recent ones from memory, others
 *    from the log), apply, then call `applied(index)`.
 *
 * `ready()` moves everything it returns out of the core, and may be called again before the write has finished. A commit
 * index alone never makes a `hardState`: it is not worth a sync and goes along with the next write.
 */
export interface Ready {
  hardState: HardState | undefined;
  entries: Entry[];
  snapshot: SnapshotMeta | undefined;
  messages: Message[];
  messagesAfterPersist: Message[];
  /** Inclusive; `first > last` means nothing. */
  committed: { first: number; last: number };
  readStates: ReadState[];
}

/** A linearizable read may be served once the machine has applied `index`. */
export interface ReadState {
  context: number;
  index: number;
}
