import type { AccessRule } from '@sluice/meta/access/access-rule';
import type { Outcome } from './queue-management.ts';

/**
 * Users, rules and bans that the whole cluster shares, as an operator handles them. Reads come from this node's image, so
 * they work while no coordinator answers; changes are answered when every live node acts on them.
 */
export interface AccessManagement {
  users(): Outcome<readonly AccessUser[]>;
  user(username: string): Outcome<AccessUser>;
  /** ALREADY_EXISTS. The password is hashed here and goes no further. */
  addUser(user: AccessUser, password: string): Promise<Outcome<AccessUser>>;
  /** What is undefined stays. NOT_FOUND. */
  changeUser(username: string, change: { password?: string; isSuperuser?: boolean }): Promise<Outcome<AccessUser>>;
  removeUser(username: string): Promise<Outcome<void>>;

  /** Those of all included, as `all`. */
  ruleLists(): Outcome<readonly AccessRuleList[]>;
  rules(of: RuleOwner): Outcome<AccessRuleList>;
  /** Replaces the list. With `isNew`, ALREADY_EXISTS where there is one. */
  setRules(list: AccessRuleList, options: { isNew: boolean }): Promise<Outcome<AccessRuleList>>;
  removeRules(of: RuleOwner): Promise<Outcome<void>>;

  /** Those in force. */
  bans(): Outcome<readonly AccessBan[]>;
  ban(ban: AccessBan): Promise<Outcome<AccessBan>>;
  unban(as: BannedAs, who: string): Promise<Outcome<void>>;
}

export interface AccessUser {
  username: string;
  isSuperuser: boolean;
}

export type RuleOwner = { kind: 'all' } | { kind: 'username' | 'clientid'; name: string };

export interface AccessRuleList {
  of: RuleOwner;
  rules: readonly AccessRule[];
}

export const BANNED_AS = ['clientid', 'username', 'peerhost'] as const;
export type BannedAs = (typeof BANNED_AS)[number];

export interface AccessBan {
  as: BannedAs;
  who: string;
  by: string;
  reason: string;
  atMs: number;
  /** 0: for ever. */
  untilMs: number;
}
