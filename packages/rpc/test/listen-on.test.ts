import { createServer, type Server } from 'node:net';
import { afterEach, expect, jest, test } from '@jest/globals';
import { listenOn } from '../src/listen-on.ts';

const servers: Server[] = [];
const server = (): Server => {
  const made = createServer();
  servers.push(made);
  return made;
};
const nobody = (): never => {
  throw new Error('nothing was to be accepted');
};

afterEach(() => {
  for (const made of servers.splice(0)) made.close();
});

test('connections that cannot be accepted are told, each, and the server goes on', async () => {
  const listening = server();
  const told: string[] = [];
  const at = { host: '127.0.0.1', port: 0 };
  const bound = await listenOn(listening, at, {
    purpose: 'for tests',
    unaccepted: ({ message }) => told.push(message),
  });
  // What Node.js emits when the system has no descriptor left; without a listener it ends the process.
  listening.emit('error', new Error('accept EMFILE'));
  listening.emit('error', new Error('accept ENFILE'));
  expect(told).toEqual(['accept EMFILE', 'accept ENFILE']);
  expect(listening.listening).toBe(true);
  expect(bound.port).toBeGreaterThan(0);
});

test('clients that come all at once find room to wait in, as much as the system gives', async () => {
  const listening = server();
  const listen = jest.spyOn(listening, 'listen');
  await listenOn(listening, { host: '127.0.0.1', port: 0 }, { purpose: 'for tests', unaccepted: nobody });
  // Node.js asks for 511 by itself.
  expect(listen.mock.calls[0]?.[0]).toMatchObject({ backlog: 65_535 });
});

test('a port that somebody has is refused by name, with what to do', async () => {
  const at = await listenOn(server(), { host: '127.0.0.1', port: 0 }, { purpose: 'for tests', unaccepted: nobody });
  await expect(listenOn(server(), at, { purpose: 'for tests', unaccepted: nobody })).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
    message: expect.stringContaining(`cannot listen for tests on 127.0.0.1:${at.port}`),
    hint: expect.stringContaining('another process listens there'),
  });
});

test('so is an address of another machine', async () => {
  const elsewhere = { host: '203.0.113.7', port: 0 };
  await expect(listenOn(server(), elsewhere, { purpose: 'for tests', unaccepted: nobody })).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
    hint: expect.stringContaining('this machine does not have that address'),
  });
});
