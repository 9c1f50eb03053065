import { join } from 'node:path';
import type { Logger } from '@sluice/common/logger';
import { decodeMembership, encodeMembership } from '@sluice/raft/conf-change';
import type { KeyValue } from '@sluice/storage/engine';
import { type ImageFile, imageFileName, listImages, writeImage } from '@sluice/storage/image-file';
import type { ApplyLoop } from '../apply/apply-loop.ts';
import type { Replica } from '../replica/replica.ts';
import { groupRange, machineKey } from './keyspace.ts';
import type { NodeStorage } from './node-storage.ts';

/**
 * Images of machines: what makes it safe to give a log's front back. The engine alone would not do, because it is
 * derived: without the entries it was derived from, a damaged engine could not be made again.
 *
 * The cut is taken between two batches, when the engine's rows and the applied index agree, as a snapshot iterator;
 * applying goes on while it is written. Only then may the log be compacted to the image's index. Of a group that stopped
 * none is taken: the rows of its last batch were given up, so its applied index says more than the engine holds.
 */
export class ImageKeeper {
  readonly #storage: NodeStorage;
  readonly #applyLoop: ApplyLoop;
  readonly #logger: Logger;
  /** Bytes of the newest image a group, as far as this process wrote one. */
  readonly #sizes = new Map<number, number>();
  /** Index of the newest image a group, as far as this process wrote one. */
  readonly #newest = new Map<number, number>();
  /** Files that transfers read, and how many do: they stay though newer ones are there. */
  readonly #pinned = new Map<string, number>();
  #last: Promise<unknown> = Promise.resolve();
  /** The log is not compacted beyond it: other members need what follows. Set by whoever knows them. */
  logFloor: (replica: Replica) => number = () => Number.POSITIVE_INFINITY;

  static readonly CHUNK_ROWS = 1024;
  /** A transfer takes a new image when more was applied since the newest: the receiver would apply it all once more. */
  static readonly STALE_AFTER_BYTES = 32 * 1024 * 1024;
  static readonly STALE_AFTER_ENTRIES = 20_000;

  constructor(options: { storage: NodeStorage; applyLoop: ApplyLoop; logger: Logger }) {
    this.#storage = options.storage;
    this.#applyLoop = options.applyLoop;
    this.#logger = options.logger;
  }

  sizeBytes(groupId: number): number {
    return this.#sizes.get(groupId) ?? 0;
  }

  /**
   * Writes an image as of now, then compacts the log to it, as far as nobody needs it. No image is written when nothing
   * was applied since the last, or when the group stopped.
   */
  take(replica: Replica): Promise<void> {
    return this.#inTurn(() => this.#take(replica, this.#storage.entryLog.firstIndex(replica.groupId)));
  }

  /** Writes an image even when nothing was applied since the last: that one is damaged. */
  renew(replica: Replica): Promise<void> {
    return this.#inTurn(() => this.#take(replica, 0));
  }

  /** Resolves when no image is being written. */
  async settled(): Promise<void> {
    await this.#last;
  }

