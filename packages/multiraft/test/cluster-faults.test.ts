import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { FileOperations } from '@sluice/storage/files/file-operations';
import { ELECTION_MS, ELECTION_TICKS } from '../src/raft-timing.ts';
import { StoreLoop } from '../src/store-loop.ts';
import { type Member, TestCluster } from './support/test-cluster.ts';
import { until } from './support/test-node.ts';
import { countTicks, ticksStand } from './support/ticks.ts';

let cluster: TestCluster;
/** Lets go what still waits: a node closes when its write has ended. */
const held: (() => void)[] = [];
beforeEach(async () => {
  cluster = await TestCluster.create();
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const release of held.splice(0)) release();
  await cluster.remove();
});

function others(member: Member): number[] {
  return [...cluster.members.keys()].filter((nodeId) => nodeId !== member.nodeId);
}

describe('a network that fails', () => {
  test('a leader that is cut off steps down, its proposals are of unknown fate, its reads are refused', async () => {
    await cluster.start(3, 1);
    const old = await cluster.leader(1);
    await old.propose(1, 5);
    await cluster.agree(1, 5);
    const rest = others(old);
    cluster.isolate(old.nodeId);
    const lost = old.propose(1, 100);
    lost.catch(() => {});
    const barrier = old.host.readBarrier(1);
    const next = await cluster.leader(1, rest);
    await next.propose(1, 1);
    expect(await barrier).toBe(false);
    await expect(lost).rejects.toThrow('unknown');
    expect(old.host.leads(1)).toBe(false);
    expect(old.host.peerAlive(next.nodeId)).toBe(false);
    cluster.rejoin(old.nodeId);
    await cluster.agree(1, 6);
    expect(await next.host.readBarrier(1)).toBe(true);
  });

  test('who is heard by nobody replaces nobody', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    const [deaf, other] = others(leader) as [number, number];
    const term = leader.host.termOf(1);
    // It hears nothing of the others, but they hear it.
    cluster.network.cut(leader.nodeId, deaf);
    cluster.network.cut(other, deaf);
    await until(() => cluster.member(deaf).host.leaderOf(1) === 0, 'it misses the leader');
    await leader.propose(1, 3);
    await cluster.agree(1, 3, [leader.nodeId, other]);
    cluster.rejoin(deaf);
    await cluster.agree(1, 3);
    expect(leader.host.leads(1)).toBe(true);
    expect(leader.host.termOf(1)).toBe(term);
  });

  test('a link that breaks again and again moves no leader', async () => {
    await cluster.start(3, 4);
    const leaders = new Map<number, number>();
    for (const groupId of [1, 2, 3, 4]) leaders.set(groupId, (await cluster.leader(groupId)).nodeId);
    const [a, b] = [leaders.get(1) as number, others(cluster.member(leaders.get(1) as number))[0] as number];
    for (let i = 0; i < 5; i++) {
      cluster.network.break(a, b);
      await cluster.member(a).propose(1, 1);
      await until(() => cluster.member(b).host.leaderOf(1) === a, 'it follows again');
      await cluster.agree(1, i + 1);
    }
    for (const [groupId, nodeId] of leaders) expect((await cluster.leader(groupId)).nodeId).toBe(nodeId);
  });

  test('a node that was paused serves nothing before a majority was heard again', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    await leader.propose(1, 1);
    leader.clock.leapMs += 60_000;
    expect(leader.host.leads(1)).toBe(false);
    await until(() => leader.host.leads(1), 'a majority confirms it');
    expect((await leader.propose(1, 1)).value).toBe(2);
  });
});

