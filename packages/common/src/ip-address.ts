/**
 * The one text of an IP address. It can be written in many ways, and a ban, a rule or a bound that goes by another way of
 * writing it than the connection's would be kept, be listed, and concern nobody. So whatever comes from outside goes through
 * here: the shortest form, and an IPv4 client of a listener that is bound to both families is the same client as that
 * of any other. Undefined for what is no address: a network, or a name.
 */
export function addressOf(text: string): string | undefined {
  if (IPV4.test(text)) return text;
  const [, address, zone = ''] = IPV6.exec(text) ?? [];
  if (address === undefined || !URL.canParse(`http://[${address}]`)) return undefined;
  const shortest = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = MAPPED.exec(shortest);
  if (mapped !== null) return [mapped[1], mapped[2]].flatMap(bytesOf).join('.');
  return shortest + zone;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
/** What may be one; and the network interface it is an address of, which is no part of it. */
const IPV6 = /^([0-9a-f.]*:[0-9a-f.:]*)(%[0-9a-z.:-]+)?$/i;
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

function bytesOf(group: string | undefined): [number, number] {
  const value = Number.parseInt(group ?? '0', 16);
  return [value >> 8, value & 0xff];
}
