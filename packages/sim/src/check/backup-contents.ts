import { decodeMetaRow } from '@sluice/meta/meta-rows';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { isInternalQueue } from '@sluice/queue/machine/internal-queues';
import { IndexRow } from '@sluice/queue/machine/row/index-row';
import { indexRowKeyOf, RowTable } from '@sluice/queue/machine/row/row-keys';
import { recordPositions } from '@sluice/queue/record/record-batch';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { BackupPart } from '@sluice/storage/backup-format';
import type { KeyValue } from '@sluice/storage/engine';
import { Violation } from '../simulation.ts';

/** What a partition has, as its rows and entries say, without a cluster that hands it out. */
export async function liveRecords(
  partition: number,
  parts: AsyncIterable<BackupPart>,
): Promise<{ place: string; text: string }[]> {
  const rows: KeyValue[] = [];
  const entries = new Map<number, Uint8Array>();
  for await (const part of parts) {
    if (part.type === 'rows') rows.push(...part.rows.filter(({ key }) => key[0] === RowTable.INDEX));
    else if (part.type === 'entries') for (const { index, data } of part.entries) entries.set(index, data);
  }
  const live: { place: string; text: string }[] = [];
  for (const { key, value } of rows) {
    const { queueId, rowBase } = indexRowKeyOf(key);
    if (isInternalQueue(queueId)) continue;
    const row = new IndexRow(rowBase, value);
    const data = entries.get(row.entryIndex);
    if (data === undefined) {
      throw new Violation('backup', `partition ${partition} lacks entry ${row.entryIndex}, which queue ${queueId} has`);
    }
    const positions = recordPositions(data, queueId, row.rejectedSlots);
    for (let offset = row.nextLive(rowBase); offset !== -1; offset = row.nextLive(offset + 1)) {
      const { payload } = new EncodedRecord(data, positions[row.n(offset)] as number);
      const text = Buffer.from(payload).toString();
      live.push({ place: `${queueId}:${partition}:${offset}`, text: text.slice(0, text.indexOf(' ')) });
    }
  }
  return live;
}

export async function definedQueues(parts: AsyncIterable<BackupPart>): Promise<QueueDefinition[]> {
  const queues: QueueDefinition[] = [];
  for await (const part of parts) {
    if (part.type !== 'rows') continue;
    for (const { key, value } of part.rows) {
      const { table, row } = decodeMetaRow(key, value);
      if (table === 'queue') queues.push(row);
    }
  }
  return queues;
}
