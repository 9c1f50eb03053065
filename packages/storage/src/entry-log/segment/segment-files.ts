import { join } from 'node:path';
import { assert } from '@sluice/common/assert';
import type { FileOperations } from '../../files/file-operations.ts';
import { segmentFile } from './segment-header.ts';

/** Sealed segments kept open for reading; those opened first are closed first. */
const OPEN_FILES_MAX = 64;

interface OpenFile {
  fd: number;
  users: number;
  /** The active segment stays open; a released one closes with its last user. */
  state: 'pinned' | 'pooled' | 'doomed';
}

/** As if it were gone already. */
class LeavingFile extends Error {
  readonly code = 'ENOENT';
  constructor(path: string) {
    super(`${path} becomes another segment`);
  }
}

/** The descriptors of segment files. A descriptor is never closed under a read: that could read another file. */
export class SegmentFiles {
  readonly #files: FileOperations;
  readonly #directory: string;
  readonly #open = new Map<number, OpenFile>();
  readonly #opening = new Map<number, Promise<void>>();
  readonly #leaving = new Set<number>();

  constructor(files: FileOperations, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  path(segmentId: number): string {
    return join(this.#directory, segmentFile(segmentId));
  }

  pin(segmentId: number, fd: number): void {
    this.#open.set(segmentId, { fd, users: 0, state: 'pinned' });
  }

  async unpin(segmentId: number): Promise<void> {
    const file = this.#open.get(segmentId);
    assert(file?.state === 'pinned', 'only the active segment is pinned');
    file.state = 'pooled';
    await this.#trim();
  }

  /** Fills `into` from the segment. */
  async read(segmentId: number, into: Uint8Array, position: number): Promise<number> {
    const file = await this.#acquire(segmentId);
    try {
      return await this.#files.read(file.fd, into, position);
    } finally {
      file.users--;
      if (file.state === 'doomed' && file.users === 0) await this.#files.close(file.fd);
    }
  }

  /** False: somebody reads it still. */
  async #forget(segmentId: number): Promise<boolean> {
    const file = this.#open.get(segmentId);
    if (file === undefined) return true;
    this.#open.delete(segmentId);
    file.state = 'doomed';
    if (file.users > 0) return false;
    await this.#files.close(file.fd);
    return true;
  }

  /**
   * Has `take` unlink the file, or, when nobody reads it any more (`isFree`), give it another name. Nobody opens it meanwhile
   * by the name that it still has; a descriptor that was left open would keep its space.
   */
  async takeAway(segmentId: number, take: (isFree: boolean) => Promise<void>): Promise<void> {
    this.#leaving.add(segmentId);
    try {
      await this.#opening.get(segmentId)?.catch(() => {});
      await take(await this.#forget(segmentId));
    } finally {
      this.#leaving.delete(segmentId);
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#opening.values());
    for (const segmentId of [...this.#open.keys()]) await this.#forget(segmentId);
  }

  async #acquire(segmentId: number): Promise<OpenFile> {
    for (;;) {
      const file = this.#open.get(segmentId);
      if (file !== undefined) {
        file.users++;
        return file;
      }
      await (this.#opening.get(segmentId) ?? this.#openFile(segmentId));
    }
  }

  #openFile(segmentId: number): Promise<void> {
    if (this.#leaving.has(segmentId)) return Promise.reject(new LeavingFile(this.path(segmentId)));
    const opening = this.#files
      .open(this.path(segmentId), 'read')
      .then((fd) => {
        this.#open.set(segmentId, { fd, users: 0, state: 'pooled' });
        return this.#trim();
      })
      .finally(() => this.#opening.delete(segmentId));
    this.#opening.set(segmentId, opening);
    return opening;
  }

  async #trim(): Promise<void> {
    if (this.#open.size <= OPEN_FILES_MAX) return;
    // Insertion order: the one opened first goes first.
    for (const [segmentId, file] of [...this.#open]) {
      if (file.state !== 'pooled' || file.users > 0) continue;
      this.#open.delete(segmentId);
      await this.#files.close(file.fd);
      if (this.#open.size <= OPEN_FILES_MAX) return;
    }
  }
}
