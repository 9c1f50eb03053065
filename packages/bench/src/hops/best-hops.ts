import { close, fdatasync, openSync, writev } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Hop, IMAGE_BYTES, type PreparedHop, SMALL_BYTES, TURN_MESSAGES } from './hop.ts';
import { IMAGE_PACING, type Pacing, SMALL_PACING } from './stream-hops.ts';

/** What the machine can do at best with the bytes of a message: copy them, send them to a neighbour, make them durable. */
export function bestHops(): Hop[] {
  return [
    { name: 'best-copy-256', what: 'a copy of 256 B', prepare: () => copying(SMALL_BYTES, 1_024) },
    { name: 'best-copy-256k', what: 'a copy of 256 KB', prepare: () => copying(IMAGE_BYTES, 8) },
    {
      name: 'best-socket-256',
      what: 'a socket, 64 × 256 B a write',
      prepare: () => socket(SMALL_BYTES * TURN_MESSAGES, TURN_MESSAGES, SMALL_PACING),
    },
    { name: 'best-socket-256k', what: 'a socket, 256 KB a write', prepare: () => socket(IMAGE_BYTES, 1, IMAGE_PACING) },
    ...[1, 64, 1_024].map(
      (records): Hop => ({
        name: `best-sync-${records}`,
        what: `writev and fdatasync, ${records.toLocaleString('en')} × 256 B`,
        prepare: (directory) => syncing(directory, records),
      }),
    ),
  ];
}

function copying(sizeBytes: number, messages: number): PreparedHop {
  const from = Buffer.alloc(sizeBytes, 1);
  const into = Buffer.alloc(sizeBytes);
  return {
    messages,
    round() {
      for (let i = 0; i < messages; i++) into.set(from);
    },
  };
}

/** Both ends in this process, as with the channel it is compared with; each write is answered by a few bytes. */
async function socket(writeBytes: number, messages: number, pacing: Pacing): Promise<PreparedHop> {
  const { server, near } = await connectedPair((far) => {
    let waiting = 0;
    far.on('data', (chunk) => {
      waiting += chunk.length;
      for (; waiting >= writeBytes; waiting -= writeBytes) far.write(ANSWER);
    });
  });
  const bytes = Buffer.alloc(writeBytes, 1);
  let answered = (): void => {};
  near.on('data', (chunk) => {
    for (let i = 0; i < chunk.length; i += ANSWER.length) answered();
  });
  return {
    messages: messages * pacing.round,
    round: () =>
      new Promise((resolve) => {
        let sent = 0;
        let left = pacing.round;
        answered = () => {
          if (--left === 0) resolve();
          else if (sent < pacing.round) {
            sent++;
            near.write(bytes);
          }
        };
        for (; sent < pacing.inflight; sent++) near.write(bytes);
      }),
    async close() {
      near.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
/** As long as an answer of a store, so that chunks hold whole ones. */
const ANSWER = Buffer.alloc(16, 1);

async function connectedPair(serve: (far: Socket) => void): Promise<{ server: Server; near: Socket }> {
  const server = createServer({ noDelay: true }, serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const near = createConnection({ host: '127.0.0.1', port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    near.once('connect', resolve);
    near.once('error', reject);
  });
  return { server, near };
}

function syncing(directory: string, records: number): PreparedHop {
  const fd = openSync(join(directory, 'file'), 'w');
  const buffers = [Buffer.alloc(records * SMALL_BYTES, 1)];
  let at = 0;
  return {
    messages: records,
    round: () =>
      new Promise((resolve, reject) => {
        writev(fd, buffers, at, (error, written) => {
          if (error !== null) {
            reject(error);
            return;
          }
          at += written;
          fdatasync(fd, (failure) => (failure === null ? resolve() : reject(failure)));
        });
      }),
    close: () => promisify(close)(fd),
  };
}
