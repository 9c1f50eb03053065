import { BlockList, isIP } from 'node:net';
import { addressOf } from '@sluice/common/ip-address';
import type { AccessRule } from '@sluice/meta/access/access-rule';
import type { AccessSubject } from './authorizer.ts';
import type { RuleSource } from './rule-authorizer.ts';

/** Rules, and whom they concern: all that is said must hold; what is not said holds for everybody. */
export interface ScopedRules {
  readonly users: ReadonlySet<string> | undefined;
  readonly clientIds: ReadonlySet<string> | undefined;
  readonly addresses: BlockList | undefined;
  readonly rules: readonly AccessRule[];
}

/** The rules of a file, which may change while the node runs. */
export class FileRules implements RuleSource {
  #scopes: readonly ScopedRules[];

  constructor(scopes: readonly ScopedRules[]) {
    this.#scopes = scopes;
  }

  /** Who asks must hear of it (`RuleAuthorizer.changed`). */
  replace(scopes: readonly ScopedRules[]): void {
    this.#scopes = scopes;
  }

  *rulesFor(subject: AccessSubject): Iterable<AccessRule> {
    for (const { users, clientIds, addresses, rules } of this.#scopes) {
      if (users !== undefined && (subject.user === undefined || !users.has(subject.user))) continue;
      if (clientIds !== undefined && !clientIds.has(subject.clientId)) continue;
      if (addresses !== undefined && !isWithin(addresses, subject.peerHost)) continue;
      yield* rules;
    }
  }
}

/** Undefined when one of the texts is no address and no `address/prefix`: that one is returned as `wrong`. */
export function parseAddresses(texts: readonly string[]): { list: BlockList } | { wrong: string } {
  const list = new BlockList();
  for (const text of texts) {
    const [address = '', prefix, ...more] = text.split('/');
    const family = isIP(address);
    const bitsMax = family === 6 ? 128 : 32;
    const bits = prefix === undefined ? bitsMax : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
    if (family === 0 || more.length > 0 || bits < 0 || bits > bitsMax) return { wrong: text };
    list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
  }
  return { list };
}

export function isWithin(list: BlockList, host: string): boolean {
  const address = addressOf(host);
  return address !== undefined && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
