import type { Socket } from 'node:net';
import { afterEach, expect, jest, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '../src/address-book.ts';
import type { AppendRequest, AppendResponse } from '../src/contract/append.ts';
import { GrpcServer } from '../src/grpc/grpc-server.ts';
import { GrpcTransport } from '../src/grpc/grpc-transport.ts';
import { SILENCE_LOOK_MS, SILENT_LOOKS } from '../src/grpc/limits.ts';
import { silenceWatch } from '../src/grpc/silence-watch.ts';
import { ChokedProxy } from './support/choked-proxy.ts';
import { standingClock } from './support/standing-clock.ts';
import { until } from './support/until.ts';

const MESSAGE_BYTES = 256 * 1024;
/** What comes through between two looks. */
const BIT_BYTES = 4 * 1024;

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  standingClock.end();
  jest.restoreAllMocks();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A channel over a wire that is slow in one direction, on which nothing is ever answered. */
async function slowChannel() {
  const sockets = new Map<string, Socket>();
  const watch = silenceWatch.watch.bind(silenceWatch);
  jest.spyOn(silenceWatch, 'watch').mockImplementation((session, socket, end, silent) => {
    sockets.set(end, socket);
    watch(session, socket, end, silent);
  });
  standingClock.begin();
  const server = new GrpcServer({
    tls: undefined,
    addresses: new AddressBook(),
    logger: silentLogger,
    metrics: new PlainMetrics(),
    clock: systemClock,
  });
  server.setIdentity({ clusterId: 'cluster-a', nodeId: 2 });
  const heard: number[] = [];
  let opened = false;
  server.serveChannel<AppendRequest, AppendResponse>('append', (channel) => {
    opened = true;
    channel.onMessage(({ batch }) => heard.push(batch.length));
  });
  const proxy = new ChokedProxy(await server.listen('127.0.0.1', 0));
  const addresses = new AddressBook();
  addresses.set(2, `127.0.0.1:${await proxy.listen()}`);
  const client = new GrpcTransport({ addresses, tls: undefined, logger: silentLogger, clock: systemClock });
  client.setIdentity({ clusterId: 'cluster-a', nodeId: 1 });
  cleanups.push(
    () => standingClock.end(),
    () => server.shutdown(),
    () => client.shutdown(),
    () => proxy.close(),
  );
  const channel = client.open<AppendRequest, AppendResponse>(2, 'append');
  const state = { closed: false };
  channel.onClose(() => {
    state.closed = true;
  });
  await until(
    () => opened && sockets.size === 2 && (sockets.get('opener') as Socket).bytesRead === proxy.answeredBytes,
  );
  return {
    proxy,
    channel,
    state,
    heard,
    server: sockets.get('server') as Socket,
    opener: sockets.get('opener') as Socket,
  };
}

test('a connection whose questions wait behind much that comes through slowly is not given up', async () => {
  const { proxy, channel, state, heard, server, opener } = await slowChannel();
  proxy.choke();
  channel.send({ sequence: 1, partition: 1, batch: new Uint8Array(MESSAGE_BYTES) });
  await until(() => proxy.waitingBytes >= MESSAGE_BYTES);
  for (let i = 0; i < 4 * SILENT_LOOKS; i++) {
    proxy.let(BIT_BYTES);
    await until(() => server.bytesRead === proxy.passedBytes && opener.bytesRead === proxy.answeredBytes);
    standingClock.pass(SILENCE_LOOK_MS);
  }
  expect(state.closed).toBe(false);
  proxy.let(2 * MESSAGE_BYTES);
  await until(() => heard.length > 0);
  expect(heard).toEqual([MESSAGE_BYTES]);
});

test('one on which nothing comes through is', async () => {
  const { proxy, channel, state } = await slowChannel();
  proxy.choke();
  channel.send({ sequence: 1, partition: 1, batch: new Uint8Array(MESSAGE_BYTES) });
  await until(() => proxy.waitingBytes >= MESSAGE_BYTES);
  for (let i = 0; i <= SILENT_LOOKS; i++) standingClock.pass(SILENCE_LOOK_MS);
  await until(() => state.closed);
});
