/**
 * What the core may ask of the durable log, without waiting: terms and sizes, never payloads. The core keeps only
 * what is not yet durable; a payload passes through it once, on its way to the disk.
 */
export interface LogReader {
  /** Index after the last compacted one: `snapshotIndex + 1` when nothing else is stored. */
  firstIndex(): number;
  /** Index of the last durable entry, or `firstIndex() - 1`. */
  lastIndex(): number;
  /** Term of an entry from `firstIndex() - 1` to `lastIndex()`; undefined outside. */
  term(index: number): number | undefined;
  /** Bytes of `data` of one durable entry; bounds the size of an append. */
  sizeBytes(index: number): number;
}
