/**
 * Rows that were written a moment ago, in front of the engine. An entry's rows are wanted again soon: its records are
 * handed out, then settled in several steps, and each would ask RocksDB, on another thread, for what this one wrote.
 *
 * Written through: a batch puts its rows here in the turn in which it is applied, and nothing else writes rows, so what is
 * here is what the engine holds, or holds as soon as the write under way is done. Rows that are only read do not come
 * in: a walk through a long backlog would push out what is in use.
 *
 * Of a deleted row it is remembered that there is none: where consumers keep up, each value of a last-value queue is
 * gone when its key's next one comes, and the engine would be asked in vain for every message.
 *
 * Bound: `GONE_MAX` names of deleted rows, and `BYTES_MAX`, keys and a row's share of the map included. Two generations: what is used lives on in the young one,
 * the old one goes as a whole when the young one is full.
 * @hotpath
 */
export class RowCache {
  #young = new Map<string, Uint8Array>();
  #old = new Map<string, Uint8Array>();
  #youngBytes = 0;
  #youngGone = new Set<string>();
  #oldGone = new Set<string>();

  /** About twenty thousand rows of a hundred records each. */
  static readonly BYTES_MAX = 8 * 1024 * 1024;
  /** What the maps need for a row besides its bytes; measured. */
  static readonly ROW_BYTES = 200;
  /** Twice ten thousand devices; three megabytes. */
  static readonly GONE_MAX = 32_768;

  get(id: string): Uint8Array | undefined {
    const young = this.#young.get(id);
    if (young !== undefined) return young;
    const old = this.#old.get(id);
    if (old !== undefined) this.set(id, old);
    return old;
  }

  /** The row was deleted lately, and not written since. */
  isGone(id: string): boolean {
    return this.#youngGone.has(id) || this.#oldGone.has(id);
  }

  set(id: string, value: Uint8Array): void {
    const before = this.#young.get(id);
    // What is here is not among the deleted.
    if (before === undefined) this.#comeBack(id);
    this.#old.delete(id);
    this.#put(id, value, before === undefined ? costOf(id, value) : value.length - before.length);
  }

  /** No row ever had this name: it is not here, and not among the deleted. */
  add(id: string, value: Uint8Array): void {
    this.#put(id, value, costOf(id, value));
  }

  #put(id: string, value: Uint8Array, growthBytes: number): void {
    this.#young.set(id, value);
    this.#youngBytes += growthBytes;
    if (this.#youngBytes <= RowCache.BYTES_MAX / 2) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }

  delete(id: string): void {
    this.drop(id);
    this.#youngGone.add(id);
    if (this.#youngGone.size < RowCache.GONE_MAX / 2) return;
    this.#oldGone = this.#youngGone;
    this.#youngGone = new Set();
  }

  /** It is gone, and nobody will look for it. */
  drop(id: string): void {
    const young = this.#young.get(id);
    if (young === undefined) {
      this.#old.delete(id);
      return;
    }
    this.#young.delete(id);
    this.#youngBytes -= costOf(id, young);
  }

  #comeBack(id: string): void {
    this.#youngGone.delete(id);
    this.#oldGone.delete(id);
  }

  /** The group stopped, or its rows are replaced by those of an image. */
  forgetGroup(groupId: number): void {
    for (const generation of [this.#young, this.#old]) {
      for (const id of generation.keys()) if (groupOf(id) === groupId) this.delete(id);
    }
    for (const generation of [this.#youngGone, this.#oldGone]) {
      for (const id of generation) if (groupOf(id) === groupId) generation.delete(id);
    }
  }
}

function groupOf(id: string): number {
  return (id.charCodeAt(0) << 8) | id.charCodeAt(1);
}

function costOf(id: string, value: Uint8Array): number {
  return RowCache.ROW_BYTES + id.length + value.length;
}
