import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import { Topology } from '@sluice/meta/topology';
import type { StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { Partition } from '../../src/partition/partition.ts';
import { PartitionSet, type PartitionSetOptions } from '../../src/placement/partition-set.ts';
import { imageOf, NO_CHANGE, rest } from '../support/test-store.ts';

const SELF = 1;

interface KnownMembership {
  membershipIndex: number;
  committed: number[];
  inForce: number[];
  impaired?: Error;
}

const membershipOf = (voters: readonly number[]) => ({
  voters: [...voters],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
});

/** A host that notes what is asked of it; additions and removals end when the test says so. */
class FakeHost {
  readonly stored: number[] = [];
  readonly calls: string[] = [];
  readonly deaf = new Set<number>();
  readonly known = new Map<number, KnownMembership>();
  leader = 0;
  gate: Promise<void> | undefined;
  /** What a removal meets. */
  diskError: Error | undefined;

  storedGroups(): number[] {
    return this.stored;
  }
  async addGroup({
    groupId,
    bootstrapVoters,
  }: {
    groupId: number;
    bootstrapVoters?: readonly number[];
  }): Promise<object> {
    this.calls.push(`add ${groupId}${bootstrapVoters === undefined ? '' : ` of ${bootstrapVoters}`}`);
    await this.gate;
    return {};
  }
  async removeGroup(groupId: number): Promise<void> {
    this.calls.push(`remove ${groupId}`);
    await this.gate;
    if (this.diskError !== undefined) throw this.diskError;
  }
  leaderOf(): number {
    return this.leader;
  }
  deafen(groupId: number, deaf: boolean): void {
    if (deaf) this.deaf.add(groupId);
    else this.deaf.delete(groupId);
  }
  status(groupId: number): object | undefined {
    const known = this.known.get(groupId);
    if (known === undefined) return undefined;
    const { membershipIndex, committed, inForce, impaired } = known;
    return {
      membershipIndex,
      impaired,
      committedMembership: membershipOf(committed),
      membership: membershipOf(inForce),
    };
  }
}

let host: FakeHost;
let topology: Topology;
let set: PartitionSet;
let asked: number[];
let leads: boolean;
let closed: number[];
/** By node; absent: it does not answer. */
let answers: Map<number, StoreAdminResponse>;
let nowMs: number;
let metrics: PlainMetrics;
let onAsked: (() => Promise<StoreAdminResponse>) | undefined;

beforeEach(() => {
  host = new FakeHost();
  topology = new Topology();
  asked = [];
  leads = false;
  closed = [];
  answers = new Map();
  onAsked = undefined;
  nowMs = 0;
  metrics = new PlainMetrics();
  const call = async (node: number): Promise<StoreAdminResponse> => {
    asked.push(node);
    if (onAsked !== undefined) return onAsked();
    const answer = answers.get(node);
    if (answer === undefined) throw new Error('nobody there');
    return answer;
  };
  set = new PartitionSet({
    nodeId: SELF,
    host: host as unknown as PartitionSetOptions['host'],
    topology,
    transport: { call: call as unknown as PartitionSetOptions['transport']['call'] },
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics,
    make: (groupId) =>
      ({
        groupId,
        get leads() {
          return leads;
        },
        close: () => closed.push(groupId),
      }) as unknown as Partition,
    onMoved: () => {},
  });
});

/** Partition 1 is there; where is it now? */
async function place(replicas: number[], bootstrap = false): Promise<void> {
  const info: PartitionInfo = { partition: 1, replicas, preferredLeader: 0, bootstrap };
  if (topology.epoch === 0) topology.reset(imageOf([info]));
  else topology.applyDelta({ ...NO_CHANGE, epoch: topology.epoch + 1, partitions: [info] });
  set.reconcile();
  await rest(2);
}

async function stored(known: KnownMembership): Promise<void> {
  host.stored.push(0, 1);
  host.known.set(1, known);
  await set.open();
  host.calls.length = 0;
}

const says = (members: number[], index: number): StoreAdminResponse => ({
  type: 'membership',
  term: 1,
  index,
  members,
});
const NAMED: KnownMembership = { membershipIndex: 10, committed: [1, 2, 3], inForce: [1, 2, 3] };

describe('a replica comes', () => {
  test('from the log, whatever the image says; the metadata is not one', async () => {
    host.stored.push(0, 3, 5);
    await set.open();
    expect(host.calls).toEqual(['add 3', 'add 5']);
  });

  test('with its first placement, and begins the log with the voters that are placed', async () => {
    await place([1, 2, 3], true);
    expect(host.calls).toEqual(['add 1 of 1,2,3']);
    expect([set.isComplete, [...set.partitions.keys()]]).toEqual([true, [1]]);
  });

  test('later, to wait until its leader adds it', async () => {
    await place([2, 3]);
    await place([1, 2, 3]);
    expect(host.calls).toEqual(['add 1']);
  });

  test('once, however often the image moves while it is opened', async () => {
    let open = (): void => {};
    host.gate = new Promise((resolve) => {
      open = resolve;
    });
    await place([1, 2]);
    await place([1, 2, 3]);
    expect([host.calls, set.isComplete]).toEqual([['add 1'], false]);
    open();
    await rest(2);
    set.reconcile();
    await rest(2);
    expect([host.calls, set.isComplete]).toEqual([['add 1'], true]);
  });
});

describe('a replica that is placed elsewhere', () => {
  test('stays though its own log does not name it: it may be a learner that has not got to its own addition', async () => {
    await stored({ membershipIndex: 3, committed: [2, 3], inForce: [2, 3] });
    host.leader = 2;
    answers.set(2, says([1, 2, 3], 40));
    await place([2, 3]);
    expect([host.calls, asked, host.deaf.size]).toEqual([[], [2], 0]);
  });

  test('takes nothing while the leader is asked: what it would acknowledge then would be wiped', async () => {
    await stored(NAMED);
    host.leader = 2;
    let answer = (_: StoreAdminResponse): void => {};
    onAsked = () => new Promise((resolve) => (answer = resolve));
    await place([2, 3, 4]);
    expect([asked, [...host.deaf]]).toEqual([[2], [1]]);
    answer(says([1, 2, 3, 4], 11));
    await rest(2);
    expect([host.calls, host.deaf.size]).toEqual([[], 0]);
    set.reconcile();
    await rest(2);
    answer(says([2, 3, 4], 12));
    await rest(2);
    expect([host.calls, [...host.deaf]]).toEqual([['remove 1'], [1]]);
  });

  test('goes when the leader says so, as of no earlier than what it knows itself', async () => {
    await stored(NAMED);
    host.leader = 2;
    answers.set(2, says([2, 3, 4], 9));
    await place([2, 3, 4]);
    expect(host.calls).toEqual([]);
    answers.set(2, says([1, 2, 3, 4], 11));
    set.reconcile();
    await rest(2);
    expect(host.calls).toEqual([]);
    answers.set(2, says([2, 3, 4], 12));
    set.reconcile();
    await rest(2);
    expect(host.calls).toEqual(['remove 1']);
  });

  test('asks everybody it may be, follows who does not lead to who does, and takes silence for nothing', async () => {
    await stored(NAMED);
    host.leader = 2;
    answers.set(3, { type: 'refused', code: 'not-leader', message: '', leader: 7 });
    await place([3, 4]);
    expect([host.calls, asked]).toEqual([[], [2, 3, 4, 7]]);
    answers.set(7, says([3, 4, 7], 11));
    set.reconcile();
    await rest(2);
    expect(host.calls).toEqual(['remove 1']);
  });

  test('stays while it leads, and when it is placed here again while the leader is asked', async () => {
    await stored({ membershipIndex: 10, committed: [2, 3], inForce: [2, 3] });
    leads = true;
    await place([2, 3]);
    expect(host.calls).toEqual([]);
    leads = false;
    host.known.set(1, NAMED);
    host.leader = 2;
    answers.set(2, says([2, 3], 12));
    set.reconcile();
    await place([1, 2, 3]);
    expect(host.calls).toEqual([]);
  });

  test('and comes back begins no log of its own, though the image may say so', async () => {
    await stored(NAMED);
    host.leader = 2;
    answers.set(2, says([2, 3], 12));
    await place([2, 3], true);
    await place([1, 2, 3], true);
    expect(host.calls).toEqual(['remove 1', 'add 1']);
  });

  test('and cannot be removed is removed again, and nothing comes in its place before', async () => {
    await stored(NAMED);
    host.leader = 2;
    answers.set(2, says([2, 3], 12));
    host.diskError = new Error('EIO');
    await place([2, 3]);
    expect(host.calls).toEqual(['remove 1']);
    await place([1, 2, 3]);
    expect([host.calls, set.isComplete]).toEqual([['remove 1'], false]);
    nowMs += PartitionSet.REMOVE_AGAIN_MS;
    await place([1, 2, 3]);
    expect(host.calls).toEqual(['remove 1', 'remove 1']);
    host.diskError = undefined;
    nowMs += 2 * PartitionSet.REMOVE_AGAIN_MS - 1;
    await place([1, 2, 3]);
    expect(host.calls.length).toBe(2);
    nowMs += 1;
    await place([1, 2, 3]);
    await place([1, 2, 3]);
    expect(host.calls.slice(2)).toEqual(['remove 1', 'add 1']);
    expect(metrics.counter('sluice_store_replica_removals_failed_total', '').value).toBe(2);
  });

  test('and never can be removed is left to the next start', async () => {
    await stored(NAMED);
    host.leader = 2;
    answers.set(2, says([2, 3], 12));
    host.diskError = new Error('EIO');
    await place([2, 3]);
    for (let again = 0; again < 2 * PartitionSet.REMOVALS_MAX; again++) {
      nowMs += PartitionSet.REMOVE_AGAIN_MS * 2 ** PartitionSet.REMOVALS_MAX;
      set.reconcile();
      await rest(2);
    }
    expect(host.calls).toEqual(Array.from({ length: PartitionSet.REMOVALS_MAX }, () => 'remove 1'));
  });
});