describe('a disk that stalls', () => {
  test('for longer than an election timeout: its node keeps its groups', async () => {
    // It is taken for hung after that, which on a busy machine is before so many ticks are over.
    expect(StoreLoop.STALL_MAX_MS).toBeGreaterThan(2 * ELECTION_MS);
    jest.replaceProperty(StoreLoop, 'STALL_MAX_MS', 60_000 as typeof StoreLoop.STALL_MAX_MS);
    await cluster.start(3, 2);
    const leader = await cluster.leader(1);
    await leader.propose(1, 1);
    await cluster.agree(1, 1);
    const term = leader.host.termOf(1);
    const { writev } = leader.files;
    let stalled = true;
    leader.files.writev = async (...args) => {
      await until(() => !stalled, 'the stall ends');
      return await writev(...args);
    };
    const waiting = [leader.propose(1, 1)];
    const ticks = countTicks();
    await until(() => ticks() > ELECTION_TICKS / 2, 'a while');
    // While it waits, more is proposed: it goes out with what is gathered ahead.
    waiting.push(leader.propose(1, 1));
    await until(() => ticks() > 2 * ELECTION_TICKS + 1, 'longer than any election timeout');
    stalled = false;
    expect((await Promise.all(waiting)).map(({ value }) => value)).toEqual([2, 3]);
    await until(() => leader.host.leads(1), 'it leads, also when this process stood still meanwhile');
    expect(leader.host.termOf(1)).toBe(term);
    await cluster.agree(1, 3);
  });
});

describe('a disk that hangs', () => {
  const { STALL_MAX_MS, LAST_WORDS_MS } = StoreLoop;
  afterEach(() => {
    Object.assign(StoreLoop, { STALL_MAX_MS, LAST_WORDS_MS });
  });

  /** What it writes takes too long from now on; what the others write does not. */
  async function givesUp(member: Member): Promise<void> {
    Object.assign(StoreLoop, { STALL_MAX_MS: 0 });
    await until(() => member.warnings.some((said) => said.startsWith('the disk hangs')), 'it takes its disk for hung');
    Object.assign(StoreLoop, { STALL_MAX_MS });
  }

  test('is no reason to wait until its node is missed: the leader names who has what hangs here', async () => {
    // It never falls silent: nobody would ever replace it.
    Object.assign(StoreLoop, { LAST_WORDS_MS: Number.POSITIVE_INFINITY });
    await cluster.start(3, 2);
    const leader = await cluster.leader(1);
    await leader.propose(1, 1);
    await cluster.agree(1, 1);
    const own = holdWrites(leader.files);
    const waiting = leader.propose(1, 1);
    await until(() => own.held, 'its disk hangs');
    expect(leader.host.diskTrouble).toBeUndefined();
    await givesUp(leader);
    expect(leader.host.diskTrouble).toBe('disk-hangs');
    const rest = others(leader);
    const next = await cluster.leader(1, rest);
    expect((await next.propose(1, 1)).value).toBe(3);
    await until(() => !leader.listener(1).leads, 'it was told');
    own.release();
    // It was among what the heir had.
    expect((await waiting).value).toBe(2);
    await cluster.agree(1, 3);
    expect(leader.host.diskTrouble).toBeUndefined();
    // Once, whatever was gathered behind it meanwhile.
    expect(leader.warnings.filter((said) => said.startsWith('the disk hangs'))).toHaveLength(1);
  });

  test('with no better one elsewhere moves nobody', async () => {
    Object.assign(StoreLoop, { LAST_WORDS_MS: Number.POSITIVE_INFINITY });
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    await leader.propose(1, 1);
    await cluster.agree(1, 1);
    const term = leader.host.termOf(1);
    const holds = [...cluster.members.values()].map(({ files }) => holdWrites(files));
    const waiting = leader.propose(1, 1);
    await until(() => holds.every(({ held }) => held), 'all disks hang');
    await givesUp(leader);
    expect(leader.host.status(1)?.transferee).toBe(0);
    for (const { release } of holds) release();
    expect((await waiting).value).toBe(2);
    expect(leader.host.termOf(1)).toBe(term);
  });

  test('and falls silent: who led hears that it does not, though nothing is written any more', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    const own = holdWrites(leader.files);
    leader.propose(1, 1).catch(() => {});
    await until(() => own.held, 'its disk hangs');
    Object.assign(StoreLoop, { LAST_WORDS_MS: -1 });
    await givesUp(leader);
    await cluster.leader(1, others(leader));
    await until(() => !leader.listener(1).leads, 'it was told');
    own.release();
    await cluster.agree(1, 1);
  });
});

