import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/**
 * The socket below TLS. Who has hung up in a handshake has no address any more by then, and the wire keeps it if it was asked
 * when it came. Node.js keeps it there, and nothing that is documented leads to it: where that is gone, the address is.
 */
export function wireOf(socket: TLSSocket): Socket {
  return (socket as TLSSocket & { _parent?: Socket })._parent ?? socket;
}
