import type { Socket } from 'node:net';

/**
 * Finds out that a client is gone which is not read: its end stands behind bytes that nobody takes, and a reset, or that the
 * system's own keep-alive went unanswered, is told to whoever reads or writes. So nothing is written: no byte goes out, and
 * a socket that the system has given up refuses it and closes. One that has something to write hears of it by itself.
 *
 * `wire`: TLS encrypts nothing to nothing and asks nobody.
 */
export function probe(wire: Socket): void {
  if (wire.writable && wire.writableLength === 0) wire.write(NOTHING);
}

const NOTHING = new Uint8Array(0);
