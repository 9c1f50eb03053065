import { isIP } from 'node:net';

/**
 * An address as gateways know those of their clients. One address can be written in many ways, and a ban of another way of
 * writing it would be kept, be listed, and keep nobody out. Undefined for what is no address: a network, or a name.
 */
export function addressOf(text: string): string | undefined {
  const family = isIP(text);
  if (family === 0) return undefined;
  if (family === 4) return text;
  const [address = '', zone] = text.split('%');
  const shortest = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(shortest);
  // An IPv4 client of a listener bound to both families is the same client.
  if (mapped !== null) return [mapped[1], mapped[2]].flatMap(bytesOf).join('.');
  return zone === undefined ? shortest : `${shortest}%${zone}`;
}

function bytesOf(group: string | undefined): [number, number] {
  const value = Number.parseInt(group ?? '0', 16);
  return [value >> 8, value & 0xff];
}
