import { connect } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { status } from '@grpc/grpc-js';
import { expect, test } from '@jest/globals';
import { OpenedStream } from '../src/grpc/opened-stream.ts';
import { until } from './support/until.ts';

test('a stream that is given up ends although its connection was never made', async () => {
  // As where packets are dropped: the system goes on trying, less and less often.
  const socket = connectTcp({ host: 'nowhere.invalid', port: 1, lookup: () => {} });
  const session = connect('http://127.0.0.1', { createConnection: () => socket });
  session.on('error', () => {});
  const ended: status[] = [];
  const stream = new OpenedStream(
    session.request({ ':method': 'POST', ':path': '/' }),
    { accepted: () => {}, message: () => {}, ended: ({ code }) => ended.push(code) },
    () => '',
  );
  stream.cancel();
  await until(() => ended.length > 0);
  expect(ended).toEqual([status.UNAVAILABLE]);
  session.destroy();
});
