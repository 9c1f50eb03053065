import type { Logger } from '@sluice/common/logger';
import { writeNote } from '@sluice/storage/note-file';
import type { NodeStorage } from '../disk/node-storage.ts';
import { byTheTick, whenRoom } from '../disk/when-room.ts';
import { notePath } from '../snapshot/snapshot-files.ts';

/**
 * Notes on disk of replicas that must not be trusted: they stay impaired over restarts, until they are wiped, for they may
 * have forgotten what they acknowledged.
 *
 * Nobody waits for a note where a replica is found out, in the middle of a turn. But a node that closes, or wipes the
 * replica, must: a note that comes behind the wipe would take the next replica of the group for the impaired one.
 */
export class ImpairedNotes {
  /** Of an earlier life of this node: the groups, and why their replicas must not be trusted. */
  readonly found: Map<number, Error>;
  readonly #storage: NodeStorage;
  readonly #logger: Logger;
  readonly #ends: () => boolean;
  #last: Promise<void> = Promise.resolve();

  /** `ends`: nothing is waited for any more. */
  constructor(storage: NodeStorage, logger: Logger, ends: () => boolean) {
    this.found = new Map(storage.impaired);
    this.#storage = storage;
    this.#logger = logger;
    this.#ends = ends;
  }

  write(groupId: number, cause: Error): void {
    const { imageDirectory, files } = this.#storage;
    const path = notePath(imageDirectory, groupId, 'impaired');
    const note = Buffer.from(cause.message, 'utf8');
    this.#last = this.#last
      .then(() => whenRoom(() => writeNote(path, note, files), byTheTick(this.#ends)))
      .catch((err: unknown) =>
        this.#logger.error({ err, group: groupId }, 'an impaired replica could not be noted as such'),
      );
  }

  /** Resolves when what was written by now is on disk, or was found impossible. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
