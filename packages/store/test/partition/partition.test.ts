import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { SeededPrng } from '@sluice/common/prng';
import { Topology } from '@sluice/meta/topology';
import { APPENDED } from '@sluice/queue/machine/apply/apply-reply';
import { PumpTurn } from '../../src/dispatch/pump-turn.ts';
import { encodePartitionCommand } from '../../src/machine/partition-command.ts';
import { PartitionMachine } from '../../src/machine/partition-machine.ts';
import { Partition, type PartitionParts } from '../../src/partition/partition.ts';
import type { Proposal, ProposeOutcome } from '../../src/partition/proposal.ts';
import { Turnstile } from '../../src/read/turnstile.ts';
import { SettleBacklog } from '../../src/settle/settle-backlog.ts';
import { GatedEngine } from '../support/gated-engine.ts';
import { rest, until } from '../support/test-store.ts';

/** A Raft host that takes what it is given and does what the test says. */
class FakeHost {
  outcome: ProposeOutcome = 'proposed';
  readonly proposed: Proposal[] = [];
  leader = 1;
  propose(_groupId: number, _command: Uint8Array, token: unknown): ProposeOutcome {
    if (this.outcome === 'proposed') this.proposed.push(token as Proposal);
    return this.outcome;
  }
  withLaterTurn(propose: () => void): void {
    setImmediate(propose);
  }
  recentRow(): undefined {}
  leads(): boolean {
    return true;
  }
  leaderOf(): number {
    return this.leader;
  }
  term = 1;
  termOf(): number {
    return this.term;
  }
  failure: Error | undefined;
  status(): undefined {}
}

let host: FakeHost;
let isTimeKnown: boolean;
let partition: Partition;
let forgotten: number;
let served: number;
let dismissed: [string, number][];
const consumer = {
  dispatchId: 1,
  clientId: 'c',
  succeeds: () => false,
  deliver: () => {},
  waiting: () => {},
  dismissed: (reason: string, leader: number) => dismissed.push([reason, leader]),
};

beforeEach(() => {
  host = new FakeHost();
  isTimeKnown = true;
  forgotten = 0;
  served = 0;
  dismissed = [];
  partition = new Partition({
    groupId: 1,
    host: host as unknown as PartitionParts['host'],
    engine: new GatedEngine(),
    records: { forgetGroup: () => forgotten++ } as unknown as PartitionParts['records'],
    turn: new PumpTurn(systemClock),
    topology: new Topology(),
    clock: systemClock,
    isTimeKnown: () => isTimeKnown,
    prng: new SeededPrng(1),
    logger: silentLogger,
    wills: { gateways: { choose: () => 0, isReached: () => false, ask: () => {} }, counted: () => {} },
    expiries: new Turnstile(1),
    events: {
      leadershipMoved: () => {},
      serving: () => served++,
      moved: () => {},
      dispatchFailed: () => {},
      dispatchRecovered: () => {},
      recordsTooLarge: () => {},
      streamOverflowed: () => {},
      dropFailed: () => {},
      streamsMoved: () => {},
    },
  });
  partition.machine = PartitionMachine.restore([]);
});

afterEach(() => partition.close());

test('it serves nothing more once the storage failed, as when an entry cannot be applied', () => {
  expect(partition.isStopped).toBe(false);
  host.failure = new Error('EIO');
  expect(partition.isStopped).toBe(true);
});

test('its term is that in which it leads until that is over: nobody is told that it leads in the next one', () => {
  host.term = 4;
  partition.leadership(true);
  host.term = 5;
  expect([partition.leads, partition.term]).toEqual([true, 4]);
  partition.leadership(false);
  expect([partition.leads, partition.term]).toEqual([false, 5]);
});

test('a clock of which nobody has said yet that it is right neither stamps what is far ahead nor hands out', () => {
  isTimeKnown = false;
  partition.leadership(true);
  const command = encodePartitionCommand({ type: 'time' });
  const proposal = { applied: () => {}, dropped: () => {} };
  expect([partition.propose(command, proposal), host.proposed.length]).toEqual(['busy', 0]);
  expect([partition.isTimely, partition.isHeldUp]).toEqual([false, true]);
  // What the log knows is near: so a cluster that is at work waits for nothing.
  partition.queues.advance(systemClock.nowMs());
  expect([partition.propose(command, proposal), partition.isHeldUp]).toEqual(['proposed', false]);
  partition.machine = PartitionMachine.restore([]);
  expect(partition.propose(command, proposal)).toBe('busy');
  isTimeKnown = true;
  expect([partition.propose(command, proposal), partition.isHeldUp]).toEqual(['proposed', false]);
});

