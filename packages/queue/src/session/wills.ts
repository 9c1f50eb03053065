import type { Rows } from '../machine/row/rows.ts';
import { readU53 } from '../record/byte-cursor.ts';
import type { LeftWill } from './commands.ts';
import { clientIdOf, dueWillRowKey, SessionTable, willGroupRowKey, willMessageRowKey, willRowKey } from './row-keys.ts';
import type { SessionEffect } from './session-reply.ts';
import {
  type DueWill,
  decodeDueWillRow,
  decodeWillGroupRow,
  decodeWillRow,
  encodeDueWillRow,
  encodeWillGroupRow,
  encodeWillRow,
  type WillGroup,
  type WillRow,
} from './will-rows.ts';

/**
 * The wills of a partition's clients. A gateway that fires the wills of its own clients takes them with it when it dies,
 * and one that was only cut off fires what others have fired for it. So a will is here before its client is let in, and
 * whether it fires is decided by the order of the log and by nobody else:
 *
 *   left -> taken back, or overtaken by its client's next connection      (gone)
 *   left -> waiting for its delay -> its client is back in time           (gone)
 *   left or waiting -> due -> in the group that is published -> published (gone)
 *
 * Each step removes the one before in the same entry, so a will becomes due at most once; and what is due stays until
 * somebody has said that it is published. Its number is the epoch of its connection, which no other connection has.
 *
 * One group at a time is published, by one gateway, and the log knows which: whoever leads next asks the same gateway,
 * which knows what it has done; only when that one is gone another gets the same group under the same number, by which
 * partitions know what they have stored of it.
 *
 * Messages are never read here. Resident is the rest: some hundred bytes a will.
 */
export class Wills {
  readonly #byClient = new Map<string, WillRow>();
  readonly #due = new Map<number, DueWill>();
  #group: WillGroup | undefined;
  #waiting = 0;

  /** One group is in memory at the leader and at its gateway, and is one record batch in each partition it concerns. */
  static readonly GROUP_WILLS_MAX = 64;
  static readonly GROUP_BYTES_MAX = 512 * 1024;

  restore(key: Uint8Array, value: Uint8Array): void {
    if (key[0] === SessionTable.WILL) {
      const will = decodeWillRow(value);
      this.#byClient.set(clientIdOf(key), will);
      if (will.dueAtMs > 0) this.#waiting++;
    } else if (key[0] === SessionTable.DUE_WILL) this.#due.set(readU53(key, 1), decodeDueWillRow(value));
    else if (key[0] === SessionTable.WILL_GROUP) this.#group = decodeWillGroupRow(value);
  }

  /** Of connected clients. */
  get leftCount(): number {
    return this.#byClient.size - this.#waiting;
  }
  get waitingCount(): number {
    return this.#waiting;
  }
  get dueCount(): number {
    return this.#due.size;
  }
  get group(): WillGroup | undefined {
    return this.#group;
  }

  of(clientId: string): Readonly<WillRow> | undefined {
    return this.#byClient.get(clientId);
  }
  due(number: number): DueWill | undefined {
    return this.#due.get(number);
  }

  /** The next group, were it claimed now. */
  nextGroup(): number[] {
    const numbers: number[] = [];
    let bytes = 0;
    for (const [number, will] of this.#due) {
      bytes += will.bytes;
      if (numbers.length > 0 && bytes > Wills.GROUP_BYTES_MAX) break;
      numbers.push(number);
      if (numbers.length === Wills.GROUP_WILLS_MAX) break;
    }
    return numbers;
  }

