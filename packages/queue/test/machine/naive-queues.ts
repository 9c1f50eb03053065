import type { ApplyReply, Refusal } from '../../src/machine/apply/apply-reply.ts';
import type { DropRowsCommand, QueueConfig, SettleCommand } from '../../src/machine/command/commands.ts';
import type { Effect } from '../../src/machine/effects.ts';
import type { QueueState } from '../../src/machine/queue-state.ts';
import type { RecordInput } from '../../src/record/record.ts';

type Fate = 'live' | 'accepted' | 'expired' | 'overwritten' | 'dropped';

interface NaiveRecord {
  offset: number;
  rowBase: number;
  entry: number;
  key: string | undefined;
  size: number;
  expiresAtMs: number;
  fate: Fate;
  returns: number;
}

interface NaiveRow {
  base: number;
  entry: number;
  rejected: number[];
}

/**
 * The machine as one would explain it: every queue is an array of all records it ever took, with what became of each.
 * Everything else is counted from that, every time.
 */
export class NaiveQueue {
  config: QueueConfig;
  isRemoved = false;
  readonly records: NaiveRecord[] = [];
  readonly rows: NaiveRow[] = [];
  refused = 0;
  returned = 0;
  stale = 0;

  constructor(config: QueueConfig) {
    this.config = config;
  }
  get live(): NaiveRecord[] {
    return this.records.filter(({ fate }) => fate === 'live');
  }
  count(fate: Fate): number {
    return this.records.filter((record) => record.fate === fate).length;
  }
  get liveBytes(): number {
    return this.live.reduce((sum, { size }) => sum + size, 0);
  }
  get isOverLimit(): boolean {
    const { countMax, bytesMax } = this.config;
    return (countMax !== null && this.live.length > countMax) || (bytesMax !== null && this.liveBytes > bytesMax);
  }
  rowEnd(base: number): number {
    return Math.max(base, ...this.records.filter(({ rowBase }) => rowBase === base).map(({ offset }) => offset + 1));
  }
  liveIn(base: number): NaiveRecord[] {
    return this.live.filter(({ rowBase }) => rowBase === base);
  }

  /** Those of the machine's numbers that follow from the records. */
  get figures(): Partial<QueueState> {
    return {
      tail: this.records.length,
      depth: this.live.length,
      depthBytes: this.liveBytes,
      keyCount: new Set(this.live.filter(({ key }) => key !== undefined).map(({ key }) => key)).size,
      published: this.records.length,
      publishedBytes: this.records.reduce((sum, { size }) => sum + size, 0),
      accepted: this.count('accepted'),
      expired: this.count('expired'),
      overwritten: this.count('overwritten'),
      dropped: this.count('dropped'),
      refused: this.refused,
      returned: this.returned,
      stale: this.stale,
      isRemoved: this.isRemoved,
    };
  }
}

export class NaiveQueues {
  readonly queues = new Map<number, NaiveQueue>();
  readonly entries = new Map<number, { bytes: number; queues: number }>();

  append(entry: number, records: readonly RecordInput[], sizes: readonly number[], bytes: number, nowMs: number) {
    const refused: Refusal[] = [];
    const effects: Effect[] = [];
    const open = new Map<NaiveQueue, NaiveRow>();
    for (const [slot, { targets, expiresAtMs, payload }] of records.entries()) {
      for (const { queueId, key: keyBytes } of [...targets].sort((a, b) => a.queueId - b.queueId)) {
        const queue = this.queues.get(queueId);
        if (queue === undefined || queue.isRemoved) {
          if (queue !== undefined) queue.refused++;
          refused.push({ slot, queueId, code: queue === undefined ? 'queue-unknown' : 'queue-removed' });
          continue;
        }
        const row = open.get(queue) ?? { base: queue.records.length, entry, rejected: [] };
        open.set(queue, row);
        const key = queue.config.isLastValue && keyBytes !== undefined ? Buffer.from(keyBytes).toString() : undefined;
        const older = key === undefined ? undefined : queue.live.find((candidate) => candidate.key === key);
        if (queue.config.erasesEmpty === true && key !== undefined && payload.length === 0) {
          row.rejected.push(slot);
          if (older === undefined) continue;
          older.fate = 'overwritten';
          effects.push({ type: 'superseded', queueId, offset: older.offset });
          continue;
        }
        const size = sizes[slot] as number;
        const { countMax, bytesMax, overflow } = queue.config;
        const isTooMany = older === undefined && countMax !== null && queue.live.length + 1 > countMax;
        const growth = size - (older?.size ?? 0);
        const isTooMuch = growth > 0 && bytesMax !== null && queue.liveBytes + growth > bytesMax;
        if (overflow === 'refuse' && (isTooMany || isTooMuch)) {
          queue.refused++;
          row.rejected.push(slot);
          refused.push({ slot, queueId, code: 'queue-full' });
          continue;
        }
        if (older !== undefined) {
          older.fate = 'overwritten';
          effects.push({ type: 'superseded', queueId, offset: older.offset });
        }
        const expiry = expiresAtMs === 0 ? 0 : Math.max(expiresAtMs, nowMs);
        const place = { offset: queue.records.length, rowBase: row.base, entry };
        queue.records.push({ ...place, key, size, expiresAtMs: expiry, fate: 'live', returns: 0 });
      }
    }
    const taken = [...open].filter(([queue, { base }]) => queue.records.length > base);
    for (const [queue, row] of taken) {
      const { queueId, overflow } = queue.config;
      queue.rows.push(row);
      effects.push({ type: 'appended', queueId, tail: queue.records.length });
      if (overflow === 'drop_oldest' && queue.isOverLimit) effects.push({ type: 'over-limit', queueId });
    }
    const live = taken.filter(([queue, { base }]) => queue.liveIn(base).length > 0);
    if (live.length > 0) this.entries.set(entry, { bytes, queues: live.length });
    return { reply: { type: 'appended', refused } satisfies ApplyReply, effects };
  }

