import { deepEqual } from 'node:assert';
import type { Rows } from '../../src/machine/row/rows.ts';
import { decodeSessionCommand, encodeSessionCommand } from '../../src/session/command-codec.ts';
import type { SessionCommand } from '../../src/session/commands.ts';
import { cursorRowKey, SESSION_RESIDENT_RANGES, sessionRowKey, willMessageRowKey } from '../../src/session/row-keys.ts';
import { SessionMachine } from '../../src/session/session-machine.ts';
import type { SessionEffect, SessionReply } from '../../src/session/session-reply.ts';
import { decodeCursorRow, decodeSessionRow, type SessionRow } from '../../src/session/session-rows.ts';
import type { StreamHost } from '../../src/session/streams.ts';

/** One partition's sessions over rows in memory; streams are lists of numbers. */
export class SessionWorld implements StreamHost {
  readonly rows = new Map<string, Uint8Array>();
  readonly streams = new Map<number, number[]>();
  readonly effects: SessionEffect[] = [];
  readonly begun: { filter: string; countMax: number | null; bytesMax: number | null }[] = [];
  machine = SessionMachine.restore([], this);
  nowMs = 0;

  begin(streamId: number, filter: string, countMax: number | null, bytesMax: number | null): void {
    if (this.streams.has(streamId)) throw new Error('a stream begins once');
    this.streams.set(streamId, []);
    this.begun.push({ filter, countMax, bytesMax });
  }
  end(streamId: number): void {
    if (!this.streams.delete(streamId)) throw new Error('only what began ends');
  }
  tailOf(streamId: number): number {
    return this.streams.get(streamId)?.length ?? -1;
  }

  /** As the host does it: only rows that were asked for can be read. */
  run(command: SessionCommand): SessionReply {
    const bytes = encodeSessionCommand(command);
    deepEqual(decodeSessionCommand(bytes), command);
    const asked = new Set<string>();
    this.machine.neededRows([bytes], (key) => asked.add(text(key)));
    const written = new Set<string>();
    const put = (key: Uint8Array, value: Uint8Array): void => {
      written.add(text(key));
      this.rows.set(text(key), value);
    };
    const remove = (key: Uint8Array): void => {
      written.add(text(key));
      this.rows.delete(text(key));
    };
    const rows: Rows = {
      get: (key) => {
        if (!asked.has(text(key)) && !written.has(text(key))) throw new Error(`not asked for: ${text(key)}`);
        return this.rows.get(text(key));
      },
      put,
      create: put,
      save: (key, value) => (value === undefined ? remove(key) : put(key, value)),
      delete: remove,
      end: remove,
    };
    const reply = this.machine.apply(bytes, this.nowMs, rows, this.effects);
    this.machine.flush({ ...rows, get: () => undefined });
    return reply;
  }

  restart(): void {
    const resident = [...this.rows]
      .map(([key, value]) => ({ key: Buffer.from(key, 'latin1') as Uint8Array, value }))
      .filter(({ key }) =>
        SESSION_RESIDENT_RANGES.some(({ from, to }) => Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0),
      );
    this.machine = SessionMachine.restore(resident, this);
  }

  rowBytes(clientId: string): Uint8Array | undefined {
    return this.rows.get(text(sessionRowKey(clientId)));
  }

  session(clientId: string): SessionRow | undefined {
    const value = this.rowBytes(clientId);
    return value === undefined ? undefined : decodeSessionRow(value);
  }

  willMessage(number: number): Uint8Array | undefined {
    return this.rows.get(text(willMessageRowKey(number)));
  }

  /** How many there are of a table, by its letter. */
  rowsOf(table: string): number {
    return [...this.rows.keys()].filter((key) => key[0] === table).length;
  }

  /** What the session has still to get of a stream. */
  waiting(clientId: string, streamId: number): number[] {
    const value = this.rows.get(text(cursorRowKey(streamId, clientId)));
    if (value === undefined) throw new Error('no cursor');
    const cursor = decodeCursorRow(value);
    return (this.streams.get(streamId) ?? []).filter((_message, offset) => !cursor.isPassed(offset));
  }
}

function text(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1');
}
