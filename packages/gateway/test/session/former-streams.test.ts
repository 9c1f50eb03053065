import { expect, test } from '@jest/globals';
import { STREAM_ID_MIN } from '@sluice/queue/session/stream-id';
import type { StoredFilter } from '@sluice/rpc/contract/sessions';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
import type { GatewaySession } from '../../src/deliver/gateway-session.ts';
import type { PublishIngress } from '../../src/publish/publish-ingress.ts';
import { StoredSession } from '../../src/session/stored-session.ts';

test('the stream that a filter had before it was subscribed to at QoS 0 is left, as by UNSUBSCRIBE', async () => {
  const passed: number[] = [];
  const streams = [1, 2, 0, 3].map((id) => (id === 0 ? 0 : STREAM_ID_MIN + id));
  const [first, other, , again] = streams as [number, number, number, number];
  const client = {
    attach: () => {},
    pass: (_key: unknown, streamId: number) => passed.push(streamId),
    subscribe: async (_key: unknown, [asked]: [StoredFilter]) => {
      const { filter, options, subscriptionId } = asked;
      const streamId = streams.shift() as number;
      return plainSessionAnswer({ subscriptions: [{ filter, options, subscriptionId, streamId }] });
    },
  } as unknown as SessionClient;
  const session = { queueWindow: 10, inflight: { leaveOut: () => {} } } as unknown as GatewaySession;
  const stored = new StoredSession(session, client, { partition: 1, clientId: 'c', epoch: 1 }, {} as PublishIngress);
  stored.begin(plainSessionAnswer({}));
  const subscribe = (text: string, qos: 0 | 1) => {
    const request = { kind: 'plain', filter: text } as const;
    const plain = {
      noLocal: false,
      retainAsPublished: false,
      subscriptionIdentifier: 0,
      isUnanswered: false,
      handle: undefined,
    };
    return stored.subscribe([{ text, request, qos, ...plain }]);
  };
  await subscribe('a', 1);
  await subscribe('b', 1);
  await subscribe('a', 0);
  await subscribe('a', 1);
  for (const streamId of [first, other, again]) stored.done({ streamId, offset: 0, isPassed: false });
  expect(passed).toEqual([other, again]);
});
