import type { Socket } from 'node:net';
import { PROXY_HEAD_BYTES, type ProxiedPeer, proxyBodyBytes, readProxyHeader } from './proxy-header.ts';

/**
 * Takes the header off a socket, and not a byte more: what follows is TLS, HTTP or MQTT, and is read by whoever speaks that.
 * `done` is called once; never when the socket closes before.
 */
export function takeProxyHeader(
  socket: Socket,
  timeoutMs: number,
  done: (peer: ProxiedPeer | 'own' | 'invalid') => void,
): void {
  let head: Buffer | undefined;
  let bodyBytes = 0;
  const deadline = setTimeout(() => socket.destroy(), timeoutMs);
  socket.once('close', () => clearTimeout(deadline));
  const finish = (peer: ProxiedPeer | 'own' | 'invalid'): void => {
    clearTimeout(deadline);
    socket.off('readable', onReadable);
    // The stream notices in its next tick that nobody waits any more; whoever reads it next must come after that.
    process.nextTick(() => {
      if (!socket.destroyed) done(peer);
    });
  };
  const onReadable = (): void => {
    if (head === undefined) {
      head = (socket.read(PROXY_HEAD_BYTES) as Buffer | undefined) ?? undefined;
      if (head === undefined) return;
      const bytes = proxyBodyBytes(head);
      if (bytes === undefined) {
        finish('invalid');
        return;
      }
      bodyBytes = bytes;
    }
    const body = bodyBytes === 0 ? EMPTY : (socket.read(bodyBytes) as Buffer | null);
    if (body !== null) finish(readProxyHeader(head, body));
  };
  socket.on('readable', onReadable);
}

const EMPTY = Buffer.alloc(0);