  settle(command: SettleCommand): ApplyReply {
    let stale = 0;
    for (const { queueId, rowBase, accepted = [], expired = [], returned = [] } of command.rows) {
      const queue = this.queues.get(queueId);
      const each = (ranges: readonly number[], change: (record: NaiveRecord) => void): void => {
        for (let i = 0; i < ranges.length; i += 2) {
          for (let offset = ranges[i] as number; offset < (ranges[i + 1] as number); offset++) {
            const record = queue?.records[offset];
            if (record?.rowBase === rowBase && record.fate === 'live') {
              change(record);
            } else {
              stale++;
              if (queue !== undefined) queue.stale++;
            }
          }
        }
      };
      each(accepted, (record) => {
        record.fate = 'accepted';
      });
      each(expired, (record) => {
        record.fate = 'expired';
      });
      each(returned, (record) => {
        record.returns++;
        if (queue !== undefined) queue.returned++;
      });
      this.#forgetIfDone(queueId);
    }
    return { type: 'settled', stale };
  }

  drop({ queueId, reason, rowBases, upperOffset }: DropRowsCommand): ApplyReply {
    const queue = this.queues.get(queueId);
    let count = 0;
    for (const [i, base] of rowBases.entries()) {
      for (const record of queue?.liveIn(base) ?? []) {
        if (i === rowBases.length - 1 && upperOffset !== undefined && record.offset >= upperOffset) continue;
        // Whoever was to have it has it.
        record.fate = reason === 'passed' ? 'accepted' : 'dropped';
        count++;
      }
    }
    this.#forgetIfDone(queueId);
    return { type: 'dropped', count };
  }

  configure(config: QueueConfig): { reply: ApplyReply; effects: Effect[] } {
    const queue = this.queues.get(config.queueId);
    if (queue === undefined) this.queues.set(config.queueId, new NaiveQueue(config));
    else if (queue.isRemoved || config.version <= queue.config.version) {
      return { reply: { type: 'configured', changed: false }, effects: [] };
    } else queue.config = config;
    const isOver = queue !== undefined && config.overflow === 'drop_oldest' && queue.isOverLimit;
    const effects: Effect[] = isOver ? [{ type: 'over-limit', queueId: config.queueId }] : [];
    return { reply: { type: 'configured', changed: true }, effects };
  }

  remove(queueId: number): { reply: ApplyReply; effects: Effect[] } {
    const queue = this.queues.get(queueId);
    if (queue === undefined || queue.isRemoved) return { reply: { type: 'removed', changed: false }, effects: [] };
    queue.isRemoved = true;
    this.#forgetIfDone(queueId);
    return { reply: { type: 'removed', changed: true }, effects: [{ type: 'queue-removed', queueId }] };
  }

  #forgetIfDone(queueId: number): void {
    const queue = this.queues.get(queueId);
    if (queue?.isRemoved && queue.live.length === 0) this.queues.delete(queueId);
  }

  /** Entries that some queue still needs, and their sizes. */
  liveEntries(): Map<number, number> {
    const live = [...this.queues.values()].flatMap((queue) => queue.live.map(({ entry }) => entry));
    return new Map(
      [...new Set(live)].sort((a, b) => a - b).map((entry) => [entry, this.entries.get(entry)?.bytes ?? 0]),
    );
  }

  /** The rows of the machine, in the words of `MachineHarness.describeRows`. */
  describeRows(): string[] {
    const queues = [...this.queues].sort(([a], [b]) => a - b);
    const index: string[] = [];
    const keys: string[] = [];
    const rowsOfEntry = new Map<number, number>();
    for (const [queueId, queue] of queues) {
      for (const { base, entry, rejected } of queue.rows) {
        const live = queue.liveIn(base);
        if (live.length === 0) continue;
        rowsOfEntry.set(entry, (rowsOfEntry.get(entry) ?? 0) + 1);
        const parts = live.map(({ offset, size, key, returns, expiresAtMs }) => {
          const suffix = `${returns > 0 ? ` x${returns + 1}` : ''}${expiresAtMs > 0 ? ` until ${expiresAtMs}` : ''}`;
          return `${offset}:${size}B${key === undefined ? '' : `/${key}`}${suffix}`;
        });
        const shared = (this.entries.get(entry)?.queues ?? 0) > 1 ? ' (shared)' : '';
        const tail = rejected.length === 0 ? '' : ` rejected ${rejected.join(' ')}`;
        index.push(
          `B ${queueId}@${base}+${queue.rowEnd(base) - base} entry ${entry}${shared}: ${parts.join(', ')}${tail}`,
        );
      }
      const keyed = queue.live.filter(({ key }) => key !== undefined);
      for (const { key, offset, rowBase } of keyed.sort((a, b) => ((a.key ?? '') < (b.key ?? '') ? -1 : 1))) {
        keys.push(`K ${queueId}/${key} -> ${offset} in row ${rowBase}`);
      }
    }
    const entries = [...rowsOfEntry].sort(([a], [b]) => a - b);
    return [
      ...index,
      ...[...this.liveEntries()].map(([entry, bytes]) => {
        return `E ${entry} rows ${entries.find(([other]) => other === entry)?.[1]} bytes ${bytes}`;
      }),
      ...keys,
    ].sort(byTable);
  }
}

/** Index, key, entry: otherwise in the order given. */
function byTable(a: string, b: string): number {
  return 'BKE'.indexOf(a[0] as string) - 'BKE'.indexOf(b[0] as string);
}
