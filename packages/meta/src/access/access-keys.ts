/** How rows about a user, a client id or an address are keyed: what is before the first slash says what follows it. */
export const RULES_OF_ALL = 'all';
export const rulesOfUser = (username: string): string => `username/${username}`;
export const rulesOfClient = (clientId: string): string => `clientid/${clientId}`;

export const banOf = (as: 'clientid' | 'username' | 'peerhost', who: string): string => `${as}/${who}`;

/** `clientid/a/b`: `a/b` as clientid. */
export function splitAccessKey(key: string): { kind: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { kind: key, name: '' } : { kind: key.slice(0, slash), name: key.slice(slash + 1) };
}