  /** Those whose delay is over by now, as many as asked for; and when the first of the others is due. */
  ripe(nowMs: number, max: number): { clientIds: string[]; nextMs: number } {
    const clientIds: string[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    if (this.#waiting === 0) return { clientIds, nextMs };
    for (const [clientId, { dueAtMs }] of this.#byClient) {
      if (dueAtMs === 0) continue;
      if (dueAtMs <= nowMs && clientIds.length < max) clientIds.push(clientId);
      else nextMs = Math.min(nextMs, dueAtMs);
    }
    return { clientIds, nextMs };
  }

  /** By a connection that begins; whatever was of the one before is settled. */
  leave(clientId: string, number: number, isPresent: boolean, will: LeftWill, rows: Rows): void {
    const { ticket, delayS, message } = will;
    const row = { number, delayS, dueAtMs: 0, ticket, isPresent, bytes: message.length };
    this.#byClient.set(clientId, row);
    rows.put(willRowKey(clientId), encodeWillRow(row));
    rows.put(willMessageRowKey(number), message);
  }

  /**
   * The client goes on with its session over another connection. A delay saves it, unless it is over [MQTT-3.1.3-9]; a
   * will without one is due when its connection ends, whatever follows.
   */
  resumed(clientId: string, nowMs: number, rows: Rows, effects: SessionEffect[]): void {
    const will = this.#byClient.get(clientId);
    if (will === undefined) return;
    const isDue = will.dueAtMs === 0 ? will.delayS === 0 : will.dueAtMs <= nowMs;
    if (isDue) this.fire(clientId, rows, effects);
    else this.cancel(clientId, rows, effects);
  }

  /** The connection is over and its session waits for so long. */
  disconnected(clientId: string, expiryS: number, nowMs: number, rows: Rows, effects: SessionEffect[]): void {
    const will = this.#byClient.get(clientId);
    if (will === undefined) return;
    const delayS = Math.min(will.delayS, expiryS);
    if (delayS === 0) {
      this.fire(clientId, rows, effects);
      return;
    }
    will.dueAtMs = nowMs + delayS * 1000;
    this.#waiting++;
    rows.put(willRowKey(clientId), encodeWillRow(will));
    effects.push({ type: 'will-waiting', dueAtMs: will.dueAtMs });
  }

  /** False: its delay is not over. */
  fireIfRipe(clientId: string, nowMs: number, rows: Rows, effects: SessionEffect[]): boolean {
    const dueAtMs = this.#byClient.get(clientId)?.dueAtMs ?? 0;
    if (dueAtMs === 0 || dueAtMs > nowMs) return false;
    this.fire(clientId, rows, effects);
    return true;
  }

  /** If there is one: its session has ended, or nothing holds it back any more. */
  fire(clientId: string, rows: Rows, effects: SessionEffect[]): void {
    const will = this.#take(clientId, rows);
    if (will === undefined) return;
    const due = { clientId, bytes: will.bytes };
    this.#due.set(will.number, due);
    rows.put(dueWillRowKey(will.number), encodeDueWillRow(due));
    effects.push({ type: 'will-due', number: will.number });
  }

  /** If there is one. */
  cancel(clientId: string, rows: Rows, effects: SessionEffect[]): void {
    const will = this.#take(clientId, rows);
    if (will === undefined) return;
    rows.delete(willMessageRowKey(will.number));
    effects.push({ type: 'will-cancelled', number: will.number });
  }

  /** A group under way goes to this gateway; else a new one begins with those that are due. Undefined: none is. */
  claim(gateway: number, numbers: readonly number[], draw: () => number, rows: Rows): WillGroup | undefined {
    if (this.#group !== undefined) this.#group = { ...this.#group, gateway };
    else {
      const wills = numbers.filter((number) => this.#due.has(number)).slice(0, Wills.GROUP_WILLS_MAX);
      if (wills.length === 0) return undefined;
      this.#group = { number: draw(), gateway, wills };
    }
    rows.put(willGroupRowKey(), encodeWillGroupRow(this.#group));
    return this.#group;
  }

  /** They are published. Returns how many that were; 0: somebody has said so before. */
  published(group: number, rows: Rows): number {
    if (this.#group?.number !== group) return 0;
    const { wills } = this.#group;
    for (const number of wills) {
      this.#due.delete(number);
      rows.delete(dueWillRowKey(number));
      rows.delete(willMessageRowKey(number));
    }
    this.#group = undefined;
    rows.delete(willGroupRowKey());
    return wills.length;
  }

  #take(clientId: string, rows: Rows): WillRow | undefined {
    const will = this.#byClient.get(clientId);
    if (will === undefined) return undefined;
    this.#byClient.delete(clientId);
    if (will.dueAtMs > 0) this.#waiting--;
    rows.delete(willRowKey(clientId));
    return will;
  }
}
