import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import type { DeliverableMessage } from '../../src/protocol/deliverable-message.ts';
import { OutboundBacklog } from '../../src/protocol/outbound-backlog.ts';
import { OutboundMessage } from '../../src/protocol/outbound-message.ts';

const MIB = 1024 * 1024;

function waitingMessage(): OutboundMessage {
  const message = { topic: 'a', payload: new Uint8Array(MIB) } as unknown as DeliverableMessage;
  return new OutboundMessage(message, 1, false, 0, undefined, false);
}

test('what was taken from the front is kept alive by nobody, however long others wait behind it', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const backlog = new OutboundBacklog();
  for (let i = 0; i < 20; i++) backlog.push(waitingMessage());
  collect();
  collect();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 19; i++) {
    expect(backlog.peek()).toBeDefined();
    backlog.shift();
  }
  collect();
  collect();
  expect(backlog.size).toBe(1);
  expect(before - process.memoryUsage().arrayBuffers).toBeGreaterThan(16 * MIB);
});
