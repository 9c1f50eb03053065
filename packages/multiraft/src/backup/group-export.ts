import { SluiceError } from '@sluice/common/errors';
import type { Entry } from '@sluice/raft/entry';
import { type BackupHead, BackupWriter } from '@sluice/storage/backup-format';
import type { KeyValue } from '@sluice/storage/engine';
import { type ImageFile, readImage } from '@sluice/storage/image-file';
import { ENTRIES_BYTES_MAX, rowParts } from '../snapshot/snapshot-chunk.ts';
import type { SnapshotHost } from '../snapshot/snapshot-port.ts';

/** Asked of the log at a time, at most. */
const RUN_ENTRIES_MAX = 1024;

/**
 * A group as it is at one index, as the bytes of a backup: an image that was taken for it, and the entries that the rows
 * of this image say are alive.
 *
 * A transfer to a follower may leave out what died since its image, because the log that follows says so; behind a backup
 * comes no log. So until it is over no segment goes that holds something of the group (`Replica.exports`), and what is
 * alive is read from the image itself, not asked of rows that go on. Segments hold entries of all groups: meanwhile
 * little is given back on this node, which is why a caller that does not read, or a full disk, ends it.
 */
export async function* exportGroup(
  host: Pick<SnapshotHost, 'storage' | 'imageKeeper' | 'replica'>,
  groupId: number,
  /** The index of the entry that a row keeps alive; undefined of other rows. Ascending like the keys of such rows. */
  entryOf: (row: KeyValue) => number | undefined,
): AsyncGenerator<Uint8Array[]> {
  const { imageKeeper, storage } = host;
  const replica = host.replica(groupId);
  if (replica === undefined) throw aborted('the group is not here any more');
  replica.exports++;
  let image: ImageFile | undefined;
  try {
    image = await imageKeeper.pin(replica, true, () => {});
    if (image === undefined) throw aborted('the group has no image: it stopped, or is being replaced');
    const { path, header } = image;
    const writer = new BackupWriter();
    const head: BackupHead = { groupId, index: header.index, term: header.term };
    yield writer.head(head);
    for await (const chunk of (await readImage(path, storage.files)).chunks) {
      for (const rows of rowParts(chunk)) yield writer.rows(rows);
    }
    for await (const { first, last } of runsIn(path)) {
      for (let next = first; next <= last; ) {
        const entries = await storage.entryLog.read(groupId, next, last, ENTRIES_BYTES_MAX);
        for (const part of entryParts(entries)) yield writer.entries(part);
        next += entries.length;
      }
    }
    yield writer.end();
  } finally {
    replica.exports--;
    if (image !== undefined) imageKeeper.unpin(image.path);
  }

  /** Live entries that follow each other, from the image once more: a million of them are not kept in memory. */
  async function* runsIn(path: string): AsyncGenerator<{ first: number; last: number }> {
    let first = 0;
    let last = 0;
    for await (const chunk of (await readImage(path, storage.files)).chunks) {
      for (const row of chunk) {
        const index = entryOf(row);
        if (index === undefined) continue;
        if (first > 0 && index === last + 1 && index - first < RUN_ENTRIES_MAX) {
          last = index;
          continue;
        }
        if (first > 0) yield { first, last };
        first = index;
        last = index;
      }
    }
    if (first > 0) yield { first, last };
  }
}

/** The log gives one entry more than was asked for bytes, at most; a block is cut there. */
function* entryParts(entries: readonly Entry[]): Generator<readonly Entry[]> {
  let bytes = 0;
  let from = 0;
  for (const [at, { data }] of entries.entries()) {
    if (at > from && bytes + data.length > ENTRIES_BYTES_MAX) {
      yield entries.slice(from, at);
      from = at;
      bytes = 0;
    }
    bytes += data.length;
  }
  if (from < entries.length) yield entries.slice(from);
}

function aborted(reason: string): SluiceError {
  return new SluiceError('EXPORT_ABORTED', reason, { retriable: true });
}
