import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
import type { RouteTable } from '../../src/route/route-table.ts';
import { SessionClient } from '../../src/session/session-client.ts';
import { SessionQuestions } from '../../src/session/session-questions.ts';
import { ScriptedTransport } from '../doubles/scripted-transport.ts';

const key = { partition: 7, clientId: 'c', epoch: 5 };
const letGo: SessionsRequest = {
  type: 'pass',
  partition: 7,
  items: [{ clientId: 'c', epoch: 5, streamId: 0, offset: 0 }],
};

let sessions: SessionClient | undefined;
afterEach(() => {
  jest.useRealTimers();
  void sessions?.stop(0);
});

test('a store is told that a lost session has been let go when its connection is over, and only by who had it', () => {
  const transport = new ScriptedTransport<SessionsRequest, SessionsResponse>();
  const routes: Partial<RouteTable> = { candidate: () => 2, leaderOf: () => 2 };
  sessions = new SessionClient({
    topology: { nodes: () => [] },
    routes: routes as RouteTable,
    transport,
    clock: { nowMs: () => 0, monotonicMs: () => 0 },
    logger: silentLogger,
    streams: { streams: () => {} },
  });
  const told: string[] = [];
  transport.sent = (_channel, request) => told.push(request.type);
  sessions.attach(key, 10, { delivered: () => {}, lost: () => told.push('over') });
  const store = transport.to(2);
  store.say({ type: 'lost', partition: 7, clientId: 'c', epoch: 4 });
  expect(told).toEqual(['attach']);
  for (let i = 0; i < 2; i++) store.say({ type: 'lost', partition: 7, clientId: 'c', epoch: 5 });
  expect([told, store.requests.at(-1)]).toEqual([['attach', 'over', 'pass'], letGo]);
});

describe('an open whose copy is on its way when it is over', () => {
  const client = { clientId: 'c', identity: '', cleanStart: false, expiryS: 60, ticket: 3, will: undefined };
  const transport = new ScriptedTransport<SessionsRequest, SessionsResponse>();
  let node = 2;
  let nowMs = 0;

  function start(): SessionClient {
    jest.useFakeTimers();
    nowMs = 0;
    node = 2;
    const routes = { candidate: () => node, leaderOf: () => node, suspect: () => {}, confirmed: () => {} };
    sessions = new SessionClient({
      topology: { nodes: () => [] },
      routes: routes as unknown as RouteTable,
      transport,
      clock: { nowMs: () => 0, monotonicMs: () => nowMs },
      logger: silentLogger,
      streams: { streams: () => {} },
    });
    return sessions;
  }

  function pass(ms: number): void {
    nowMs += ms;
    jest.advanceTimersByTime(SessionClient.TICK_MS);
  }

  const answerTo = (request: SessionsRequest | undefined, epoch: number): SessionsResponse => {
    const { requestId } = request as Extract<SessionsRequest, { type: 'open' }>;
    return { ...plainSessionAnswer({ epoch }), type: 'answer', requestId, status: 'done', leader: 0 };
  };
  const closed = (): unknown[] =>
    transport.channels.flatMap(({ requests }) => requests).filter(({ type }) => type === 'close');

  test('answered by another store: what the first one begins later is closed, and its will not left', async () => {
    const opened = start().open(7, client, 5_000);
    const first = transport.to(2);
    node = 3;
    pass(SessionQuestions.ANSWER_MS_MAX);
    const [asked] = first.requests;
    transport.to(3).say(answerTo(asked, 9));
    expect(await opened).toMatchObject({ status: 'done', epoch: 9 });
    // The same connection, if it still is one.
    first.say(answerTo(asked, 9));
    expect(closed()).toEqual([]);
    first.say(answerTo(asked, 12));
    const ofNobody = { partition: 7, clientId: 'c', epoch: 12, expiryS: 60 };
    expect(closed()).toMatchObject([{ ...ofNobody, takesWillBack: true, leavesUnsure: false }]);
  });

  test('given up: what it begins later is closed', async () => {
    const opened = start().open(7, client, 1_000);
    const [asked] = transport.to(2).requests.slice(-1);
    pass(1_000);
    expect(await opened).toMatchObject({ status: 'unavailable' });
    const before = closed().length;
    transport.to(2).say(answerTo(asked, 4));
    expect(closed().slice(before)).toMatchObject([{ epoch: 4, takesWillBack: true }]);
  });
});
