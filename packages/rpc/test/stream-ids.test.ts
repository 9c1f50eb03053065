import http2 from 'node:http2';
import { afterEach, expect, jest, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '../src/address-book.ts';

/** Of a stream that a client opens: RFC 9113, 5.1.1. */
const LAST_STREAM_ID = 2 ** 31 - 1;
/** A client's session has it as well; the types name it for servers alone. */
type Numbered = { setNextStreamID(id: number): void };
/** Every connection begins as one that has been asked a billion times. */
const left: number[] = [];
jest.unstable_mockModule('node:http2', () => ({
  ...http2,
  connect: (...given: Parameters<typeof http2.connect>) => {
    const session = http2.connect(...given);
    const streams = left.shift();
    if (streams !== undefined)
      session.once('connect', () =>
        (session as unknown as Numbered).setNextStreamID(LAST_STREAM_ID - 2 * (streams - 1)),
      );
    return session;
  },
}));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test('a connection that has no number left for another stream is followed by a new one', async () => {
  const { GrpcServer } = await import('../src/grpc/grpc-server.ts');
  const { GrpcTransport } = await import('../src/grpc/grpc-transport.ts');
  const parts = { addresses: new AddressBook(), tls: undefined, logger: silentLogger, clock: systemClock };
  const server = new GrpcServer({ ...parts, metrics: new PlainMetrics() });
  server.setIdentity({ clusterId: 'a', nodeId: 2 });
  server.serveCall('gateway-load', async () => ({
    type: 'load',
    connections: 0,
    isShedding: false,
    target: 0,
    sent: 0,
  }));
  cleanups.push(() => server.shutdown());
  parts.addresses.set(2, `127.0.0.1:${await server.listen('127.0.0.1', 0)}`);
  const client = new GrpcTransport(parts);
  client.setIdentity({ clusterId: 'a', nodeId: 1 });
  cleanups.push(() => client.shutdown());
  left.push(2);
  const answers: string[] = [];
  for (let asked = 0; asked < 5; asked++) {
    const answer = client.call<unknown, { type: string }>(2, 'gateway-load', { type: 'look' });
    answers.push(
      await answer.then(
        ({ type }) => type,
        (cause) => cause.code,
      ),
    );
  }
  expect(answers).toEqual(['load', 'load', 'PEER_UNAVAILABLE', 'load', 'load']);
});