test('what a majority has is answered while the next write is still under way', async () => {
  const { STALL_MS } = StoreLoop;
  // Nothing is gathered ahead of the write: only what needs no turn at all can be done.
  Object.assign(StoreLoop, { STALL_MS: Number.POSITIVE_INFINITY });
  try {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    await leader.propose(1, 1);
    await cluster.agree(1, 1);
    const rest = others(leader).map((nodeId) => cluster.member(nodeId));
    const release = rest.map(({ files }) => holdWrites(files));
    const { entryLog } = leader.storage;
    const durable = entryLog.lastIndex(1);
    const first = leader.propose(1, 1);
    await until(() => entryLog.lastIndex(1) > durable, 'the leader has it on its disk');
    const own = holdWrites(leader.files);
    const second = leader.propose(1, 1);
    await until(() => own.held, 'the next one is being written');
    for (const one of release) one.release();
    expect((await first).value).toBe(2);
    expect(entryLog.lastIndex(1)).toBe(durable + 1);
    own.release();
    expect((await second).value).toBe(3);
  } finally {
    Object.assign(StoreLoop, { STALL_MS });
  }
});

/** From now on writes, which are synced, wait until they are released. */
function holdWrites(files: FileOperations): { held: boolean; release(): void } {
  const { writev } = files;
  const hold = { held: false, release: (): void => {} };
  const released = new Promise<void>((resolve) => {
    hold.release = () => {
      files.writev = writev;
      resolve();
    };
  });
  held.push(hold.release);
  files.writev = async (...args) => {
    hold.held = true;
    await released;
    return await writev(...args);
  };
  return hold;
}

test('a leader whose disk fails is replaced at once, and answers nothing more', async () => {
  await cluster.start(3, 2);
  const leader = await cluster.leader(1);
  await leader.propose(1, 1);
  await cluster.agree(1, 1);
  const rest = others(leader);
  await until(
    () => rest.every((nodeId) => cluster.member(nodeId).host.peerAlive(leader.nodeId)),
    'everybody sees everybody',
  );
  leader.files.writev = () => Promise.reject(Object.assign(new Error('input/output error'), { code: 'EIO' }));
  ticksStand();
  await expect(leader.propose(1, 1)).rejects.toThrow('unavailable');
  expect(leader.host.failure).toBeDefined();
  const next = await cluster.leader(1, rest);
  // The entry had left for the others before its write failed here: it may be there or not, as was said.
  expect([2, 3]).toContain((await next.propose(1, 1)).value);
});

describe('a follower that is behind', () => {
  test('gets what is no longer in memory from the log', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    const [absent] = others(leader) as [number, number];
    await cluster.kill(absent);
    for (let i = 0; i < 20; i++) {
      await Promise.all(Array.from({ length: 10 }, () => leader.propose(1, 1, 100_000)));
    }
    await cluster.boot(absent, 1, [1, 2, 3]);
    await cluster.agree(1, 200);
  });
});

