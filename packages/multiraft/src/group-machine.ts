import type { Membership } from '@sluice/raft/entry';

/**
 * What a replicated machine looks like to the host that runs it, whatever it keeps. The order of one batch of entries:
 * `neededRows` and, once those are fetched, `furtherRows` say which rows to bring; then `apply` runs once an entry,
 * synchronously, as a pure function of state, rows and entry; `flush` writes the resident state that changed. All rows
 * of the batch and the new applied index reach the engine in one atomic write, so a crash between two batches replays
 * entries and never half of one.
 */
export interface GroupMachine<Reply, Effect> {
  neededRows(commands: readonly Uint8Array[], want: WantRow): void;
  furtherRows(commands: readonly Uint8Array[], rows: RowAccess, want: WantRow): void;
  /** @throws SluiceError when the entry was written by a newer version: the group stops, it never guesses. */
  apply(index: number, command: Uint8Array, rows: RowAccess, effects: Effect[]): Reply;
  flush(rows: RowAccess): void;
}

/** Names a row to be brought, any number of times. The key is read at once and not kept. */
export type WantRow = (key: Uint8Array) => void;

/** Whoever has a row in memory for long, and saves it often: the host keeps the row's name there and makes it once. */
export interface NamedRow {
  rowName: string | undefined;
}

/** Synchronous rows of one group; reads see earlier writes of the same batch. Only prefetched keys may be read. No key is kept. */
export interface RowAccess {
  get(key: Uint8Array): Uint8Array | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  /** Under a key that no row of the group ever had. */
  create(key: Uint8Array, value: Uint8Array): void;
  /** Of what the machine has in memory itself, once a batch: nobody reads the row before the next start. `undefined`: it is gone. */
  save(key: Uint8Array, value: Uint8Array | undefined, named?: NamedRow): void;
  delete(key: Uint8Array): void;
  /** As `delete`, of a row that was created: no other will have its key. Who looks for it all the same asks the engine. */
  end(key: Uint8Array): void;
}

/** Told what happened to its group, on the host's turn. Must not throw. */
export interface GroupListener<Reply, Effect, Machine = unknown> {
  /**
   * An entry was applied: it is committed, so a majority has it on disk. `token` is what `propose` was given; undefined
   * for entries of another leader, of an earlier life, or without one.
   */
  applied(index: number, reply: Reply, token: unknown): void;
  /**
   * The end of a proposal that `applied` will not name. `not-leader`: certainly not stored, propose it to the leader.
   * `unknown`: leadership ended and it may be stored or not. `unavailable`: this node serves nothing more; it may be
   * stored or not.
   */
  dropped(token: unknown, reason: 'not-leader' | 'unknown' | 'unavailable'): void;
  /** After the batch has reached the engine: rows read from now on show it. */
  effects(effects: readonly Effect[]): void;
  /** An entry could not be applied: the group serves nothing more in this life. */
  stopped(cause: Error): void;
  /** Leadership of this node over the group began (and every earlier entry is applied) or ended. */
  leadership(leads: boolean): void;
  /** Who leads, as far as this node knows; 0: nobody known. */
  leaderMoved(leader: number, term: number): void;
  /** A change of membership was committed and applied here; `index` is its entry. */
  membershipMoved(membership: Membership, index: number): void;
  /** A snapshot replaced the machine: everything derived from the former one is void. */
  restored(machine: Machine): void;
}
