import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { Wills } from '@sluice/queue/session/wills';
import { PartitionSessions } from '../../src/session/partition-sessions.ts';
import { PartitionWills } from '../../src/session/partition-wills.ts';
import { TestSessions } from '../support/test-session.ts';
import { rest, TestStore, until } from '../support/test-store.ts';

let store: TestStore;
let gateway: TestSessions;
let ticket = 0;
beforeEach(async () => {
  store = await TestStore.start();
  gateway = new TestSessions(store);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await store.remove();
});

const will = (says: string, delayS = 0) => ({ ticket: ++ticket, delayS, message: Buffer.from(says) });
const wills = (): Wills => store.partition(1).machine.sessions.wills;
const counted = (step: string): number => store.metrics.counter('sluice_wills_total', '', { step }).value;

async function connect(clientId: string, says: string, delayS = 0, expiryS = 0): Promise<number> {
  const { epoch, status } = await gateway.open(clientId, {
    cleanStart: true,
    expiryS,
    will: will(says, delayS),
  });
  expect(status).toBe('done');
  gateway.attach(clientId, epoch);
  return epoch;
}

describe('a will', () => {
  test('is kept before its client is let in, and published when the connection breaks', async () => {
    const epoch = await connect('c', 'gone');
    expect(wills().leftCount).toBe(1);
    await gateway.close('c', epoch, 0);
    await until(() => wills().dueCount === 0, 'it is published');
    expect(gateway.wills).toEqual(['gone']);
    expect(gateway.willGroups[0]?.wills[0]?.clientId).toBe('c');
    expect([counted('fired'), counted('published'), counted('cancelled')]).toEqual([1, 1, 0]);
  });

  test('whose message waits for room on the disk is published when it can be read', async () => {
    const partition = store.partition(1);
    let isWritten = false;
    jest.spyOn(partition, 'written').mockImplementation(async () => isWritten);
    const { rows } = partition.sessions;
    const { willMessages } = rows;
    const read = jest
      .spyOn(rows, 'willMessages')
      .mockImplementation((numbers) =>
        isWritten ? willMessages.call(rows, numbers) : Promise.resolve(numbers.map(() => undefined)),
      );
    const epoch = await connect('c', 'gone');
    await gateway.close('c', epoch, 0);
    await until(() => jest.mocked(partition.written).mock.calls.length > 0, 'it is to be published');
    await rest();
    expect([wills().dueCount, gateway.willGroups.length, read.mock.calls.length]).toEqual([1, 0, 0]);
    isWritten = true;
    partition.tick();
    await until(() => wills().dueCount === 0, 'it is published');
    expect(gateway.wills).toEqual(['gone']);
  });

  test('that is taken back is nobody’s', async () => {
    const epoch = await connect('c', 'gone');
    await gateway.close('c', epoch, 0, true);
    await rest();
    expect([gateway.wills, wills().leftCount, counted('cancelled')]).toEqual([[], 0, 1]);
  });

  test('waits for its delay', async () => {
    const epoch = await connect('c', 'gone', 30, 60);
    await gateway.close('c', epoch, 60);
    await until(() => wills().waitingCount === 1, 'it waits');
    store.skewMs += 29_000;
    store.partition(1).tick();
    await rest();
    expect(gateway.wills).toEqual([]);
    store.skewMs += 1_001;
    await until(() => gateway.wills.length === 1, 'its delay is over');
  });

  test('waits on after a restart of the store, and is due in time', async () => {
    const epoch = await connect('c', 'gone', 30, 60);
    await gateway.close('c', epoch, 60);
    await store.restart();
    gateway = new TestSessions(store);
    store.skewMs += 30_001;
    await until(() => gateway.wills.length === 1, 'its delay is over');
    await until(() => wills().dueCount === 0, 'it is published');
  });

  test('is due when its gateway is gone, after the grace and not before', async () => {
    await connect('c', 'gone');
    const other = new TestSessions(store);
    gateway.end();
    await rest();
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS / 2;
    store.partition(1).tick();
    await rest();
    expect(wills().leftCount).toBe(1);
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS / 2;
    await until(() => other.wills.length === 1, 'somebody else publishes it');
    await until(() => wills().dueCount === 0, 'and it is over');
  });

  test('is not for a gateway that was cut off and is back in time', async () => {
    const epoch = await connect('c', 'gone');
    gateway.end();
    gateway = new TestSessions(store);
    gateway.attach('c', epoch);
    await until(() => store.partition(1).sessions.attachedCount === 1, 'it speaks for its client again');
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS;
    store.partition(1).tick();
    await rest();
    expect([gateway.wills, wills().leftCount]).toEqual([[], 1]);
  });

  test('is not fired again by a gateway that comes back too late: its client is let go', async () => {
    const epoch = await connect('c', 'gone');
    gateway.end();
    gateway = new TestSessions(store);
    await rest();
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS;
    await until(() => gateway.wills.length === 1, 'it is published');
    gateway.attach('c', epoch);
    await until(() => gateway.lost.includes('c'), 'the gateway is told');
    await gateway.close('c', epoch, 0);
    await rest();
    expect(gateway.wills).toEqual(['gone']);
  });
});

