import { SluiceError } from '@sluice/common/errors';
import type { Entry } from '@sluice/raft/entry';
import { ENTRIES_BYTES_MAX } from './snapshot-chunk.ts';
import type { SnapshotHost } from './snapshot-port.ts';

/** Asked of the group's owner at a time. */
const PAGE_ENTRIES = 1024;

/**
 * The live entries of a group up to `last`, in parts of at most `ENTRIES_BYTES_MAX`, a larger entry alone. Entries that
 * follow each other are read together, from wherever the log has them now.
 *
 * @throws SluiceError what the log throws; `ENTRY_MISSING` only of an entry that is still said to be live
 */
export async function* liveParts(
  host: Pick<SnapshotHost, 'liveEntries' | 'storage'>,
  groupId: number,
  last: number,
): AsyncGenerator<Entry[]> {
  let part: Entry[] = [];
  let bytes = 0;
  for await (const entries of runsOf(host, groupId, last)) {
    for (const entry of entries) {
      if (part.length > 0 && bytes + entry.data.length > ENTRIES_BYTES_MAX) {
        yield part;
        part = [];
        bytes = 0;
      }
      part.push(entry);
      bytes += entry.data.length;
    }
  }
  if (part.length > 0) yield part;
}

async function* runsOf(
  host: Pick<SnapshotHost, 'liveEntries' | 'storage'>,
  groupId: number,
  last: number,
): AsyncGenerator<Entry[]> {
  let next = 1;
  while (next <= last) {
    const page = await host.liveEntries(groupId, next, last, PAGE_ENTRIES);
    for (let at = 0; at < page.length; ) {
      const first = indexAt(page, at);
      let end = at + 1;
      while (end < page.length && indexAt(page, end) === first + end - at) end++;
      const entries = await readLive(host, groupId, first, first + end - at - 1);
      if (entries.length > 0) yield entries;
      at += Math.max(1, entries.length);
    }
    if (page.length < PAGE_ENTRIES) return;
    next = indexAt(page, page.length - 1) + 1;
  }
}

/** At least the first, unless that is dead by now. */
async function readLive(
  host: Pick<SnapshotHost, 'liveEntries' | 'storage'>,
  groupId: number,
  first: number,
  last: number,
): Promise<Entry[]> {
  for (let again = false; ; again = true) {
    try {
      return await host.storage.entryLog.read(groupId, first, last, ENTRIES_BYTES_MAX);
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.code !== 'ENTRY_MISSING') throw cause;
      const found = await host.liveEntries(groupId, first, first, 1);
      if (found.length === 0) return [];
      if (again) throw cause;
    }
  }
}

function indexAt(page: readonly { index: number }[], at: number): number {
  return (page[at] as { index: number }).index;
}
