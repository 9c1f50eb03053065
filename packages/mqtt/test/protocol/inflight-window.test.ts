import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { type DeliverableMessage, NO_MESSAGE } from '../../src/protocol/deliverable-message.ts';
import { InflightWindow } from '../../src/protocol/inflight-window.ts';
import { OutboundMessage } from '../../src/protocol/outbound-message.ts';
import { settle } from '../../src/protocol/outbound-publish.ts';
import type { SessionState } from '../../src/protocol/session-state.ts';

const PAYLOAD_BYTES = 64 * 1024;

function sent(inflight: InflightWindow): OutboundMessage {
  const message: DeliverableMessage = { ...NO_MESSAGE, payload: new Uint8Array(PAYLOAD_BYTES) };
  const outbound = new OutboundMessage(message, 1, false, 0, undefined, false);
  inflight.open(outbound);
  return outbound;
}

test('what is settled is kept alive by nobody, though what knew it lives on as old garbage for a while', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
  const inflight = new InflightWindow(21);
  const session = { inflight } as unknown as SessionState;
  for (let i = 0; i < 20; i++) sent(inflight);
  // What there is by now is old, and what becomes garbage of it is not found by the collections of young objects below.
  collect();
  collect();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 400; i++) {
    const { packetId } = sent(inflight);
    settle(session, inflight.get(packetId - 20) as OutboundMessage, true);
    if (i % 20 === 0) collect({ type: 'minor' });
  }
  for (let i = 0; i < 3; i++) collect({ type: 'minor' });
  // The twenty that were there first are old garbage themselves.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60 * PAYLOAD_BYTES);
});
