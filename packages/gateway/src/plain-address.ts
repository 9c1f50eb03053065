import { isIP } from 'node:net';

/**
 * An IPv4 client of a listener that is bound to both families is the same client as that of any other: bans, rules and what
 * one address may have are about it, however the system writes it.
 */
export function plainAddress(host: string): string {
  return host.toLowerCase().startsWith(MAPPED) && isIP(host.slice(MAPPED.length)) === 4
    ? host.slice(MAPPED.length)
    : host;
}

const MAPPED = '::ffff:';
