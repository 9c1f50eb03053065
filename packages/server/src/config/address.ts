/** Where a listener binds, or a peer is found. */
export interface Address {
  host: string;
  /** 0 lets the system choose. */
  port: number;
}

export type ParsedAddress = { ok: true; address: Address | null } | { ok: false; message: string };

/** `HOST:PORT`, `[IPV6]:PORT`, or `none` (null). A port alone is refused: it would hide on which interfaces it opens. */
export function parseAddress(text: string): ParsedAddress {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === 'none') return { ok: true, address: null };
  if (/^:?\d+$/.test(trimmed)) {
    const port = trimmed.replace(':', '');
    return {
      ok: false,
      message: `has no host: write "127.0.0.1:${port}" for this machine only, "0.0.0.0:${port}" for every interface`,
    };
  }
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(trimmed);
  if (match === null) return { ok: false, message: 'must be HOST:PORT, for example "127.0.0.1:1883", or none' };
  const port = Number(match[3]);
  if (port > 65_535) return { ok: false, message: 'has a port above 65535' };
  return { ok: true, address: { host: (match[1] ?? match[2]) as string, port } };
}

export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * True only for what cannot be reached from another machine. A name other than `localhost` is not looked up: what it
 * means may change between this check and the bind.
 */
export function isLoopback(host: string): boolean {
  const bare = host.toLowerCase();
  if (bare === 'localhost' || bare === '::1') return true;
  const octets = /^(?:::ffff:)?127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(bare);
  return octets?.slice(1).every((octet) => Number(octet) <= 255) ?? false;
}
