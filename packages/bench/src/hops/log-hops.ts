import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { EntryKind } from '@sluice/raft/entry';
import type { KeyValueWrite } from '@sluice/storage/engine';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { type Hop, type PreparedHop, SMALL_BYTES, TURN_MESSAGES } from './hop.ts';
import { batchOf } from './record-hops.ts';

const GROUP = 1;
const TERM = 1;
/** Key and value of an index row that holds a few records. */
const ROW_KEY_BYTES = 19;
const ROW_VALUE_BYTES = 64;

/** What a turn costs on its way to the disk: the entries, synced or not, and the rows. */
export function logHops(): Hop[] {
  const turns = [1, TURN_MESSAGES, 1_024];
  return [
    ...turns.map(
      (records): Hop => ({
        name: `log-append-${records}`,
        what: `a turn of ${records.toLocaleString('en')} × 256 B logged and synced`,
        limit: `best-sync-${records}`,
        prepare: (directory) => appending(directory, records, true),
      }),
    ),
    ...turns.map(
      (records): Hop => ({
        name: `log-append-${records}-null`,
        what: `the same ${records.toLocaleString('en')}, not synced`,
        prepare: (directory) => appending(directory, records, false),
      }),
    ),
    { name: 'rows-write-64', what: 'a row into the engine, 64 a write', prepare: writingRows },
  ];
}

/** One entry a turn, as a partition has it. */
async function appending(directory: string, records: number, sync: boolean): Promise<PreparedHop> {
  const log = await openEntryLog({ directory, logger: silentLogger, metrics: new PlainMetrics(), sync });
  const data = batchOf(records, SMALL_BYTES);
  let index = 0;
  return {
    messages: records,
    round() {
      index++;
      const entries = [{ index, term: TERM, kind: EntryKind.NORMAL, data }];
      return log.append([{ groupId: GROUP, hardState: undefined, entries }]);
    },
    close: () => log.close(),
  };
}

async function writingRows(directory: string): Promise<PreparedHop> {
  const engine = await openRocksDbEngine(directory);
  const value = Buffer.alloc(ROW_VALUE_BYTES, 1);
  let next = 0;
  return {
    messages: TURN_MESSAGES,
    round() {
      const rows: KeyValueWrite[] = [];
      for (let i = 0; i < TURN_MESSAGES; i++) {
        const key = Buffer.alloc(ROW_KEY_BYTES);
        key.writeUInt32BE(next++ % 0x1_0000_0000, ROW_KEY_BYTES - 4);
        rows.push({ key, value });
      }
      return engine.write(rows, { sync: false });
    },
    close: () => engine.close(),
  };
}
