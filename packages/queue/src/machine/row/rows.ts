/**
 * The machine's random-access state during one apply. Everything a batch of entries needs was fetched before
 * (`neededRows`, then `furtherRows`), so reads are synchronous and `apply` stays a pure function of state and entry.
 * Writes are seen by later reads of the same batch and reach the engine in one atomic write with the applied index.
 * Keys are relative to the partition: the store puts its own prefix before them. They are read at once and not kept.
 */
export interface Rows {
  get(key: Uint8Array): Uint8Array | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  /** Under a key that no row ever had: one that is deleted again before it was written need not be written at all. */
  create(key: Uint8Array, value: Uint8Array): void;
  /** Of what the machine has in memory itself, once a batch: nobody reads the row before the next start. `undefined`: it is gone. */
  save(key: Uint8Array, value: Uint8Array | undefined, named?: NamedRow): void;
  delete(key: Uint8Array): void;
  /** As `delete`, of a row that was created: no other will have its key, so nobody looks for it again. */
  end(key: Uint8Array): void;
}

/** Names a row to be fetched, any number of times. The key is read at once and not kept. */
export type WantRow = (key: Uint8Array) => void;

/** Whoever has a row in memory for long, and saves it often: the host keeps the row's name there and makes it once. */
export interface NamedRow {
  rowName: string | undefined;
}
