import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { PeerConnection } from '../src/grpc/peer-connection.ts';

let server = createServer();
let accepted: Socket[] = [];

beforeEach(async () => {
  accepted = [];
  server = createServer((socket) => {
    accepted.push(socket);
    socket.on('error', () => {}).resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  for (const socket of accepted) socket.destroy();
  server.close();
  await once(server, 'close');
});

test.each(['close', 'destroy'] as const)(
  '%s of one that is not made yet ends it, and it is never made',
  async (end) => {
    const { port } = server.address() as AddressInfo;
    const stood = await new Promise((resolve) => {
      const connection = new PeerConnection(`127.0.0.1:${port}`, [], undefined, resolve);
      connection[end]();
      expect(connection.isOpen).toBe(false);
    });
    expect(stood).toBe(false);
    // Whoever comes later is all that the server hears of; an attempt that went on would be there by now, and before it.
    let isMade = (): void => {};
    const made = new Promise<void>((resolve) => {
      isMade = resolve;
    });
    server.once('connection', () => isMade());
    const later = new PeerConnection(`127.0.0.1:${port}`, [], undefined, () => {});
    await made;
    later.destroy();
  },
);
