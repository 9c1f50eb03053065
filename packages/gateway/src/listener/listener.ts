import type { Server } from 'node:net';

export interface Address {
  host: string;
  port: number;
}

/** A bound address. `stop` refuses new connections; those accepted go on. */
export interface Listener {
  readonly address: Address;
  stop(): void;
}

export function stopListening(server: Server): void {
  server.close();
}

export function peerNameOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
