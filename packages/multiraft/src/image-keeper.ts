import { join } from 'node:path';
import type { Logger } from '@sluice/common/logger';
import { encodeMembership } from '@sluice/raft/conf-change';
import type { KeyValue } from '@sluice/storage/engine';
import { imageFileName, listImages, writeImage } from '@sluice/storage/image-file';
import type { ApplyLoop } from './apply-loop.ts';
import { groupRange, machineKey } from './keyspace.ts';
import type { NodeStorage } from './node-storage.ts';
import type { Replica } from './replica.ts';

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
  #last: Promise<void> = Promise.resolve();

  static readonly CHUNK_ROWS = 1024;

  constructor(options: { storage: NodeStorage; applyLoop: ApplyLoop; logger: Logger }) {
    this.#storage = options.storage;
    this.#applyLoop = options.applyLoop;
    this.#logger = options.logger;
  }

  sizeBytes(groupId: number): number {
    return this.#sizes.get(groupId) ?? 0;
  }

  /**
   * Writes an image as of now, then compacts the log to it. Nothing happens when nothing was applied since the last, or
   * when the group stopped.
   */
  take(replica: Replica): Promise<void> {
    return this.#inTurn(() => this.#take(replica, this.#storage.entryLog.firstIndex(replica.groupId)));
  }

  /** Writes an image even when nothing was applied since the last: that one is damaged. */
  renew(replica: Replica): Promise<void> {
    return this.#inTurn(() => this.#take(replica, 0));
  }

  /** One at a time: two of one group at the same index would write the same file. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const result = this.#last.then(step);
    this.#last = result.catch(() => {});
    return result;
  }

  async #take(replica: Replica, indexMin: number): Promise<void> {
    const { engine, entryLog, files, imageDirectory } = this.#storage;
    const { groupId } = replica;
    const range = groupRange(groupId);
    const cut = await this.#applyLoop.betweenBatches(() => {
      const { appliedIndex: index, appliedTerm: term } = replica;
      if (replica.stopped !== undefined || index < indexMin) return undefined;
      return { index, term, membership: replica.membership, rows: engine.snapshotScan(range.from, range.to, ImageKeeper.CHUNK_ROWS) };
    });
    if (cut === undefined) return;
    const counted = { bytes: 0 };
    const path = join(imageDirectory, imageFileName(groupId, cut.index));
    const meta = encodeMembership(cut.membership);
    await writeImage(path, { groupId, index: cut.index, term: cut.term, meta }, machineRows(cut.rows, counted), files);
    // The engine must not fall behind its image after a power loss: that would only cost a reload, but for nothing.
    await engine.write([], { sync: true });
    entryLog.compact(groupId, cut.index, cut.term);
    this.#sizes.set(groupId, counted.bytes);
    await this.#dropOlder(groupId, cut.index);
    this.#logger.debug({ group: groupId, index: cut.index, bytes: counted.bytes }, 'image written, log compacted');
  }

  async #dropOlder(groupId: number, index: number): Promise<void> {
    const { files, imageDirectory } = this.#storage;
    const { images } = await listImages(imageDirectory, files);
    for (const { header, path } of images) {
      if (header.groupId === groupId && header.index < index) await files.unlink(path);
    }
  }
}

async function* machineRows(rows: AsyncIterable<KeyValue[]>, counted: { bytes: number }): AsyncIterable<KeyValue[]> {
  for await (const chunk of rows) {
    for (const { key, value } of chunk) counted.bytes += key.length + value.length;
    yield chunk.map(({ key, value }) => ({ key: machineKey(key), value }));
  }
}
