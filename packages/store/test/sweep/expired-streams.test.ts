import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { ExchangeStep } from '@sluice/queue/session/commands';
import { PartitionSessions } from '../../src/session/partition-sessions.ts';
import { SentRecords } from '../../src/session/sent-records.ts';
import { ExpiredBehind } from '../../src/sweep/expired-behind.ts';
import { RetentionSweeper } from '../../src/sweep/retention-sweeper.ts';
import { TestSessions } from '../support/test-session.ts';
import { TestStore, until } from '../support/test-store.ts';

const LIFE_MS = 60_000;

let store: TestStore;
let gateway: TestSessions;
beforeEach(async () => {
  store = await TestStore.start();
  gateway = new TestSessions(store);
  // Who was told nothing yet would be waited for.
  pass(PartitionSessions.ORPHAN_GRACE_MS);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await store.remove();
});

function pass(ms: number): void {
  store.skewMs += ms;
  store.sleepMs += ms;
}

/** A batch for each text; what begins with `-` lives for a minute. */
async function publish(streamId: number, ...texts: string[]): Promise<void> {
  for (const text of texts) {
    const builder = new RecordBatchBuilder();
    const expiresAtMs = text.startsWith('-') ? store.clock.nowMs() + LIFE_MS : 0;
    builder.add(store.record(0, text, { targets: [{ queueId: streamId, key: undefined }], expiresAtMs }));
    await store.append(0, builder.finish());
  }
}

async function begin(clientId: string): Promise<{ epoch: number; streamId: number }> {
  const { epoch } = await gateway.open(clientId);
  const [streamId] = (await gateway.subscribe(clientId, epoch, 'a')) as [number];
  return { epoch, streamId };
}

async function exchange(epoch: number, serial: number, step: ExchangeStep): Promise<void> {
  const { status } = await gateway.ask({ type: 'exchange', partition: 1, clientId: 'c', epoch, serial, steps: [step] });
  expect(status).toBe('done');
}

const depthOf = (streamId: number): number => store.partition(1).queues.queue(streamId)?.depth ?? -1;

/** Until the sweep has been through all queues once more. */
async function swept(): Promise<void> {
  const endTurn = jest.spyOn(store.partition(1).sessions.sent, 'turnEnded');
  await until(() => endTurn.mock.calls.length >= 2, 'a whole sweep', 10 * RetentionSweeper.INTERVAL_MS);
  endTurn.mockRestore();
}

describe('messages for a client that is away', () => {
  test('go when they have expired, at the head and behind one that lives', async () => {
    const { epoch, streamId } = await begin('c');
    await gateway.close('c', epoch);
    await publish(streamId, '-1', '-2', '3', '-4', '5', '-6');
    pass(LIFE_MS + ExpiredBehind.SETTLED_MS);
    await until(() => depthOf(streamId) === 2, 'what is dead is gone');
    const { epoch: next } = await gateway.open('c');
    gateway.attach('c', next);
    expect(await gateway.received('c', 2)).toEqual(['3', '5']);
    gateway.pass('c', next, ...gateway.deliveries);
    await until(() => depthOf(streamId) === 0, 'and so are the others');
  });

  test('stay when it may have been sent them, and go when it has answered', async () => {
    const { epoch, streamId } = await begin('c');
    gateway.attach('c', epoch);
    await publish(streamId, '-1', '-2', '-3');
    await gateway.received('c', 3);
    pass(LIFE_MS);
    await swept();
    expect(depthOf(streamId)).toBe(3);
    await exchange(epoch, 1, { type: 'bind', packetId: 7, qos: 1, streamId, offset: 1 });
    await gateway.close('c', epoch);
    pass(SentRecords.AGAIN_MS);
    await until(() => depthOf(streamId) === 1, 'what nobody sends again is gone');
    gateway.deliveries.length = 0;
    const { epoch: next } = await gateway.open('c');
    gateway.attach('c', next);
    expect(await gateway.received('c', 1)).toEqual(['-2']);
    gateway.pass('c', next, ...gateway.deliveries);
    await until(() => depthOf(streamId) === 0, 'it is done');
  });

  test('stay for a while when nobody is left to say what was sent', async () => {
    const { epoch, streamId } = await begin('c');
    gateway.attach('c', epoch);
    await publish(streamId, '-1');
    await gateway.received('c', 1);
    gateway.end();
    store.skewMs += LIFE_MS;
    await swept();
    expect(depthOf(streamId)).toBe(1);
    pass(PartitionSessions.ORPHAN_GRACE_MS);
    await until(() => depthOf(streamId) === 0, 'nobody came');
  });
});
