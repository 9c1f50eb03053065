import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import { NOBODY, type SessionAnswer } from '@sluice/store-client/session/session-questions';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
import { ANSWER_MS_MAX } from '../../src/connection/connection-deadline.ts';
import { StoredSessions } from '../../src/session/stored-sessions.ts';
import { TestGateway, until } from '../doubles/test-gateway.ts';

/** A CONNECT whose session is kept waits for its partition; the time that its own bytes may take is not the stores'. */
let gateway: TestGateway;
let answers: ((answer: SessionAnswer) => void)[];
const kept = { properties: { sessionExpiryIntervalS: 60 } };

beforeEach(async () => {
  answers = [];
  const client = {
    open: () => new Promise<SessionAnswer>((resolve) => answers.push(resolve)),
    attach: () => {},
    detach: () => {},
    close: async () => plainSessionAnswer(),
  } as unknown as SessionClient;
  const sessions = new StoredSessions({ client, topology: { partitionCount: 1 }, expiryWithoutPropertyS: 60 });
  gateway = await TestGateway.start({ connectTimeoutMs: 2_000 }, undefined, undefined, undefined, sessions);
});
afterEach(() => gateway.stop());

const unavailable = (): number => gateway.counter('connects_total', { result: 'server_unavailable' });

test('it is waited for beyond the time of a CONNECT, while others are served', async () => {
  const [silent, waiting, other] = [await gateway.raw(), await gateway.raw(), await gateway.raw()];
  const connack = waiting.hello('waiting', kept);
  await until(() => answers.length === 1);
  expect(await other.hello('')).toMatchObject({ reasonCode: 0 });
  gateway.clock.shiftMs += 3_000;
  await silent.untilClosed();
  other.send({ type: PacketType.PINGREQ });
  expect((await other.next()).type).toBe(PacketType.PINGRESP);
  answers[0]?.(plainSessionAnswer());
  expect(await connack).toMatchObject({ reasonCode: 0 });
  expect(unavailable()).toBe(0);
});

test.each([
  ['nobody answers in time', () => answers[0]?.(NOBODY)],
  [
    'nothing is heard at all',
    () => {
      gateway.clock.shiftMs += ANSWER_MS_MAX;
    },
  ],
])('it ends without a CONNACK when %s, and is counted', async (_case, ends) => {
  const waiting = await gateway.raw();
  const connack = waiting.hello('waiting', kept);
  await until(() => answers.length === 1);
  ends();
  await expect(connack).rejects.toThrow('closed without another packet');
  expect(unavailable()).toBe(1);
  // What the stores say then is nobody's.
  answers[0]?.(plainSessionAnswer());
  expect(gateway.gateway.counts().sessions).toBe(0);
});
