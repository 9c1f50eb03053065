import type { AccessRule } from './access-rule.ts';

/** A user of the cluster: what is kept of the password, never the password. */
export interface UserRecord {
  /** `$scrypt$…` */
  readonly hash: string;
  /** `$scram-sha-256$…`; undefined when it was made without. */
  readonly scram?: string | undefined;
  readonly isSuperuser: boolean;
}

/** Rules for one user, one client id, or all. */
export interface RuleList {
  readonly rules: readonly AccessRule[];
}

/** Somebody who may not connect. */
export interface BanRecord {
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
  /** 0: for ever. */
  readonly untilMs: number;
}

/**
 * Who may what, as the metadata keeps it: a row for each user, each list of rules and each ban. One shape for all, so that
 * the commands, the rows on disk and the way to every node are the same for the next kind.
 */
export type AccessRow =
  /** By user name. */
  | { readonly table: 'user'; readonly key: string; readonly value: UserRecord }
  /** By `all`, `username/<name>`, `clientid/<id>`. */
  | { readonly table: 'rules'; readonly key: string; readonly value: RuleList }
  /** By `clientid/<id>`, `username/<name>`, `peerhost/<address>`. */
  | { readonly table: 'ban'; readonly key: string; readonly value: BanRecord };

export interface AccessKey {
  readonly table: AccessRow['table'];
  readonly key: string;
}

export interface AccessChange {
  readonly put: readonly AccessRow[];
  readonly removed: readonly AccessKey[];
}

/** All rows, found by table and key: `Map`s, since keys are what clients call themselves. */
export class AccessTable {
  readonly #users = new Map<string, AccessRow & { table: 'user' }>();
  readonly #rules = new Map<string, AccessRow & { table: 'rules' }>();
  readonly #bans = new Map<string, AccessRow & { table: 'ban' }>();
  /** Counts the changes, for those who keep what they derived. */
  version = 0;

  user(username: string): UserRecord | undefined {
    return this.#users.get(username)?.value;
  }
  rules(key: string): readonly AccessRule[] | undefined {
    return this.#rules.get(key)?.value.rules;
  }
  ban(key: string): BanRecord | undefined {
    return this.#bans.get(key)?.value;
  }

  get(table: AccessRow['table'], key: string): AccessRow | undefined {
    return this.#table(table).get(key);
  }
  /** In the order in which they came. */
  of<T extends AccessRow['table']>(table: T): Iterable<Extract<AccessRow, { table: T }>> {
    return this.#table(table).values() as Iterable<Extract<AccessRow, { table: T }>>;
  }
  count(table: AccessRow['table']): number {
    return this.#table(table).size;
  }
  *rows(): Iterable<AccessRow> {
    yield* this.#users.values();
    yield* this.#rules.values();
    yield* this.#bans.values();
  }

  put(row: AccessRow): void {
    this.#table(row.table).set(row.key, row);
    this.version++;
  }
  remove({ table, key }: AccessKey): boolean {
    const removed = this.#table(table).delete(key);
    if (removed) this.version++;
    return removed;
  }
  apply({ put, removed }: AccessChange): void {
    for (const key of removed) this.remove(key);
    for (const row of put) this.put(row);
  }
  reset(rows: Iterable<AccessRow>): void {
    for (const table of [this.#users, this.#rules, this.#bans]) table.clear();
    for (const row of rows) this.put(row);
    this.version++;
  }

  #table(table: AccessRow['table']): Map<string, AccessRow> {
    switch (table) {
      case 'user':
        return this.#users as Map<string, AccessRow>;
      case 'rules':
        return this.#rules as Map<string, AccessRow>;
      case 'ban':
        return this.#bans as Map<string, AccessRow>;
    }
  }
}
