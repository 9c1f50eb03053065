import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '../src/address-book.ts';
import type { AppendRequest, AppendResponse } from '../src/contract/append.ts';
import { GrpcServer } from '../src/grpc/grpc-server.ts';
import { GrpcTransport } from '../src/grpc/grpc-transport.ts';
import { CALL_TIMEOUT_MS } from '../src/grpc/limits.ts';
import { encode } from '../src/wire/codec.ts';
import { CALL_CODECS, CHANNEL_CODECS } from '../src/wire/codecs.ts';
import { FrameWriter, splitFrame } from '../src/wire/frame.ts';
import { until } from './support/until.ts';

const CLUSTER = 'cluster-a';
const { path, request, response } = CHANNEL_CODECS.append;
/** More than a frame of HTTP/2, and enough to travel as it lies. */
const IMAGE_BYTES = 40_000;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What the codecs of this package write, as grpc-js is given it by anybody else. */
function bytesOf(codec: typeof request, messages: readonly unknown[]): Buffer {
  const writer = new FrameWriter(codec);
  for (const message of messages) writer.add(message);
  return Buffer.concat(writer.finish().pieces(0));
}

const read = (codec: typeof request, bytes: Buffer): unknown[] => splitFrame(bytes).map((part) => codec.read(part));
const same = (bytes: Buffer): Buffer => bytes;

function append(sequence: number): AppendRequest {
  return { sequence, partition: 1, batch: new Uint8Array(sequence % 2 === 0 ? IMAGE_BYTES : 10).fill(sequence) };
}

async function ourServer(): Promise<{ server: GrpcServer; port: number }> {
  const server = new GrpcServer({
    tls: undefined,
    addresses: new AddressBook(),
    logger: silentLogger,
    metrics: new PlainMetrics(),
    clock: systemClock,
  });
  server.setIdentity({ clusterId: CLUSTER, nodeId: 2 });
  cleanups.push(() => server.shutdown());
  return { server, port: await server.listen('127.0.0.1', 0) };
}

function theirClient(port: number): Client {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  cleanups.push(() => client.close());
  return client;
}

function metadata(): Metadata {
  const made = new Metadata();
  for (const [key, value] of Object.entries({ 'sluice-cluster': CLUSTER, 'sluice-from': '1', 'sluice-to': '2' })) {
    made.set(key, value);
  }
  return made;
}

async function theirServer(accept: (stream: ServerDuplexStream<Buffer, Buffer>) => void): Promise<number> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  server.register(path, accept, same, same, 'bidi');
  return await listening(server);
}

async function listening(server: Server): Promise<number> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanups.push(() => server.forceShutdown());
  return port;
}

function ourClient(port: number): GrpcTransport {
  const addresses = new AddressBook();
  addresses.set(2, `127.0.0.1:${port}`);
  const transport = new GrpcTransport({ addresses, tls: undefined, logger: silentLogger, clock: systemClock });
  transport.setIdentity({ clusterId: CLUSTER, nodeId: 1 });
  cleanups.push(() => transport.shutdown());
  return transport;
}

