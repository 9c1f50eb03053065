import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { TurnCompanions } from '@sluice/multiraft/turn-companions';
import { IndexRowBuilder } from '@sluice/queue/machine/row/index-row-builder';
import { indexRowKeyOf } from '@sluice/queue/machine/row/row-keys';
import { RecordCursor } from '@sluice/queue/record/record-cursor';
import type { DeliverItem } from '@sluice/rpc/contract/consume';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import type { DispatchConsumer } from '@sluice/store/dispatch/dispatch-consumer';
import { PumpTurn } from '@sluice/store/dispatch/pump-turn';
import { QueueDispatch } from '@sluice/store/dispatch/queue-dispatch';
import { DispatchCounts } from '@sluice/store/metrics/dispatch-counts';
import { IndexReader } from '@sluice/store/read/index-reader';
import { RecordReader } from '@sluice/store/read/record-reader';
import { SettleBatcher } from '@sluice/store/settle/settle-batcher';
import { type Hop, type PreparedHop, SMALL_BYTES } from './hop.ts';
import { batchOf } from './record-hops.ts';

const QUEUE = 1;
const GROUP = 1;
const RECORDS = 1_000;
const WINDOW = 256;
const CACHE_BYTES_MAX = 16 * 1024 * 1024;

/** From committed to handed to the gateway's channel, and from accepted to the command that settles. */
export function dispatchHops(): Hop[] {
  return [4, 1_000].map((consumers) => ({
    name: `dispatch-${consumers}`,
    what: `1,000 handed to ${consumers.toLocaleString('en')} consumers, accepted`,
    prepare: (directory: string) => dispatching(directory, consumers),
  }));
}

async function dispatching(directory: string, consumers: number): Promise<PreparedHop> {
  const metrics = new PlainMetrics();
  const entryLog = await openEntryLog({ directory, logger: silentLogger, metrics, sync: false });
  const batch = batchOf(RECORDS, SMALL_BYTES);
  // Two entries by turns: of one and the same, the places of its records would be remembered.
  const values = [1, 2].map((entryIndex) => rowOf(batch, entryIndex));
  const records = new RecordReader({ entryLog, bytesMax: CACHE_BYTES_MAX, metrics });
  for (const entryIndex of [1, 2]) records.remember(GROUP, entryIndex, batch);
  const recentRow = (key: Uint8Array): Uint8Array => values[(indexRowKeyOf(key).rowBase / RECORDS) % 2] as Uint8Array;
  const companions = new TurnCompanions();
  let settled = (): void => {};
  let tail = 0;
  const dispatch = new QueueDispatch({
    queueId: QUEUE,
    groupId: GROUP,
    head: 0,
    tail: 0,
    strategy: 'round_robin',
    redispatchIntervalMs: 1_000,
    index: new IndexReader(new MemoryEngine(), GROUP, recentRow),
    records,
    settles: new SettleBatcher(
      () => settled(),
      (flush) => companions.add(flush),
    ),
    turn: new PumpTurn(systemClock),
    tellsWaiting: false,
    isHeldUp: () => false,
    mayBeHeld: () => false,
    clock: systemClock,
    prng: new SeededPrng(1),
    counts: new DispatchCounts(),
    onTrouble: () => {},
    onRecovered: () => {},
    onTooLarge: () => {},
  });
  const held: { dispatchId: number; items: readonly DeliverItem[] }[] = [];
  let left = 0;
  let delivered = (): void => {};
  for (let dispatchId = 1; dispatchId <= consumers; dispatchId++) {
    const consumer: DispatchConsumer = {
      dispatchId,
      clientId: `consumer-${dispatchId}`,
      succeeds: () => false,
      deliver(items) {
        held.push({ dispatchId, items });
        left -= items.length;
        if (left === 0) delivered();
      },
      waiting: () => {},
      dismissed: () => {},
    };
    dispatch.attach(consumer, WINDOW);
  }
  return {
    messages: RECORDS,
    async round() {
      left = RECORDS;
      tail += RECORDS;
      const all = new Promise<void>((resolve) => {
        delivered = resolve;
      });
      dispatch.appended(tail);
      await all;
      const done = new Promise<void>((resolve) => {
        settled = resolve;
      });
      const nowMs = systemClock.monotonicMs();
      for (const { dispatchId, items } of held) {
        for (const { offset } of items) dispatch.accept(dispatchId, offset, nowMs);
      }
      held.length = 0;
      await done;
    },
    async close() {
      dispatch.close();
      await entryLog.close();
    },
  };
}

function rowOf(batch: Uint8Array, entryIndex: number): Uint8Array {
  const row = new IndexRowBuilder();
  const cursor = new RecordCursor();
  row.reset(0);
  cursor.reset(batch);
  while (cursor.next()) row.add(cursor.sizeBytes, 0, undefined);
  return row.encode(entryIndex, 1, batch.length);
}
