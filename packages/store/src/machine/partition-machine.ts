import type { GroupMachine, RowAccess, WantRow } from '@sluice/multiraft/group-machine';
import type { ApplyReply } from '@sluice/queue/machine/apply/apply-reply';
import { stampOf } from '@sluice/queue/machine/command/command-header';
import type { Effect } from '@sluice/queue/machine/effects';
import { QueueMachine } from '@sluice/queue/machine/queue-machine';
import { RESIDENT_RANGES as QUEUE_RANGES, RowTable as QueueTable } from '@sluice/queue/machine/row/row-keys';
import { machineVersionOf } from '@sluice/queue/session/command-codec';
import { SESSION_RESIDENT_RANGES, SessionTable } from '@sluice/queue/session/row-keys';
import { SessionMachine } from '@sluice/queue/session/session-machine';
import type { SessionEffect, SessionReply } from '@sluice/queue/session/session-reply';
import { StreamQueues } from './stream-queues.ts';

/**
 * The replicated machine of a partition, as its Raft group sees it: one log, one time, and in it the machines of several
 * tenants that know nothing of each other. A Raft group for each kind of state would be the obvious answer, and would
 * cost a sync, an election and a heartbeat each; and what concerns two of them could not be one entry.
 *
 * Whose a command is says its first byte, whose a row is the first byte of its key. Each tenant passes over the commands
 * of others when it is asked for rows, and sees none of them when they are applied. The numbers are given here, for ever:
 *
 * | tenant   | commands | tables                |
 * | -------- | -------- | --------------------- |
 * | queues   | 1-31     | B E K L M P Q         |
 * | sessions | 32-63    | C D F G N S U W X Y Z |
 *
 * Retained messages are records of an internal queue (`queue/machine/internal-queues`), hence of the first.
 *
 * The partition's time is one as well: the queue machine keeps it (it has its row), and every command moves it.
 */
export class PartitionMachine implements GroupMachine<PartitionReply, PartitionEffect> {
  readonly queues: QueueMachine;
  readonly sessions: SessionMachine;
  readonly #streams: StreamQueues;

  private constructor(queues: QueueMachine, ofSessions: readonly ResidentRow[], portionStreams: number | undefined) {
    this.queues = queues;
    this.#streams = new StreamQueues(queues);
    this.sessions = SessionMachine.restore(ofSessions, this.#streams, portionStreams);
  }

  /** From the rows of `RESIDENT_RANGES`, in any order. `portionStreams`: as all replicas have it. */
  static restore(rows: Iterable<ResidentRow>, portionStreams?: number): PartitionMachine {
    const ofQueues: ResidentRow[] = [];
    const ofSessions: ResidentRow[] = [];
    for (const row of rows) {
      const table = row.key[0] as number;
      if (QUEUE_TABLES.has(table)) ofQueues.push(row);
      else if (SESSION_TABLES.has(table)) ofSessions.push(row);
    }
    return new PartitionMachine(QueueMachine.restore(ofQueues), ofSessions, portionStreams);
  }

  neededRows(commands: readonly Uint8Array[], want: WantRow): void {
    this.queues.neededRows(commands, want);
    this.sessions.neededRows(commands, want);
  }

  furtherRows(commands: readonly Uint8Array[], rows: RowAccess, want: WantRow): void {
    this.queues.furtherRows(commands, rows, want);
  }

  /** @throws SluiceError for a command of a newer release or one that cannot be read: the partition must stop. */
  apply(index: number, command: Uint8Array, rows: RowAccess, effects: PartitionEffect[]): PartitionReply {
    const { queues, sessions } = this;
    const kind = command[0] as number;
    // Tenants add to the list and never read it.
    const ofQueues = effects as Effect[];
    if (kind < SESSION_KIND_MIN || kind > SESSION_KIND_MAX) return queues.apply(index, command, rows, ofQueues);
    queues.advance(stampOf(command));
    queues.need(machineVersionOf(command));
    return this.#streams.within(index, rows, ofQueues, () =>
      sessions.apply(command, queues.nowMs, rows, effects as SessionEffect[]),
    );
  }

  flush(rows: RowAccess): void {
    this.queues.flush(rows);
    this.sessions.flush(rows);
  }
}

/** What applied commands answer; `type` tells them apart over all tenants. */
export type PartitionReply = ApplyReply | SessionReply;

/** Likewise. */
export type PartitionEffect = Effect | SessionEffect;

/** [from, to) of everything that `PartitionMachine.restore` reads: the tenants' ranges, joined. */
export const RESIDENT_RANGES: readonly { from: Uint8Array; to: Uint8Array }[] = [
  ...QUEUE_RANGES,
  ...SESSION_RESIDENT_RANGES,
];

interface ResidentRow {
  key: Uint8Array;
  value: Uint8Array;
}

const QUEUE_TABLES: ReadonlySet<number> = new Set(Object.values(QueueTable));
const SESSION_TABLES: ReadonlySet<number> = new Set(Object.values(SessionTable));
const SESSION_KIND_MIN = 32;
const SESSION_KIND_MAX = 63;
