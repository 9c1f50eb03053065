import type { Membership } from '@sluice/raft/entry';
import type { BackupContents, BackupHead } from '@sluice/storage/backup-format';
import { freeBytes } from '@sluice/storage/files/free-bytes';
import type { NodeStorage } from '../disk/node-storage.ts';
import { entriesCrc, rowsCrc } from '../snapshot/snapshot-chunk.ts';
import { carryOut } from '../snapshot/snapshot-install.ts';
import { SnapshotIntake } from '../snapshot/snapshot-intake.ts';

/**
 * Puts a group of a backup into the storage of a node that does not run, as a follower takes a snapshot: same files, same
 * steps. The group begins behind the backup's index, in its term, with this node as its only member; others are added to it
 * as to any group. Rows name entries by index and order them by it, so indexes stay what they were.
 *
 * Nothing here survives a crash half done: the caller gives the directory its name when all groups are in.
 */
export async function importGroup(
  storage: NodeStorage,
  nodeId: number,
  { groupId, index, term }: BackupHead,
  parts: AsyncIterable<BackupContents>,
  room: () => Promise<number> = () => freeBytes(storage.imageDirectory),
): Promise<void> {
  const membership: Membership = { voters: [nodeId], votersOutgoing: [], learners: [], learnersNext: [] };
  const intake = new SnapshotIntake(storage, groupId, { index, term, membership }, 1, room);
  let rows = 0;
  let entries = 0;
  try {
    for await (const part of parts) {
      if (part.type === 'rows') {
        rows += part.rows.length;
        await intake.rows(part.rows, rowsCrc(part.rows));
      } else {
        entries += part.entries.length;
        await intake.entries(part.entries, entriesCrc(part.entries));
      }
    }
    await intake.finish(rows, entries);
  } catch (cause) {
    await intake.discard();
    throw cause;
  }
  const hardState = { term, vote: 0, commit: index };
  const { incoming, spool } = intake;
  await carryOut(storage, { groupId, index, term, membership, hardState, incoming, spool });
}