describe('a connection that began beside the end of the one before', () => {
  test('is missed when its gateway dies before it attaches, whatever came of the former one', async () => {
    const former = await connect('c', 'former');
    const died = new TestSessions(store);
    const { epoch } = await died.open('c', { expiryS: 0, will: will('gone') });
    expect(epoch).toBeGreaterThan(former);
    died.end();
    await gateway.close('c', former, 0);
    await until(() => gateway.wills.length === 1, 'the former will is published');
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS;
    await until(() => gateway.wills.length === 2, 'so is that of the newer connection');
    expect(gateway.wills).toEqual(['former', 'gone']);
  });

  test('is missed when its end was refused and its gateway dies before it asks again', async () => {
    const epoch = await connect('c', 'gone');
    const other = new TestSessions(store);
    const partition = store.partition(1);
    await until(() => partition.sessions.attachedCount === 1, 'somebody speaks for it');
    const { propose } = partition;
    partition.propose = () => 'busy';
    expect((await gateway.close('c', epoch, 0)).status).toBe('busy');
    partition.propose = propose;
    gateway.end();
    await rest();
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS;
    await until(() => other.wills.length === 1, 'its will is published');
  });
});

describe('wills that are due', () => {
  test('come in groups: one is under way, and its memory is all there is', async () => {
    gateway.publishes = false;
    const count = Wills.GROUP_WILLS_MAX + 10;
    const epochs = await Promise.all(Array.from({ length: count }, (_each, i) => connect(`c${i}`, `will ${i}`)));
    await Promise.all(epochs.map((epoch, i) => gateway.close(`c${i}`, epoch, 0)));
    await until(() => gateway.willGroups.length === 1, 'the first group');
    await rest();
    expect(gateway.willGroups).toHaveLength(1);
    expect(wills().dueCount).toBe(count);
    gateway.publishes = true;
    gateway.willsPublished();
    await until(() => wills().dueCount === 0, 'all are published');
    expect(new Set(gateway.wills).size).toBe(count);
    expect(gateway.wills).toHaveLength(count);
  });

  test('stay with the gateway that was asked, over a change of leader, under one number', async () => {
    gateway.publishes = false;
    const epoch = await connect('c', 'gone');
    await gateway.close('c', epoch, 0);
    await until(() => gateway.willGroups.length === 1, 'it is asked');
    const [asked] = gateway.willGroups;
    await store.restart();
    gateway = new TestSessions(store);
    await until(() => gateway.willGroups.length === 1, 'it is asked again');
    expect(gateway.willGroups[0]).toEqual(asked);
    await until(() => wills().dueCount === 0, 'it is published');
  });

  test('are asked for over the next channel when the one they were asked for over is gone', async () => {
    gateway.publishes = false;
    const epoch = await connect('c', 'gone');
    await gateway.close('c', epoch, 0);
    await until(() => gateway.willGroups.length === 1, 'it is asked');
    const [asked] = gateway.willGroups;
    gateway.end();
    gateway = new TestSessions(store);
    await until(() => gateway.willGroups.length === 1, 'it is asked again');
    expect(gateway.willGroups[0]).toEqual(asked);
  });

  test('go to another gateway when theirs is away for too long, as the same group', async () => {
    const partition = store.partition(1);
    const reached = new Set([7, 8]);
    const asked: { by: number; group: number; wills: string[] }[] = [];
    const one = new PartitionWills(partition, partition.sessions.rows, {
      gateways: {
        choose: (turn) => [...reached][turn % reached.size] ?? 0,
        isReached: (by) => reached.has(by),
        ask: (by, _partition, group, views) => {
          asked.push({ by, group, wills: views.map(({ message }) => Buffer.from(message).toString()) });
        },
      },
      clock: store.clock,
      logger: silentLogger,
      counted: () => {},
    });
    gateway.end();
    await rest();
    const session = { clientId: 'c', expiryS: 0 };
    const open = { type: 'open-session' as const, ...session, identity: '', gateway: 7, cleanStart: true };
    const opened = await partition.execute({ ...open, will: will('gone') });
    if (opened?.type !== 'session-opened') throw new Error('it is opened');
    await partition.execute({ type: 'close-session', ...session, epoch: opened.epoch });
    one.tick();
    await until(() => asked.length === 1, 'the first is asked');
    reached.delete(7);
    one.tick();
    await rest();
    store.sleepMs += PartitionWills.AWAY_MS_MAX / 4;
    one.tick();
    await rest();
    expect(asked).toHaveLength(1);
    store.sleepMs += PartitionWills.AWAY_MS_MAX;
    one.tick();
    await until(() => asked.length === 2, 'the other one is asked');
    expect(asked[1]).toEqual({ ...asked[0], by: 8 });
    one.published((asked[0] as { group: number }).group);
    await until(() => wills().dueCount === 0, 'it is published');
  });

  test('are asked for once more when nothing is heard', async () => {
    gateway.publishes = false;
    const epoch = await connect('c', 'gone');
    await gateway.close('c', epoch, 0);
    await until(() => gateway.willGroups.length === 1, 'it is asked');
    store.sleepMs += PartitionWills.ASK_AGAIN_MS;
    await until(() => gateway.willGroups.length === 2, 'it is asked again');
    expect(gateway.willGroups[1]).toEqual(gateway.willGroups[0]);
  });
});
