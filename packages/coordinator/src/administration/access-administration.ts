import type { Clock } from '@sluice/common/clock';
import { banOf, RULES_OF_ALL, rulesOfClient, rulesOfUser, splitAccessKey } from '@sluice/meta/access/access-keys';
import type { AccessRow, BanRecord, UserRecord } from '@sluice/meta/access/access-table';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { Topology } from '@sluice/meta/topology';
import type {
  AccessBan,
  AccessManagement,
  AccessRuleList,
  AccessUser,
  BannedAs,
  RuleOwner,
} from '@sluice/rpc/contract/access-management';
import { type Outcome, type Refusal, refuse } from '@sluice/rpc/contract/queue-management';
import { type MetadataExecutor, NOT_EVERYWHERE, refuseUnlessReady, UNKNOWN_OUTCOME } from './metadata-change.ts';

/** What is kept of a password; made where the password arrived. */
export type HashSecret = (password: string) => Promise<{ hash: string; scram: string }>;

/** Users, rules and bans in the metadata, from any node. */
export class AccessAdministration implements AccessManagement {
  readonly #topology: Topology;
  readonly #metadata: MetadataExecutor;
  readonly #clock: Clock;
  readonly #hash: HashSecret;

  /** Every node holds all of them in memory. */
  static readonly ROWS_MAX: Readonly<Record<AccessRow['table'], number>> = {
    user: 100_000,
    rules: 10_000,
    ban: 100_000,
  };

  constructor(options: { topology: Topology; metadata: MetadataExecutor; clock: Clock; hash: HashSecret }) {
    this.#topology = options.topology;
    this.#metadata = options.metadata;
    this.#clock = options.clock;
    this.#hash = options.hash;
  }

  users(): Outcome<readonly AccessUser[]> {
    return this.#read(() => [...this.#topology.access.of('user')].map(({ key, value }) => userOf(key, value)));
  }

