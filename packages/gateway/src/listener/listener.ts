import type { AddressInfo, Server } from 'node:net';
import { SluiceError } from '@sluice/common/errors';

export interface Address {
  host: string;
  port: number;
}

/** A bound address. `stop` refuses new connections; those accepted go on. */
export interface Listener {
  readonly address: Address;
  stop(): void;
}

/** Binds; port 0 takes a free one, which the answer names. */
export function listenOn(server: Server, address: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    const refused = (cause: Error): void => {
      reject(
        new SluiceError('LISTEN_FAILED', `cannot listen on ${address.host}:${address.port}: ${cause.message}`, {
          hint: 'Choose another address, or stop whoever has this one.',
          cause,
        }),
      );
    };
    server.once('error', refused);
    server.listen(address.port, address.host, () => {
      server.off('error', refused);
      // Out of file descriptors, for one: new connections wait, the listener goes on.
      server.on('error', () => {});
      const bound = server.address() as AddressInfo;
      resolve({ host: bound.address, port: bound.port });
    });
  });
}

export function stopListening(server: Server): void {
  server.close();
}

export function peerNameOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