describe('leadership', () => {
  test('serves publishes from when its queues are known until it ends', () => {
    partition.configured();
    expect(partition.serves).toBe(false);
    partition.leadership(true);
    expect(partition.serves).toBe(false);
    partition.configured();
    partition.configured();
    expect([partition.serves, served]).toEqual([true, 1]);
    partition.leadership(false);
    expect([partition.serves, partition.dispatchFor(1)]).toEqual([false, undefined]);
  });

  test('ends for every consumer at once, who are told of the next leader', () => {
    partition.leadership(true);
    partition.dispatchFor(1)?.attach(consumer, 1);
    partition.dispatchFor(2)?.attach({ ...consumer, dispatchId: 2 }, 1);
    host.leader = 3;
    partition.leadership(false);
    expect(dismissed).toEqual([
      ['not-leader', 3],
      ['not-leader', 3],
    ]);
  });

  test('a snapshot that replaces the machine leaves nothing that was made of the former one', () => {
    partition.leadership(true);
    partition.dispatchFor(1)?.attach(consumer, 1);
    const machine = PartitionMachine.restore([]);
    partition.restored(machine);
    expect([partition.machine === machine, forgotten, dismissed.length]).toEqual([true, 1, 1]);
    expect(partition.dispatches.get(1)).toBeUndefined();
  });
});

describe('while leadership is being handed over', () => {
  test('what is rare waits, and is done when the leadership stays', async () => {
    partition.leadership(true);
    host.outcome = 'not-leader';
    const outcome = partition.execute({ type: 'remove-queue', queueId: 1 });
    await rest(5);
    host.outcome = 'proposed';
    await until(() => host.proposed.length === 1, 'proposed');
    host.proposed[0]?.applied(1, { type: 'removed', changed: true });
    expect(await outcome).toEqual({ type: 'removed', changed: true });
  });

  test('and is given up when it goes', async () => {
    partition.leadership(true);
    host.outcome = 'busy';
    const outcome = partition.execute({ type: 'remove-queue', queueId: 1 });
    partition.leadership(false);
    expect(await outcome).toBeUndefined();
  });

  test('and when it goes and comes back: what was decided before is not proposed behind what others committed meanwhile', async () => {
    partition.leadership(true);
    host.outcome = 'busy';
    const outcome = partition.execute({ type: 'drop-rows', queueId: 1, reason: 'overflow', rowBases: [0] });
    partition.leadership(false);
    partition.leadership(true);
    host.outcome = 'proposed';
    expect(await Promise.race([outcome, until(() => host.proposed.length > 0, 'proposed')])).toBeUndefined();
    expect(host.proposed).toHaveLength(0);
  });

  test('a pause waits for settlements on their way into the log, and not for ever', async () => {
    partition.leadership(true);
    partition.settles.accepted(1, 0, 0);
    let paused = false;
    const pausing = partition.pause(5_000).then(() => {
      paused = true;
    });
    await rest(10);
    expect([paused, host.proposed.length]).toEqual([false, 1]);
    host.proposed[0]?.applied(1, APPENDED);
    await pausing;
    partition.settles.accepted(1, 0, 1);
    await partition.pause(20);
    expect(host.proposed).toHaveLength(2);
  });
});

describe('the backlog of settlements', () => {
  test('keeps their order, is bounded by whoever asks, and ends with the leadership', async () => {
    const taken: number[] = [];
    let outcome: ProposeOutcome = 'not-leader';
    let leads = true;
    let caughtUp = 0;
    const backlog = new SettleBacklog({
      propose: (command) => {
        if (outcome === 'proposed') taken.push(command[0] as number);
        return outcome;
      },
      leads: () => leads,
      onCaughtUp: () => caughtUp++,
    });
    for (let n = 0; n < SettleBacklog.COMMANDS_MAX; n++) backlog.add(Uint8Array.of(n), []);
    expect([backlog.isBehind, backlog.isEmpty]).toEqual([true, false]);
    outcome = 'proposed';
    await until(() => caughtUp === 1, 'caught up');
    expect(taken).toEqual(Array.from({ length: SettleBacklog.COMMANDS_MAX }, (_, n) => n));
    outcome = 'busy';
    backlog.add(Uint8Array.of(1), []);
    leads = false;
    backlog.clear();
    outcome = 'proposed';
    await rest(40);
    expect(taken).toHaveLength(SettleBacklog.COMMANDS_MAX);
  });
});