  user(username: string): Outcome<AccessUser> {
    const record = this.#topology.access.user(username);
    return (
      refuseUnlessReady(this.#topology) ??
      (record === undefined ? NO_USER : { ok: true, value: userOf(username, record) })
    );
  }

  async addUser({ username, isSuperuser }: AccessUser, password: string): Promise<Outcome<AccessUser>> {
    const value: UserRecord = { ...(await this.#hash(password)), isSuperuser };
    const refusal = await this.#put({ table: 'user', key: username, value }, 'new', USER_EXISTS);
    return refusal ?? { ok: true, value: { username, isSuperuser } };
  }

  async changeUser(
    username: string,
    { password, isSuperuser }: { password?: string; isSuperuser?: boolean },
  ): Promise<Outcome<AccessUser>> {
    const known = this.user(username);
    if (!known.ok) return known;
    const secret = password === undefined ? undefined : await this.#hash(password);
    // As this node knows it behind the hash, which takes long enough for somebody else to change the rest of it. Its image may
    // still be a moment behind: of two changes at two nodes within that the later one stands whole.
    const earlier = this.#topology.access.user(username);
    if (earlier === undefined) return NO_USER;
    const { hash, scram } = secret ?? earlier;
    const value: UserRecord = { hash, scram, isSuperuser: isSuperuser ?? earlier.isSuperuser };
    const refusal = await this.#put({ table: 'user', key: username, value }, 'existing', NO_USER);
    return refusal ?? { ok: true, value: userOf(username, value) };
  }

  removeUser(username: string): Promise<Outcome<void>> {
    return this.#remove({ kind: 'remove-access', table: 'user', key: username }, NO_USER);
  }

  ruleLists(): Outcome<readonly AccessRuleList[]> {
    return this.#read(() =>
      [...this.#topology.access.of('rules')].map(({ key, value }) => ({ of: ownerOf(key), rules: value.rules })),
    );
  }

  rules(of: RuleOwner): Outcome<AccessRuleList> {
    const rules = this.#topology.access.rules(keyOf(of));
    return refuseUnlessReady(this.#topology) ?? (rules === undefined ? NO_RULES : { ok: true, value: { of, rules } });
  }

  async setRules({ of, rules }: AccessRuleList, { isNew }: { isNew: boolean }): Promise<Outcome<AccessRuleList>> {
    const row: AccessRow = { table: 'rules', key: keyOf(of), value: { rules } };
    return (await this.#put(row, isNew ? 'new' : 'any', RULES_EXIST)) ?? { ok: true, value: { of, rules } };
  }

  removeRules(of: RuleOwner): Promise<Outcome<void>> {
    return this.#remove({ kind: 'remove-access', table: 'rules', key: keyOf(of) }, NO_RULES);
  }

  bans(): Outcome<readonly AccessBan[]> {
    const nowMs = this.#clock.nowMs();
    return this.#read(() =>
      [...this.#topology.access.of('ban')]
        .filter(({ value }) => value.untilMs === 0 || value.untilMs > nowMs)
        .map(({ key, value }) => {
          const { kind, name } = splitAccessKey(key);
          return { as: kind as BannedAs, who: name, ...value };
        }),
    );
  }

  async ban(ban: AccessBan): Promise<Outcome<AccessBan>> {
    const { as, who, ...rest } = ban;
    const value: BanRecord = rest;
    return (await this.#put({ table: 'ban', key: banOf(as, who), value }, 'any', NO_BAN)) ?? { ok: true, value: ban };
  }

  unban(as: BannedAs, who: string): Promise<Outcome<void>> {
    return this.#remove({ kind: 'remove-access', table: 'ban', key: banOf(as, who) }, NO_BAN);
  }

  #read<T>(read: () => T): Outcome<T> {
    return refuseUnlessReady(this.#topology) ?? { ok: true, value: read() };
  }

  async #put(row: AccessRow, expect: 'new' | 'existing' | 'any', unexpected: Refusal): Promise<Refusal | undefined> {
    const rowsMax = AccessAdministration.ROWS_MAX[row.table];
    return await this.#execute({ kind: 'put-access', row, expect, rowsMax }, unexpected);
  }

  async #remove(command: Extract<MetaCommand, { kind: 'remove-access' }>, missing: Refusal): Promise<Outcome<void>> {
    return (await this.#execute(command, missing)) ?? { ok: true, value: undefined };
  }

  async #execute(command: MetaCommand, unexpected: Refusal): Promise<Refusal | undefined> {
    const refusal = refuseUnlessReady(this.#topology);
    if (refusal !== undefined) return refusal;
    const outcome = await this.#metadata.execute(command);
    switch (outcome?.reply.result) {
      case 'done':
        return outcome.reached ? undefined : NOT_EVERYWHERE;
      case 'already-exists':
      case 'not-found':
        return unexpected;
      case 'too-many-rows':
        return TOO_MANY;
      default:
        return UNKNOWN_OUTCOME;
    }
  }
}

function userOf(username: string, { isSuperuser }: UserRecord): AccessUser {
  return { username, isSuperuser };
}

function keyOf(of: RuleOwner): string {
  if (of.kind === 'all') return RULES_OF_ALL;
  return of.kind === 'username' ? rulesOfUser(of.name) : rulesOfClient(of.name);
}

function ownerOf(key: string): RuleOwner {
  const { kind, name } = splitAccessKey(key);
  return kind === 'username' || kind === 'clientid' ? { kind, name } : { kind: 'all' };
}

const USERS_HINT = 'list the users with "sluice users list"';
const NO_USER: Refusal = refuse('NOT_FOUND', 'User not found', USERS_HINT);
const USER_EXISTS: Refusal = refuse(
  'ALREADY_EXISTS',
  'User already exists',
  'change the password with sluice users passwd, or the user with PUT',
);
const NO_RULES: Refusal = refuse('NOT_FOUND', 'There are no rules of that name');
const RULES_EXIST: Refusal = refuse('ALREADY_EXISTS', 'There are rules of that name', 'replace them with PUT');
const NO_BAN: Refusal = refuse('NOT_FOUND', 'There is no such ban');
const TOO_MANY: Refusal = refuse(
  'BAD_REQUEST',
  'The metadata takes no more of them',
  'remove some that are not needed',
);