  /**
   * An image that the log continues, for a transfer: the newest there is, or a new one when there is none, when it is not
   * to be trusted (`anew`), or when much was applied since. It stays until `unpin`. `chosen` is called with its index
   * before the log can be compacted again. Undefined when the group stopped.
   */
  pin(replica: Replica, anew: boolean, chosen: (index: number) => void): Promise<ImageFile | undefined> {
    return this.#inTurn(async () => {
      if (anew) await this.#take(replica, 0);
      let image = await this.#newestFor(replica);
      if (image === undefined || this.#isStale(replica, image.header.index)) {
        await this.#take(replica, 0);
        image = await this.#newestFor(replica);
      }
      if (image === undefined) return undefined;
      this.#pinned.set(image.path, (this.#pinned.get(image.path) ?? 0) + 1);
      chosen(image.header.index);
      return image;
    });
  }

  unpin(path: string): void {
    const left = (this.#pinned.get(path) ?? 1) - 1;
    if (left > 0) this.#pinned.set(path, left);
    else this.#pinned.delete(path);
  }

  /** The group was wiped or its state replaced: what this process knew of its images is void. */
  forget(groupId: number): void {
    this.#newest.delete(groupId);
    this.#sizes.delete(groupId);
  }

  /** Its log must reach down to it, and it must know its members: one of a newcomer that was not told yet does not. */
  async #newestFor({ groupId }: Replica): Promise<ImageFile | undefined> {
    const { entryLog, files, imageDirectory } = this.#storage;
    const { images } = await listImages(imageDirectory, files, groupId);
    return images.find(
      ({ header }) =>
        header.index >= entryLog.firstIndex(groupId) - 1 &&
        entryLog.term(groupId, header.index) === header.term &&
        decodeMembership(header.meta).voters.length > 0,
    );
  }

  #isStale({ groupId, appliedIndex }: Replica, index: number): boolean {
    const { entryLog } = this.#storage;
    let bytes = 0;
    for (let at = index + 1; at <= appliedIndex; at++) {
      bytes += entryLog.sizeBytes(groupId, at);
      if (bytes > ImageKeeper.STALE_AFTER_BYTES || at - index > ImageKeeper.STALE_AFTER_ENTRIES) return true;
    }
    return false;
  }

  /** One at a time: two of one group at the same index would write the same file. */
  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#last.then(step);
    this.#last = result.catch(() => {});
    return result;
  }

  async #take(replica: Replica, indexMin: number): Promise<void> {
    const { engine, files, imageDirectory } = this.#storage;
    const { groupId } = replica;
    const range = groupRange(groupId);
    const cut = await this.#applyLoop.betweenBatches(() => {
      const { appliedIndex: index, appliedTerm: term } = replica;
      const isSound = replica.stopped === undefined && replica.impaired === undefined && !replica.removed;
      const isSettled = replica.installing === undefined && replica.installed === undefined;
      if (!isSound || !isSettled || index < indexMin) return undefined;
      if (indexMin > 0 && index === this.#newest.get(groupId)) {
        this.#compact(replica, index);
        return undefined;
      }
      return {
        index,
        term,
        membership: replica.membership,
        rows: engine.snapshotScan(range.from, range.to, ImageKeeper.CHUNK_ROWS),
      };
    });
    if (cut === undefined) return;
    const counted = { bytes: 0 };
    const path = join(imageDirectory, imageFileName(groupId, cut.index));
    const header = { groupId, index: cut.index, term: cut.term, meta: encodeMembership(cut.membership) };
    try {
      await writeImage(path, header, machineRows(cut.rows, counted), files);
    } finally {
      // What cannot begin to be written is not read either.
      await cut.rows.end();
    }
    // The engine must not fall behind its image after a power loss: that would only cost a reload, but for nothing.
    await engine.write([], { sync: true });
    this.#newest.set(groupId, cut.index);
    this.#compact(replica, cut.index);
    this.#sizes.set(groupId, counted.bytes);
    await this.#dropOlder(groupId, cut.index);
    this.#logger.debug({ group: groupId, index: cut.index, bytes: counted.bytes }, 'image written, log compacted');
  }

  #compact(replica: Replica, covered: number): void {
    const { entryLog } = this.#storage;
    const { groupId } = replica;
    const index = Math.min(covered, this.logFloor(replica));
    if (replica.removed || index < entryLog.firstIndex(groupId)) return;
    const term = entryLog.term(groupId, index);
    if (term !== undefined) entryLog.compact(groupId, index, term);
  }

  async #dropOlder(groupId: number, index: number): Promise<void> {
    const { files, imageDirectory } = this.#storage;
    const { images } = await listImages(imageDirectory, files, groupId);
    for (const { header, path } of images) {
      if (header.index < index && !this.#pinned.has(path)) await files.unlink(path);
    }
  }
}

async function* machineRows(rows: AsyncIterable<KeyValue[]>, counted: { bytes: number }): AsyncIterable<KeyValue[]> {
  for await (const chunk of rows) {
    for (const { key, value } of chunk) counted.bytes += key.length + value.length;
    yield chunk.map(({ key, value }) => ({ key: machineKey(key), value }));
  }
}