describe('members come and go', () => {
  test('a newcomer learns, is promoted, and an old voter is removed, under load', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    let total = 0;
    let running = true;
    const load = (async () => {
      while (running) {
        const at = await cluster.leader(1);
        await at.propose(1, 1).then(
          () => total++,
          () => {},
        );
      }
    })();
    await cluster.boot(4, 1, undefined);
    expect(cluster.member(4).host.status(1)?.membership.voters).toEqual([]);
    const propose = (change: Parameters<typeof leader.host.proposeMembership>[1]) =>
      until(() => leader.host.proposeMembership(1, change) === 'proposed', JSON.stringify(change));
    const settled = (what: string, done: (voters: string, learners: string) => boolean) =>
      until(() => {
        const membership = leader.host.status(1)?.committedMembership;
        const joint = membership?.votersOutgoing.length !== 0;
        return !joint && done(String(membership?.voters), String(membership?.learners));
      }, what);
    await propose({ addLearners: [4] });
    await settled('4 learns', (_, learners) => learners === '4');
    await propose({ addVoters: [4] });
    await settled('4 votes', (voters) => voters === '1,2,3,4');
    const [leaving] = others(leader).filter((nodeId) => nodeId !== 4) as [number];
    await propose({ remove: [leaving] });
    await settled('one is removed', (voters) => !voters.includes(String(leaving)));
    running = false;
    await load;
    const remaining = [...cluster.members.keys()].filter((nodeId) => nodeId !== leaving);
    await until(() => cluster.member(4).machines.get(1)?.total === leader.machines.get(1)?.total, '4 has it all');
    expect(leader.machines.get(1)?.total).toBeGreaterThanOrEqual(total);
    expect(cluster.member(4).listener(1).memberships.at(-1)?.voters).toEqual(remaining);
    await cluster.member(leaving).host.removeGroup(1);
    expect([...cluster.member(leaving).host.storedGroups()]).toEqual([]);
    // The newcomer knows after a restart what it was told.
    await cluster.kill(4);
    await cluster.boot(4, 1, undefined);
    expect(cluster.member(4).host.status(1)?.membership.voters).toEqual(remaining);
  });

  test('leadership moves under load, and every proposal is answered truly', async () => {
    await cluster.start(3, 1);
    const first = await cluster.leader(1);
    let answered = 0;
    let unknown = 0;
    let running = true;
    const load = Array.from({ length: 4 }, async () => {
      while (running) {
        const at = await cluster.leader(1);
        try {
          await at.propose(1, 1);
          answered++;
        } catch (cause) {
          if ((cause as Error).message === 'unknown') unknown++;
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    });
    let at = first;
    for (let i = 0; i < 3; i++) {
      const [to] = others(at) as [number];
      await until(() => answered > 20 * (i + 1), 'load');
      await until(() => at.host.transferLeadership(1, to) || !at.host.leads(1), 'the transfer begins');
      await until(() => cluster.member(to).host.leads(1), 'the transfer ends');
      at = cluster.member(to);
    }
    running = false;
    await Promise.all(load);
    await until(() => at.machines.get(1)?.total !== undefined, 'applied');
    // A planned hand-over leaves nobody in doubt.
    expect(unknown).toBe(0);
    await cluster.agree(1, answered);
  });
});

describe('idle groups', () => {
  test('send nothing but the beats of their nodes, and wake when a node goes', async () => {
    await cluster.start(3, 3);
    for (const groupId of [1, 2, 3]) await (await cluster.leader(groupId)).propose(groupId, 1);
    const all = [...cluster.members.values()];
    await until(
      () => all.every(({ host }) => [1, 2, 3].every((groupId) => host.status(groupId)?.quiesced === true)),
      'all sleep',
      15_000,
    );
    const sent = () =>
      all.reduce(
        (sum, { metrics, nodeId }) =>
          [1, 2, 3].reduce(
            (inner, peer) =>
              peer === nodeId
                ? inner
                : inner + metrics.counter('sluice_raft_messages_total', '', { peer: String(peer) }).value,
            sum,
          ),
        0,
      );
    const before = sent();
    const beats = all[0]?.metrics.counter('sluice_raft_beats_total', '').value ?? 0;
    await until(() => (all[0]?.metrics.counter('sluice_raft_beats_total', '').value ?? 0) > beats + 20, 'beats');
    expect(sent()).toBe(before);
    for (const { host } of all) expect(host.peerAlive(1) && host.peerAlive(2) && host.peerAlive(3)).toBe(true);
    const gone = await cluster.leader(1);
    const rest = others(gone);
    await cluster.kill(gone.nodeId);
    const next = await cluster.leader(1, rest);
    expect((await next.propose(1, 1)).value).toBe(2);
    // A follower that comes back learns who leads, also of groups that sleep.
    await cluster.boot(gone.nodeId, 3, [1, 2, 3]);
    await until(() => [1, 2, 3].every((g) => cluster.member(gone.nodeId).host.leaderOf(g) !== 0), 'it follows');
  });
});
