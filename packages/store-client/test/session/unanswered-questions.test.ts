import { afterEach, expect, test } from '@jest/globals';
import { type LogFields, type Logger, silentLogger } from '@sluice/common/logger';
import type { SessionsRequest, SessionsResponse, SessionsStatus } from '@sluice/rpc/contract/sessions';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
import type { RouteTable } from '../../src/route/route-table.ts';
import { SessionClient } from '../../src/session/session-client.ts';
import { UnansweredQuestions } from '../../src/session/unanswered-questions.ts';
import { ScriptedTransport } from '../doubles/scripted-transport.ts';

const PATIENCE_MS = 5_000;
const client = { clientId: 'c', identity: '', cleanStart: false, expiryS: 60, ticket: 3, will: undefined };

let sessions: SessionClient | undefined;
afterEach(() => sessions?.stop(0));

test('a partition that does not answer about sessions is told of with what was heard, once in a while', async () => {
  const told: LogFields[] = [];
  const logger: Logger = { ...silentLogger, warn: (fields) => told.push(fields) };
  const transport = new ScriptedTransport<SessionsRequest, SessionsResponse>();
  const kept = plainSessionAnswer({ epoch: 0 });
  let nowMs = 1_000;
  let status: SessionsStatus = 'busy';
  transport.sent = (channel, request) => {
    if (!('requestId' in request)) return;
    channel.say({ type: 'answer', requestId: request.requestId, leader: 0, ...kept, status });
    // Its patience is over with the next look.
    if (status === 'busy') nowMs += PATIENCE_MS;
  };
  const nothing = (): void => {};
  const news = { suspect: nothing, hinted: nothing, confirmed: nothing };
  const routes: Partial<RouteTable> = { candidate: () => 2, leaderOf: () => 3, ...news };
  sessions = new SessionClient({
    topology: { nodes: () => [] },
    routes: routes as RouteTable,
    transport,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger,
    streams: { streams: () => {} },
  });
  const open = () => sessions?.open(7, client, PATIENCE_MS);

  expect(await open()).toMatchObject({ status: 'unavailable' });
  const first = { partition: 7, asked: 'open', waitedMs: PATIENCE_MS, attempts: 1, said: 'busy', store: 2, leader: 3 };
  expect(told).toEqual([{ ...first, others: 0 }]);
  await open();
  expect(told).toHaveLength(1);
  nowMs += UnansweredQuestions.REPEAT_MS;
  await open();
  expect(told.slice(1)).toEqual([{ ...first, others: 1 }]);
  status = 'done';
  expect(await open()).toMatchObject({ status: 'done' });
  expect(told).toHaveLength(2);
});
