import { afterEach, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { RouteTable } from '../src/route-table.ts';
import { SessionClient } from '../src/session-client.ts';
import { ScriptedTransport } from './doubles/scripted-transport.ts';

const key = { partition: 7, clientId: 'c', epoch: 5 };
const letGo: SessionsRequest = {
  type: 'pass',
  partition: 7,
  items: [{ clientId: 'c', epoch: 5, streamId: 0, offset: 0 }],
};

let sessions: SessionClient | undefined;
afterEach(() => sessions?.stop(0));

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
