import type { Connection } from './connection.ts';
import type { ConnectionTable } from './connection-table.ts';

/**
 * Looks at all connections again after permissions changed: what they subscribed to when it was allowed must not go on
 * for ever. A portion a turn, since there may be tens of thousands; a change meanwhile begins anew.
 */
export class AccessReview {
  readonly #table: ConnectionTable;
  #connections: IterableIterator<Connection> | undefined;

  static readonly PORTION = 256;

  constructor(table: ConnectionTable) {
    this.#table = table;
  }

  begin(): void {
    const isUnderWay = this.#connections !== undefined;
    this.#connections = this.#table.connections();
    if (!isUnderWay) this.#goOn();
  }

  #goOn(): void {
    for (let i = 0; i < AccessReview.PORTION; i++) {
      const next = this.#connections?.next();
      if (next === undefined || next.done === true) {
        this.#connections = undefined;
        return;
      }
      if (next.value.isOpen) next.value.access.lookAgain();
    }
    setImmediate(() => this.#goOn());
  }
}
