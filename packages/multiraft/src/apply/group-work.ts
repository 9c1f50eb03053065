import { type Entry, EntryKind } from '@sluice/raft/entry';
import { isDamage } from '@sluice/storage/entry-log/log-errors';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { Replica } from '../replica/replica.ts';
import type { GroupRows, RowBatch } from './row-batch.ts';

/**
 * What one group brings to a batch: of its committed entries those that are not applied, as many as a batch takes.
 *
 * The log has them all, but to read there what was written a moment ago would put a trip to the disk between a commit and
 * its answer. So the replica's memory is asked first, and nearly always has all of it; the rest is read, by who has fallen
 * behind or begins. Damage there stops nothing but its group, and that only where the damage is: what stands before it was
 * acknowledged, is whole, and is applied.
 */
export class GroupWork {
  readonly replica: Replica;
  readonly rows: GroupRows;
  entries: Entry[] = [];
  /** Data of the normal entries, in order: what machines are asked about. */
  commands: Uint8Array[] = [];
  readonly effects: unknown[] = [];
  membershipMoved = false;
  #bytes = 0;

  /** Entries and bytes of one batch: long enough to share the fetch and the write, short enough to answer soon. */
  static readonly ENTRIES_MAX = 1024;
  static readonly BYTES_MAX = 8 * 1024 * 1024;

  constructor(replica: Replica, rows: RowBatch) {
    this.replica = replica;
    this.rows = rows.view(replica.groupId);
  }

  /** Takes what is in memory. False: what follows it has to be read. */
  takeRecent(): boolean {
    while (!this.#isComplete) {
      const entry = this.replica.recent.get(this.#nextIndex);
      if (entry === undefined) return false;
      this.#take(entry);
    }
    return true;
  }

  /**
   * Takes the rest from the log; after an error it may be asked to go on. Throws damage (`isDamage`) when the very first
   * entry that is to be applied has it.
   */
  async readRest(log: EntryLog): Promise<void> {
    while (!this.takeRecent()) {
      const entries = await this.#readUpToDamage(log);
      if (entries.length === 0) break;
      for (const entry of entries) this.#take(entry);
    }
  }

  /** Nothing when the next entry is damaged, and others came before it. */
  async #readUpToDamage(log: EntryLog): Promise<Entry[]> {
    const { groupId, committedIndex } = this.replica;
    const [first, bytesMax] = [this.#nextIndex, GroupWork.BYTES_MAX - this.#bytes];
    try {
      return await log.read(groupId, first, committedIndex, bytesMax);
    } catch (cause) {
      if (!isDamage(cause)) throw cause;
    }
    try {
      return await log.readNear(groupId, first, committedIndex, bytesMax);
    } catch (cause) {
      if (!isDamage(cause) || this.entries.length === 0) throw cause;
      return [];
    }
  }

  get #nextIndex(): number {
    return this.replica.appliedIndex + 1 + this.entries.length;
  }

  /** All that is committed, or as much as a batch takes. */
  get #isComplete(): boolean {
    if (this.#nextIndex > this.replica.committedIndex) return true;
    return this.entries.length >= GroupWork.ENTRIES_MAX || this.#bytes >= GroupWork.BYTES_MAX;
  }

  #take(entry: Entry): void {
    this.entries = pushed(this.entries, entry);
    if (entry.kind === EntryKind.NORMAL) this.commands = pushed(this.commands, entry.data);
    this.#bytes += entry.data.length;
  }
}

/** A group has nearly always one entry in a batch, and an array that is pushed to from nothing takes room for seventeen. */
function pushed<T>(list: T[], item: T): T[] {
  if (list.length === 0) return [item];
  list.push(item);
  return list;
}