describe('streams of ours and of grpc-js', () => {
  test('its client, our server: messages both ways, and an end that says it was good', async () => {
    const { server, port } = await ourServer();
    const got: AppendRequest[] = [];
    server.serveChannel<AppendRequest, AppendResponse>('append', (channel) => {
      channel.onMessage((message) => {
        got.push(message);
        channel.send({ type: 'leading', partition: 1, term: message.sequence });
      });
    });
    const stream = theirClient(port).makeBidiStreamRequest(path, same, same, metadata());
    const answers: unknown[] = [];
    const statuses: number[] = [];
    stream.on('data', (bytes: Buffer) => answers.push(...read(response, bytes)));
    stream.on('status', ({ code }) => statuses.push(code));
    stream.on('error', () => {});
    const sent = [1, 2, 3, 4].map(append);
    for (const message of sent) stream.write(bytesOf(request, [message]));
    await until(() => answers.length === sent.length);
    expect(got).toEqual(sent);
    expect(answers).toEqual(sent.map(({ sequence }) => ({ type: 'leading', partition: 1, term: sequence })));
    stream.end();
    await until(() => statuses.length > 0);
    expect(statuses).toEqual([0]);
    expect(server.openChannels).toBe(0);
  });

  test('its client is refused in words, and held to the deadline that it sets', async () => {
    const { server, port } = await ourServer();
    const client = theirClient(port);
    const ended = (deadline: number | undefined): Promise<{ code: number; details: string }> =>
      new Promise((resolve) => {
        const options = deadline === undefined ? {} : { deadline };
        const stream = client.makeBidiStreamRequest(path, same, same, metadata(), options);
        stream.on('data', () => {});
        stream.on('error', () => {});
        stream.on('status', resolve);
      });
    expect(await ended(undefined)).toMatchObject({ code: 9, details: expect.stringContaining('no role') });
    server.serveChannel('append', (channel) => channel.onMessage(() => {}));
    expect(await ended(Date.now() + 100)).toMatchObject({ code: 4 });
    await until(() => server.openChannels === 0);
  });

  test('our client, its server: messages both ways, and an end by either', async () => {
    const got: unknown[] = [];
    const ends: string[] = [];
    const port = await theirServer((stream) => {
      stream.on('data', (bytes: Buffer) => {
        for (const message of read(request, bytes) as AppendRequest[]) {
          got.push(message);
          stream.write(bytesOf(response, [{ type: 'leading', partition: 1, term: message.sequence }]));
          if (message.sequence === 5) stream.end();
        }
      });
      stream.on('end', () => {
        ends.push('theirs');
        stream.end();
      });
    });
    const transport = ourClient(port);
    for (const last of [4, 5]) {
      const channel = transport.open<AppendRequest, AppendResponse>(2, 'append');
      const answers: unknown[] = [];
      let closed = 0;
      channel.onMessage((message) => answers.push(message));
      channel.onClose(() => closed++);
      const sent = [1, 2, 3, last].map(append);
      for (const message of sent) channel.send(message);
      await until(() => answers.length === sent.length);
      expect(got.splice(0)).toEqual(sent);
      expect(answers).toEqual(sent.map(({ sequence }) => ({ type: 'leading', partition: 1, term: sequence })));
      if (last === 4) channel.close();
      await until(() => closed === 1 && transport.openStreams === 0);
    }
    expect(ends).toContain('theirs');
  });

  test('a call of ours, answered by its server: what it says, why it refuses, and that it knows the deadline', async () => {
    const { path: method, request: asked, response: answer } = CALL_CODECS.metadata;
    const deadlines: unknown[] = [];
    const server = new Server();
    server.register(
      method,
      (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
        deadlines.push(call.getDeadline());
        const { epoch } = asked.read(call.request) as { epoch: number };
        if (epoch === 0) done({ code: 7, details: 'nicht für dich: 100 %', metadata: new Metadata() });
        else done(null, Buffer.from(encode(answer, { type: 'not-leader', leader: epoch + 1 })));
      },
      same,
      same,
      'unary',
    );
    const transport = ourClient(await listening(server));
    const askedMs = Date.now();
    expect(await transport.call(2, 'metadata', { type: 'reach', epoch: 41 })).toEqual({
      type: 'not-leader',
      leader: 42,
    });
    await expect(transport.call(2, 'metadata', { type: 'reach', epoch: 0 })).rejects.toThrow('nicht für dich: 100 %');
    for (const deadline of deadlines) {
      expect(Number(deadline)).toBeGreaterThanOrEqual(askedMs + CALL_TIMEOUT_MS);
      expect(Number(deadline)).toBeLessThanOrEqual(Date.now() + CALL_TIMEOUT_MS);
    }
    expect(deadlines).toHaveLength(2);
  });

  test('our client hears why its server refuses', async () => {
    const port = await theirServer((stream) => {
      stream.emit('error', { code: 7, details: 'nicht für dich: 100 %', metadata: new Metadata() });
    });
    const channel = ourClient(port).open<AppendRequest, AppendResponse>(2, 'append');
    await new Promise<void>((resolve) => channel.onClose(resolve));
    expect(channel.unsentBytes).toBe(0);
  });
});
