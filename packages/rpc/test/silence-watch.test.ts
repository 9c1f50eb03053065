import { EventEmitter } from 'node:events';
import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { SILENCE_LOOK_MS, SILENT_LOOKS } from '../src/grpc/limits.ts';
import { silenceWatch } from '../src/grpc/silence-watch.ts';

const ends: End[] = [];

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  for (const end of ends.splice(0)) end.emit('close');
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

/** One end of a connection; what is asked here arrives at `peer`, and its answer here. */
class End extends EventEmitter {
  destroyed = false;
  bytesRead = 0;
  bytesWritten = 0;
  asked = 0;
  told = 0;
  ended = 0;
  peer: End | undefined;

  constructor(which: 'opener' | 'server') {
    super();
    ends.push(this);
    silenceWatch.watch(this as unknown as Http2Session, this as unknown as Socket, which, () => this.ended++);
  }

  ping(): boolean {
    this.asked++;
    this.bytesWritten += 17;
    if (this.peer === undefined) return true;
    this.peer.bytesRead += 17;
    this.peer.bytesWritten += 17;
    this.bytesRead += 17;
    return true;
  }

  setLocalWindowSize(): void {
    this.told++;
    this.bytesWritten += 13;
    if (this.peer !== undefined) this.peer.bytesRead += 13;
  }
}

const looks = (count: number): void => jest.advanceTimersByTime(count * SILENCE_LOOK_MS);

test('of two idle ends the opener asks, every second look, and neither is taken for gone', () => {
  const [opener, server] = [new End('opener'), new End('server')];
  opener.peer = server;
  server.peer = opener;
  looks(10 * SILENT_LOOKS);
  expect([opener.asked, server.asked]).toEqual([5 * SILENT_LOOKS, 0]);
  expect([opener.ended, server.ended]).toEqual([0, 0]);
});

test('who hears much and says nothing says that it hears; signs of life are answered by nobody', () => {
  const [opener, server] = [new End('opener'), new End('server')];
  server.peer = opener;
  // What the opener asks does not arrive: it waits behind the rest.
  for (let i = 0; i < 3 * SILENT_LOOKS; i++) {
    opener.bytesWritten += 10_000;
    server.bytesRead += 10_000;
    looks(1);
  }
  const { told } = server;
  expect(told).toBeGreaterThanOrEqual(SILENT_LOOKS);
  opener.peer = server;
  looks(3 * SILENT_LOOKS);
  expect([opener.told, server.told]).toEqual([0, told]);
  expect([opener.ended, server.ended]).toEqual([0, 0]);
});

test('who hears and says something says nothing more', () => {
  const end = new End('server');
  for (let i = 0; i < 10; i++) {
    end.bytesRead += 10_000;
    end.bytesWritten++;
    looks(1);
  }
  expect(end.told).toBe(0);
});

test('an opener that only hears is asked by the server', () => {
  const [opener, server] = [new End('opener'), new End('server')];
  opener.peer = server;
  server.peer = opener;
  for (let i = 0; i < 3 * SILENT_LOOKS; i++) {
    opener.bytesRead++;
    looks(1);
  }
  expect(opener.asked).toBe(0);
  expect(server.asked).toBe(SILENT_LOOKS);
  expect([opener.ended, server.ended]).toEqual([0, 0]);
});

test.each(['opener', 'server'] as const)('whoever is heard is not asked for life, at the end of the %s', (which) => {
  const end = new End(which);
  for (let i = 0; i < 3 * SILENT_LOOKS; i++) {
    end.bytesRead++;
    looks(1);
  }
  expect([end.asked, end.ended]).toEqual([0, 0]);
});

test.each(['opener', 'server'] as const)(
  'a peer of the %s that answers nothing is asked once and gone with the last look',
  (which) => {
    const end = new End(which);
    looks(SILENT_LOOKS - 1);
    expect([end.asked, end.ended]).toEqual([1, 0]);
    looks(1);
    expect([end.asked, end.ended]).toEqual([1, 1]);
  },
);

test('a sign of life, however late, begins anew', () => {
  const end = new End('opener');
  looks(SILENT_LOOKS - 1);
  end.bytesRead++;
  looks(SILENT_LOOKS);
  expect([end.asked, end.ended]).toEqual([2, 0]);
  looks(1);
  expect([end.asked, end.ended]).toEqual([2, 1]);
});
