import type { AddressInfo, Server } from 'node:net';
import { SluiceError } from '@sluice/common/errors';

export interface BoundAddress {
  host: string;
  port: number;
}

/**
 * Connections that the system has made and nobody accepted yet. Node.js asks for 511: of five thousand clients that come at once, as they do
 * after a failure, it then forgets some hundreds that believe to be connected, and resets them. The system gives as much as
 * it may (net.core.somaxconn, 4096).
 */
const BACKLOG = 65_535;

/** What to do about `unaccepted`. */
export const UNACCEPTED_HINT =
  'this process has as many open files as it may: raise the limit (ulimit -n, LimitNOFILE)';

/**
 * Binds a port; port 0 takes a free one, which the answer names.
 *
 * A server emits `error` when it cannot bind, and again, while it listens, for a connection that it could not accept: the
 * process may have no more open files. Who listens for the first only, and once, is ended by Node.js at the second of the
 * others, with all connections that went well. Here these are told to `unaccepted`, and the server goes on: what could not
 * be accepted waits, or is turned away by the system.
 *
 * @param purpose who is to connect: `for other nodes`; it stands in the error of a port that cannot be had
 * @throws SluiceError LISTEN_FAILED
 */
export function listenOn(
  server: Server,
  { host, port }: BoundAddress,
  { purpose, unaccepted }: { purpose: string; unaccepted: (cause: Error) => void },
): Promise<BoundAddress> {
  return new Promise((resolve, reject) => {
    const refused = (cause: NodeJS.ErrnoException): void => {
      const hint = HINTS.get(cause.code) ?? 'choose another address';
      reject(
        new SluiceError('LISTEN_FAILED', `cannot listen ${purpose} on ${host}:${port}: ${cause.message}`, {
          hint,
          cause,
        }),
      );
    };
    server.once('error', refused);
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off('error', refused);
      server.on('error', unaccepted);
      const bound = server.address() as AddressInfo;
      resolve({ host: bound.address, port: bound.port });
    });
  });
}

const HINTS: ReadonlyMap<string | undefined, string> = new Map([
  ['EADDRINUSE', 'another process listens there: stop it, or choose another address'],
  ['EADDRNOTAVAIL', 'this machine does not have that address: choose another address'],
  ['EACCES', 'this user may not listen there: choose another address, with a port above 1023'],
]);
