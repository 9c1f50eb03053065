import { decodeDropRows, decodeForgetPublishers } from './command-codec.ts';
import { COMMAND_VERSION, CommandKind } from './command-header.ts';
import { entryIndexOfRow, IndexRow, IndexRowFlag, indexRowFlags } from './index-row.ts';
import { decodeKeyRow } from './key-row.ts';
import type { MachineState } from './machine-state.ts';
import { entryRowKey, indexRowKey, indexRowKeyOnce, keyRowKey, publisherRowKey } from './row-keys.ts';
import type { Rows } from './rows.ts';
import { SettleOutcome } from './settle-cursor.ts';

/**
 * What a batch of entries will read, found without applying it: the rows its commands name first, then the rows those
 * point to. Both may ask for more than `apply` reads in the end (a queue may be full, a record settled before), never
 * for less, whatever entries stand together in a batch: a row that an earlier entry of the batch writes is seen there.
 * Commands of another release are passed over; `apply` says what is wrong with them.
 */
export function neededRows(state: MachineState, commands: readonly Uint8Array[]): Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (const command of commands) {
    if (command[1] !== COMMAND_VERSION) continue;
    switch (command[0]) {
      case CommandKind.RECORD_BATCH:
        appendKeys(state, command, keys);
        break;
      case CommandKind.SETTLE: {
        const settlements = state.settlements;
        settlements.reset(command);
        while (settlements.nextRow()) keys.push(indexRowKey(settlements.queueId, settlements.rowBase));
        break;
      }
      case CommandKind.DROP_ROWS: {
        const { queueId, rowBases } = decodeDropRows(command);
        for (const rowBase of rowBases) keys.push(indexRowKey(queueId, rowBase));
        break;
      }
      case CommandKind.FORGET_PUBLISHERS:
        for (const clientId of decodeForgetPublishers(command).clientIds) {
          keys.push(publisherRowKey(Buffer.from(clientId)));
        }
        break;
    }
  }
  return keys;
}

export function furtherRows(
  state: MachineState,
  commands: readonly Uint8Array[],
  rows: Pick<Rows, 'get'>,
): Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (const command of commands) {
    if (command[1] !== COMMAND_VERSION) continue;
    switch (command[0]) {
      case CommandKind.RECORD_BATCH:
        supersededKeys(state, command, rows, keys);
        break;
      case CommandKind.SETTLE:
        settledKeys(state, command, rows, keys);
        break;
      case CommandKind.DROP_ROWS: {
        const { queueId, rowBases } = decodeDropRows(command);
        for (const rowBase of rowBases) {
          const row = rowBeyondItself(queueId, rowBase, rows, keys);
          if (row !== undefined) liveKeys(queueId, row, rowBase, rowBase + row.count, keys);
        }
        break;
      }
    }
  }
  return keys;
}

/** Whatever the queue is now: an earlier entry of the same batch may configure it. */
function appendKeys(state: MachineState, command: Uint8Array, keys: Uint8Array[]): void {
  const records = state.records;
  records.reset(command);
  if (!records.isKeyed && !records.hasExchanges) return;
  while (records.next()) {
    if (records.exchangeNumber !== 0) keys.push(publisherRowKey(records.publisher));
    while (records.nextTarget()) {
      if (records.keyLength >= 0) keys.push(keyRowKey(records.queueId, records.key()));
    }
  }
}

function supersededKeys(state: MachineState, command: Uint8Array, rows: Pick<Rows, 'get'>, keys: Uint8Array[]): void {
  const records = state.records;
  records.reset(command);
  if (!records.isKeyed) return;
  while (records.next()) {
    while (records.nextTarget()) {
      if (records.keyLength < 0) continue;
      const value = rows.get(keyRowKey(records.queueId, records.key()));
      if (value === undefined) continue;
      const live = decodeKeyRow(value);
      keys.push(indexRowKey(records.queueId, live.rowBase), entryRowKey(live.entryIndex));
    }
  }
}

function settledKeys(state: MachineState, command: Uint8Array, rows: Pick<Rows, 'get'>, keys: Uint8Array[]): void {
  const settlements = state.settlements;
  settlements.reset(command);
  while (settlements.nextRow()) {
    const row = rowBeyondItself(settlements.queueId, settlements.rowBase, rows, keys);
    if (row === undefined) continue;
    while (settlements.nextRange()) {
      if (settlements.outcome === SettleOutcome.RETURNED) continue;
      liveKeys(settlements.queueId, row, settlements.from, settlements.to, keys);
    }
  }
}

/** The row, if records in it have keys; the key of its entry's row, if it shares the entry. */
function rowBeyondItself(
  queueId: number,
  rowBase: number,
  rows: Pick<Rows, 'get'>,
  keys: Uint8Array[],
): IndexRow | undefined {
  const value = rows.get(indexRowKeyOnce(queueId, rowBase));
  if (value === undefined) return undefined;
  const flags = indexRowFlags(value);
  if ((flags & (IndexRowFlag.KEYS | IndexRowFlag.SHARED)) === 0) return undefined;
  if (flags & IndexRowFlag.SHARED) keys.push(entryRowKey(entryIndexOfRow(value)));
  return flags & IndexRowFlag.KEYS ? new IndexRow(rowBase, value) : undefined;
}

function liveKeys(queueId: number, row: IndexRow, from: number, to: number, keys: Uint8Array[]): void {
  for (let offset = row.nextLive(from); offset !== -1 && offset < to; offset = row.nextLive(offset + 1)) {
    const key = row.keyOf(offset);
    if (key !== undefined) keys.push(keyRowKey(queueId, key));
  }
}
