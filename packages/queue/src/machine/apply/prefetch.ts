import { decodeDropRows, decodeForgetPublishers } from '../command/command-codec.ts';
import { COMMAND_VERSION, CommandKind } from '../command/command-header.ts';
import type { MachineState } from '../machine-state.ts';
import { entryIndexOfRow, IndexRow, IndexRowFlag, indexRowFlags } from '../row/index-row.ts';
import { decodeKeyRow } from '../row/key-row.ts';
import { entryRowKeyOnce, indexRowKeyOnce, keyRowKey, publisherRowKey } from '../row/row-keys.ts';
import type { Rows, WantRow } from '../row/rows.ts';
import { SettleOutcome } from './settle-cursor.ts';

/**
 * What a batch of entries will read, found without applying it: the rows its commands name first, then the rows those
 * point to. Both may ask for more than `apply` reads in the end (a queue may be full, a record settled before), never
 * for less, whatever entries stand together in a batch: a row that an earlier entry of the batch writes is seen there.
 * Commands of another release are passed over; `apply` says what is wrong with them.
 */
export function neededRows(state: MachineState, commands: readonly Uint8Array[], want: WantRow): void {
  for (const command of commands) {
    if (command[1] !== COMMAND_VERSION) continue;
    switch (command[0]) {
      case CommandKind.RECORD_BATCH:
        appendKeys(state, command, want);
        break;
      case CommandKind.SETTLE: {
        const settlements = state.settlements;
        settlements.reset(command);
        while (settlements.nextRow()) want(indexRowKeyOnce(settlements.queueId, settlements.rowBase));
        break;
      }
      case CommandKind.DROP_ROWS: {
        const { queueId, rowBases } = decodeDropRows(command);
        for (const rowBase of rowBases) want(indexRowKeyOnce(queueId, rowBase));
        break;
      }
      case CommandKind.FORGET_PUBLISHERS:
        for (const clientId of decodeForgetPublishers(command).clientIds) {
          want(publisherRowKey(Buffer.from(clientId)));
        }
        break;
    }
  }
}

export function furtherRows(
  state: MachineState,
  commands: readonly Uint8Array[],
  rows: Pick<Rows, 'get'>,
  want: WantRow,
): void {
  for (const command of commands) {
    if (command[1] !== COMMAND_VERSION) continue;
    switch (command[0]) {
      case CommandKind.RECORD_BATCH:
        supersededKeys(state, command, rows, want);
        break;
      case CommandKind.SETTLE:
        settledKeys(state, command, rows, want);
        break;
      case CommandKind.DROP_ROWS:
        droppedKeys(command, rows, want);
        break;
    }
  }
}

/** Whatever the queue is now: an earlier entry of the same batch may configure it. */
function appendKeys(state: MachineState, command: Uint8Array, want: WantRow): void {
  const records = state.records;
  records.reset(command);
  if (!records.isKeyed && !records.hasExchanges) return;
  while (records.next()) {
    if (records.exchangeNumber !== 0) want(publisherRowKey(records.publisher));
    while (records.nextTarget()) {
      if (records.keyLength >= 0) want(keyRowKey(records.queueId, records.key()));
    }
  }
}

function supersededKeys(state: MachineState, command: Uint8Array, rows: Pick<Rows, 'get'>, want: WantRow): void {
  const records = state.records;
  records.reset(command);
  if (!records.isKeyed) return;
  while (records.next()) {
    while (records.nextTarget()) {
      if (records.keyLength < 0) continue;
      const value = rows.get(keyRowKey(records.queueId, records.key()));
      if (value === undefined) continue;
      const live = decodeKeyRow(value);
      want(indexRowKeyOnce(records.queueId, live.rowBase));
      want(entryRowKeyOnce(live.entryIndex));
    }
  }
}

function settledKeys(state: MachineState, command: Uint8Array, rows: Pick<Rows, 'get'>, want: WantRow): void {
  const settlements = state.settlements;
  let entryIndex = 0;
  settlements.reset(command);
  while (settlements.nextRow()) {
    const { queueId, rowBase } = settlements;
    const value = rows.get(indexRowKeyOnce(queueId, rowBase));
    if (value === undefined) continue;
    entryIndex = wantEntryOf(value, entryIndex, want);
    if (!(indexRowFlags(value) & IndexRowFlag.KEYS)) continue;
    const row = new IndexRow(rowBase, value);
    while (settlements.nextRange()) {
      if (settlements.outcome === SettleOutcome.RETURNED) continue;
      liveKeys(queueId, row, settlements.from, settlements.to, want);
    }
  }
}

function droppedKeys(command: Uint8Array, rows: Pick<Rows, 'get'>, want: WantRow): void {
  const { queueId, rowBases } = decodeDropRows(command);
  let entryIndex = 0;
  for (const rowBase of rowBases) {
    const value = rows.get(indexRowKeyOnce(queueId, rowBase));
    if (value === undefined) continue;
    entryIndex = wantEntryOf(value, entryIndex, want);
    if (!(indexRowFlags(value) & IndexRowFlag.KEYS)) continue;
    const row = new IndexRow(rowBase, value);
    liveKeys(queueId, row, rowBase, rowBase + row.count, want);
  }
}

/** The row of the entry that an index row shares, unless it was named for the row before: they are mostly of one entry. */
function wantEntryOf(value: Uint8Array, entryIndexBefore: number, want: WantRow): number {
  if (!(indexRowFlags(value) & IndexRowFlag.SHARED)) return entryIndexBefore;
  const entryIndex = entryIndexOfRow(value);
  if (entryIndex !== entryIndexBefore) want(entryRowKeyOnce(entryIndex));
  return entryIndex;
}

function liveKeys(queueId: number, row: IndexRow, from: number, to: number, want: WantRow): void {
  for (let offset = row.nextLive(from); offset !== -1 && offset < to; offset = row.nextLive(offset + 1)) {
    const key = row.keyOf(offset);
    if (key !== undefined) want(keyRowKey(queueId, key));
  }
}
