import { expect, test } from '@jest/globals';
import { OutboundMessage } from '@sluice/mqtt/protocol/outbound-message';
import { STREAM_ID_MIN } from '@sluice/queue/session/stream-id';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { SessionAnswer } from '@sluice/store-client/session/session-questions';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
import type { GatewaySession } from '../../src/deliver/gateway-session.ts';
import type { PublishIngress } from '../../src/publish/publish-ingress.ts';
import { StoredSession } from '../../src/session/stored-session.ts';
import { StreamSource } from '../../src/session/stream-message.ts';

const ANSWER = plainSessionAnswer({ present: true });
const STREAM_ID = STREAM_ID_MIN + 1;

/** A session that ends with one QoS 1 delivery unanswered, or none, or one that was not sent again yet. */
function ended({ inFlight = 0, holdsUnsure = false, unsure = [] as SessionAnswer['unsure'], expiryS = 60 }) {
  const said: string[] = [];
  const answers: ((answer: SessionAnswer) => void)[] = [];
  const client = {
    attach: () => {},
    detach: () => said.push('detach'),
    exchange: () => new Promise<SessionAnswer>((resolve) => answers.push(resolve)),
    close: (_key: unknown, _expiryS: number, _takesWillBack: boolean, leavesUnsure: boolean) => {
      said.push(leavesUnsure ? 'close, unsure' : 'close');
      return Promise.resolve(ANSWER);
    },
  } as unknown as SessionClient;
  const messages = Array.from({ length: inFlight }, (_, i) => {
    const source = new StreamSource({ done: () => {} }, STREAM_ID, i);
    const outbound = new OutboundMessage({} as OutboundMessage['message'], 1, false, 0, source, false);
    outbound.packetId = 1 + i;
    return outbound;
  });
  const session = {
    queueWindow: 10,
    holdsUnsure,
    cut: () => said.push('cut'),
    inflight: { messages: () => messages, leaveOut: () => {} },
  } as unknown as GatewaySession;
  const stored = new StoredSession(session, client, { partition: 1, clientId: 'c', epoch: 1 }, {} as PublishIngress);
  stored.begin({ ...ANSWER, unsure });
  stored.close(expiryS, false);
  return { said, answers };
}

const turn = () => new Promise(setImmediate);

test('a session ends behind the word of what it had sent, and without that word says so', async () => {
  for (const [status, end] of [
    ['done', 'close'],
    ['unavailable', 'close, unsure'],
    ['fenced', 'close, unsure'],
  ] as const) {
    const { said, answers } = ended({ inFlight: 2 });
    await turn();
    expect(said).toEqual(['detach']);
    answers[0]?.({ ...ANSWER, status });
    await turn();
    expect(said).toEqual(['detach', end]);
  }
});

test('it ends at once when it left nothing, or is over; what it was not brought, or did not send, the next one is told', () => {
  expect(ended({}).said).toEqual(['close']);
  expect(ended({ inFlight: 1, expiryS: 0 }).said).toEqual(['close']);
  expect(ended({ holdsUnsure: true }).said).toEqual(['close, unsure']);
  expect(ended({ unsure: [{ streamId: STREAM_ID, before: 3 }] }).said).toEqual(['close, unsure']);
});
