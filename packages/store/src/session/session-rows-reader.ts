import { groupKey } from '@sluice/multiraft/disk/keyspace';
import type { Cursor } from '@sluice/queue/session/cursor';
import { decodeExchangeRow } from '@sluice/queue/session/exchange-row';
import type { BoundId } from '@sluice/queue/session/exchanges';
import {
  clientIdOf,
  cursorRange,
  cursorRowKey,
  EXCHANGE_RANGE,
  SESSION_RANGE,
  sessionRowKey,
  willMessageRowKey,
} from '@sluice/queue/session/row-keys';
import {
  decodeCursorRow,
  decodeSessionHead,
  decodeSessionRow,
  type SessionHead,
  type SessionRow,
} from '@sluice/queue/session/session-rows';
import type { Engine } from '@sluice/storage/engine';

/** Rows of sessions, outside of an apply. Who needs what was just acknowledged waits for `Partition.written` before. */
export class SessionRowsReader {
  readonly #engine: Engine;
  readonly #groupId: number;

  constructor(engine: Engine, groupId: number) {
    this.#engine = engine;
    this.#groupId = groupId;
  }

  async session(clientId: string): Promise<SessionRow | undefined> {
    const value = await this.#engine.get(groupKey(this.#groupId, sessionRowKey(clientId)));
    return value === undefined ? undefined : decodeSessionRow(value);
  }

  async cursors(clientId: string, streamIds: readonly number[]): Promise<(Cursor | undefined)[]> {
    const keys = streamIds.map((streamId) => groupKey(this.#groupId, cursorRowKey(streamId, clientId)));
    const values = await this.#engine.getMany(keys);
    return values.map((value) => (value === undefined ? undefined : decodeCursorRow(value)));
  }

  willMessages(numbers: readonly number[]): Promise<(Uint8Array | undefined)[]> {
    return this.#engine.getMany(numbers.map((number) => groupKey(this.#groupId, willMessageRowKey(number))));
  }

  /** The offset that every session of the stream has passed; undefined when `isOver` says so before it is known. */
  async passedByAll(streamId: number, isOver: () => boolean): Promise<number | undefined> {
    const range = cursorRange(streamId);
    const to = groupKey(this.#groupId, range.to);
    let from: Uint8Array = groupKey(this.#groupId, range.from);
    let least = Number.POSITIVE_INFINITY;
    for (;;) {
      const rows = await this.#engine.scan(from, to, PAGE_ROWS);
      if (isOver()) return undefined;
      for (const { value } of rows) least = Math.min(least, decodeCursorRow(value).next);
      if (rows.length < PAGE_ROWS) return least;
      from = behind((rows.at(-1) as { key: Uint8Array }).key);
    }
  }

  /** What clients may have been sent and have not answered, of all sessions that left it in the log, a page of these at a time. */
  async *boundIds(): AsyncIterable<BoundId[]> {
    const to = groupKey(this.#groupId, EXCHANGE_RANGE.to);
    let from: Uint8Array = groupKey(this.#groupId, EXCHANGE_RANGE.from);
    for (;;) {
      const rows = await this.#engine.scan(from, to, PAGE_ROWS);
      yield rows.flatMap(({ value }) => [...decodeExchangeRow(value).bound.values()]);
      if (rows.length < PAGE_ROWS) return;
      from = behind((rows.at(-1) as { key: Uint8Array }).key);
    }
  }

  /** All sessions without what they subscribe to, a page at a time. */
  async *sessions(): AsyncIterable<SessionOnPage[]> {
    const to = groupKey(this.#groupId, SESSION_RANGE.to);
    let from: Uint8Array = groupKey(this.#groupId, SESSION_RANGE.from);
    for (;;) {
      const rows = await this.#engine.scan(from, to, PAGE_ROWS);
      yield rows.map(({ key, value }) => ({
        clientId: clientIdOf(key.subarray(2)),
        session: decodeSessionHead(value),
        rowBytes: value.length,
      }));
      if (rows.length < PAGE_ROWS) return;
      from = behind((rows.at(-1) as { key: Uint8Array }).key);
    }
  }
}

export interface SessionOnPage {
  readonly clientId: string;
  readonly session: SessionHead;
  /** Of its row: what it subscribes to is most of it. */
  readonly rowBytes: number;
}

const PAGE_ROWS = 512;

function behind(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
