import type {
  AccessBan,
  AccessManagement,
  AccessRuleList,
  AccessUser,
  BannedAs,
  RuleOwner,
} from '@sluice/rpc/contract/access-management';
import { type Outcome, refuse } from '@sluice/rpc/contract/queue-management';

const done = <T>(value: T): Outcome<T> => ({ ok: true, value });
const keyOf = (of: RuleOwner): string => (of.kind === 'all' ? 'all' : `${of.kind}/${of.name}`);

/** Users, rules and bans in memory. */
export class MemoryAccessManagement implements AccessManagement {
  readonly passwords = new Map<string, string>();
  readonly #users = new Map<string, AccessUser>();
  readonly #rules = new Map<string, AccessRuleList>();
  readonly #bans = new Map<string, AccessBan>();

  users(): Outcome<readonly AccessUser[]> {
    return done([...this.#users.values()]);
  }
  user(username: string): Outcome<AccessUser> {
    const user = this.#users.get(username);
    return user === undefined ? refuse('NOT_FOUND', 'User not found') : done(user);
  }
  async addUser(user: AccessUser, password: string): Promise<Outcome<AccessUser>> {
    if (this.#users.has(user.username)) return refuse('ALREADY_EXISTS', 'User already exists');
    this.#users.set(user.username, user);
    this.passwords.set(user.username, password);
    return done(user);
  }
  async changeUser(
    username: string,
    { password, isSuperuser }: { password?: string; isSuperuser?: boolean },
  ): Promise<Outcome<AccessUser>> {
    const found = this.user(username);
    if (!found.ok) return found;
    const user = { username, isSuperuser: isSuperuser ?? found.value.isSuperuser };
    this.#users.set(username, user);
    if (password !== undefined) this.passwords.set(username, password);
    return done(user);
  }
  async removeUser(username: string): Promise<Outcome<void>> {
    return this.#users.delete(username) ? done(undefined) : refuse('NOT_FOUND', 'User not found');
  }

  ruleLists(): Outcome<readonly AccessRuleList[]> {
    return done([...this.#rules.values()]);
  }
  rules(of: RuleOwner): Outcome<AccessRuleList> {
    const list = this.#rules.get(keyOf(of));
    return list === undefined ? refuse('NOT_FOUND', 'There are no rules of that name') : done(list);
  }
  async setRules(list: AccessRuleList, { isNew }: { isNew: boolean }): Promise<Outcome<AccessRuleList>> {
    if (isNew && this.#rules.has(keyOf(list.of))) return refuse('ALREADY_EXISTS', 'There are rules of that name');
    this.#rules.set(keyOf(list.of), list);
    return done(list);
  }
  async removeRules(of: RuleOwner): Promise<Outcome<void>> {
    return this.#rules.delete(keyOf(of)) ? done(undefined) : refuse('NOT_FOUND', 'There are no rules of that name');
  }

  bans(): Outcome<readonly AccessBan[]> {
    return done([...this.#bans.values()]);
  }
  async ban(ban: AccessBan): Promise<Outcome<AccessBan>> {
    this.#bans.set(`${ban.as}/${ban.who}`, ban);
    return done(ban);
  }
  async unban(as: BannedAs, who: string): Promise<Outcome<void>> {
    return this.#bans.delete(`${as}/${who}`) ? done(undefined) : refuse('NOT_FOUND', 'There is no such ban');
  }
}
