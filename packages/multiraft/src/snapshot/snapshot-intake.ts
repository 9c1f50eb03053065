import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import { encodeMembership } from '@sluice/raft/conf-change';
import type { Entry, SnapshotMeta } from '@sluice/raft/entry';
import type { KeyValue } from '@sluice/storage/engine';
import { EntrySpool } from '@sluice/storage/entry-spool';
import { writeImage } from '@sluice/storage/image-file';
import { entriesCrc, rowsCrc } from './snapshot-chunk.ts';
import { incomingName, spoolName } from './snapshot-files.ts';
import type { InstallStorage } from './snapshot-install.ts';

/**
 * What arrives of one snapshot, checked and written beside the replica, chunk by chunk: rows as an image under another
 * name, live entries as a spool. Memory holds one chunk. Nothing of it counts until `finish`, and what an error or a
 * crash leaves is removed.
 *
 * @throws SluiceError `SNAPSHOT_REFUSED` for what does not fit together, `IMAGE_FULL` and the system's errors
 */
export class SnapshotIntake {
  readonly incoming: string;
  readonly spool: string;
  readonly #storage: InstallStorage;
  readonly #snapshot: SnapshotMeta;
  readonly #freeBytes: () => Promise<number>;
  readonly #rows = new Handoff<KeyValue[]>();
  readonly #image: Promise<unknown>;
  #spoolFile: EntrySpool | undefined;
  #spoolSynced = 0;
  #lastKey: Uint8Array | undefined;
  #lastIndex = 0;
  #rowCount = 0;
  #entryCount = 0;
  #bytes = 0;
  #bytesLooked = 0;
  #ended = false;

  /** Left free for everybody else, besides what the installation writes once more. */
  static readonly FREE_BYTES_MIN = 64 * 1024 * 1024;
  /** The free space is looked at, and the spool synced, each time this much has arrived. */
  static readonly LOOK_BYTES = 16 * 1024 * 1024;

  constructor(
    storage: InstallStorage,
    groupId: number,
    snapshot: SnapshotMeta,
    number: number,
    freeBytes: () => Promise<number>,
  ) {
    const { index, term, membership } = snapshot;
    this.#storage = storage;
    this.#snapshot = snapshot;
    this.#freeBytes = freeBytes;
    this.incoming = incomingName(groupId, index, number);
    this.spool = spoolName(groupId, index, number);
    const header = { groupId, index, term, meta: encodeMembership(membership) };
    const path = join(storage.imageDirectory, this.incoming);
    this.#image = writeImage(path, header, this.#rows, storage.files);
    // Whoever waits for it hears of it; until then nobody does.
    this.#image.catch(() => {});
  }

  get bytes(): number {
    return this.#bytes;
  }

  async rows(rows: readonly KeyValue[], crc: number): Promise<void> {
    if (rowsCrc(rows) !== crc) throw refused('a chunk of rows does not match its checksum');
    if (this.#spoolFile !== undefined) throw refused('rows come before entries');
    for (const { key, value } of rows) {
      if (this.#lastKey !== undefined && Buffer.compare(this.#lastKey, key) >= 0) throw refused('rows must ascend');
      this.#lastKey = key;
      this.#bytes += key.length + value.length;
    }
    this.#rowCount += rows.length;
    await this.#checkSpace();
    await Promise.race([this.#rows.put([...rows]), this.#imageEndsEarly()]);
  }

  async entries(entries: readonly Entry[], crc: number): Promise<void> {
    if (entriesCrc(entries) !== crc) throw refused('a chunk of entries does not match its checksum');
    for (const { index, term, data } of entries) {
      if (index <= this.#lastIndex) throw refused('entries must ascend');
      if (index > this.#snapshot.index || term > this.#snapshot.term)
        throw refused('an entry is not below the snapshot');
      this.#lastIndex = index;
      this.#bytes += data.length;
    }
    this.#entryCount += entries.length;
    await this.#checkSpace();
    const spool = await this.#openSpool();
    await spool.add(entries);
    if (spool.bytes - this.#spoolSynced < SnapshotIntake.LOOK_BYTES) return;
    this.#spoolSynced = spool.bytes;
    await spool.sync();
  }

  /** All of it is here, and durable when it resolves. */
  async finish(rows: number, entries: number): Promise<void> {
    if (rows !== this.#rowCount || entries !== this.#entryCount) {
      throw refused(`${this.#rowCount} rows and ${this.#entryCount} entries came of ${rows} and ${entries}`);
    }
    this.#ended = true;
    this.#rows.end();
    await this.#image;
    await (await this.#openSpool()).finish();
    await this.#storage.files.syncDirectory(this.#storage.imageDirectory);
  }

  /** Removes what was written. */
  async discard(): Promise<void> {
    const { files, imageDirectory } = this.#storage;
    this.#rows.fail(refused('the transfer ended early'));
    await this.#image.catch(() => {});
    await this.#spoolFile?.close();
    await files.unlink(join(imageDirectory, this.incoming));
    await files.unlink(join(imageDirectory, this.spool));
  }

  async #openSpool(): Promise<EntrySpool> {
    const { files, imageDirectory } = this.#storage;
    this.#spoolFile ??= await EntrySpool.create(join(imageDirectory, this.spool), files);
    return this.#spoolFile;
  }

  /** What arrived is written a second time when it is installed. */
  async #checkSpace(): Promise<void> {
    if (this.#bytesLooked > 0 && this.#bytes - this.#bytesLooked < SnapshotIntake.LOOK_BYTES) return;
    this.#bytesLooked = Math.max(1, this.#bytes);
    const free = await this.#freeBytes();
    if (free < this.#bytes + SnapshotIntake.FREE_BYTES_MIN) throw refused(`only ${free} bytes are free on the disk`);
  }

  async #imageEndsEarly(): Promise<void> {
    await this.#image;
    if (!this.#ended) throw refused('the image ended before its rows');
  }
}

export function refused(reason: string): SluiceError {
  return new SluiceError('SNAPSHOT_REFUSED', reason);
}

/** One value at a time, from who has it to who asks for it; `put` resolves when the next one is wanted. */
class Handoff<T> implements AsyncIterable<T> {
  #value: { value: T; taken: () => void } | undefined;
  #over: { error: Error | undefined } | undefined;
  #wake: () => void = () => {};

  put(value: T): Promise<void> {
    return new Promise((taken) => {
      this.#value = { value, taken };
      this.#wake();
    });
  }

  end(): void {
    this.#over ??= { error: undefined };
    this.#wake();
  }

  fail(error: Error): void {
    this.#over ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const { error } = this.#over ?? {};
      if (error !== undefined) throw error;
      const item = this.#value;
      if (item !== undefined) {
        this.#value = undefined;
        yield item.value;
        item.taken();
        continue;
      }
      if (this.#over !== undefined) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
