/**
 * The key-value port under the derived state. Keys are ordered bytewise, not empty, and do not start with 0xff, which is
 * the engine's own. Nothing above it knows RocksDB.
 * Rules from measurement: never seek from the start of a consumed prefix (seek at the known head), and never call
 * after close (the engine asserts; the native binding would crash the process).
 */
export interface Engine {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** One answer a key, in order. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /**
   * Atomic, in the order of the calls. `sync` also makes every earlier write durable. An undefined value deletes. Without
   * sync a crash may lose the last writes, never one and not a later one.
   * @throws SluiceError `STATE_FULL`, `FILES_EXHAUSTED`, retriable: write the same again until it succeeds, nothing else in its place.
   */
  write(batch: readonly KeyValueWrite[], options: { sync: boolean }): Promise<void>;
  /** Rows with from <= key < to, ascending, at most `limit`, read in one go. */
  scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<KeyValue[]>;
  /** A consistent view of [from, to) at the moment of the call, in chunks of about `chunkRows`. */
  snapshotScan(from: Uint8Array, to: Uint8Array, chunkRows: number): SnapshotScan;
  /**
   * Removes a consumed range and gives its space back; durable when it resolves, if it was large. Not atomic. Off the
   * event loop, one range at a time: do not wait for it on the data path.
   */
  clearRange(from: Uint8Array, to: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Until it was read, or its loop was left, the engine keeps what it shows: who may not come to read it ends it. */
export interface SnapshotScan extends AsyncIterable<KeyValue[]> {
  /** Not while a step is under way. Nothing happens when it is over already. */
  end(): Promise<void>;
}

export interface KeyValue {
  key: Uint8Array;
  value: Uint8Array;
}
export interface KeyValueWrite {
  readonly key: Uint8Array;
  /**
   * The key as latin1, from who has it and changes neither row nor value any more: whoever gathers writes takes it
   * over, with its `isNew`, and asks for no bytes of the key.
   */
  readonly id?: string;
  value: Uint8Array | undefined;
  /** No row had this key before: whoever gathers writes may forget one that is deleted before it was handed on. */
  isNew?: boolean;
}
