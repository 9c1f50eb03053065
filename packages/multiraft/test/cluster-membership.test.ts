import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Membership } from '@sluice/raft/entry';
import type { Message } from '@sluice/raft/message';
import type { RaftFrame } from '@sluice/rpc/contract/raft';
import { type Member, TestCluster } from './support/test-cluster.ts';
import { until } from './support/test-node.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.create();
});
afterEach(async () => {
  await cluster.remove();
});

type Change = Parameters<Member['host']['proposeMembership']>[1];

async function change(leader: Member, what: Change, isDone: (membership: Membership) => boolean): Promise<void> {
  await until(() => leader.host.proposeMembership(1, what) === 'proposed', JSON.stringify(what));
  await until(
    () => {
      const membership = leader.host.status(1)?.committedMembership;
      return membership !== undefined && membership.votersOutgoing.length === 0 && isDone(membership);
    },
    `${JSON.stringify(what)} is committed`,
  );
}

/** The listener and machine of a group that is taken off a node belong to nobody. */
async function wipe(member: Member): Promise<void> {
  await member.host.removeGroup(1);
  member.machines.delete(1);
}

test('a group of one grows to three while it works', async () => {
  const leader = await cluster.boot(1, 1, [1]);
  await cluster.leader(1);
  await leader.propose(1, 1);
  expect(leader.host.status(1)?.committedMembership.voters).toEqual([1]);
  await cluster.boot(2, 1, undefined);
  await cluster.boot(3, 1, undefined);
  await change(leader, { addLearners: [2, 3] }, ({ learners }) => learners.length === 2);
  await leader.propose(1, 1);
  await cluster.agree(1, 2);
  await change(leader, { addVoters: [2, 3] }, ({ voters }) => voters.length === 3);
  await leader.propose(1, 1);
  await cluster.agree(1, 3);
  await cluster.kill(1);
  const next = await cluster.leader(1);
  expect((await next.propose(1, 1)).value).toBe(4);
});

test('a deaf replica acknowledges nothing until it hears again', async () => {
  const leader = await cluster.boot(1, 1, [1]);
  await cluster.leader(1);
  const learner = await cluster.boot(2, 1, undefined);
  await change(leader, { addLearners: [2] }, ({ learners }) => learners.length === 1);
  await leader.propose(1, 1);
  await cluster.agree(1, 1);
  const known = learner.host.status(1)?.lastIndex as number;
  learner.host.deafen(1, true);
  await leader.propose(1, 1);
  await leader.propose(1, 1);
  const seen = () => leader.host.status(1)?.progress.find(({ peer }) => peer === 2);
  await until(() => (seen()?.inflightAppends ?? 0) > 0, 'the leader has sent it');
  expect([learner.host.status(1)?.lastIndex, seen()?.match]).toEqual([known, known]);
  learner.host.deafen(1, false);
  await cluster.agree(1, 3);
});

test('a log of a build without clusters is that of node 1, alone', async () => {
  const member = await cluster.boot(1, 0, undefined);
  // As such a build wrote it: no membership entry.
  await member.storage.entryLog.append([
    {
      groupId: 1,
      hardState: { term: 1, vote: 1, commit: 2 },
      entries: [
        { term: 1, index: 1, kind: 1, data: new Uint8Array(0) },
        { term: 1, index: 2, kind: 0, data: Uint8Array.of(1, 1, 7) },
      ],
    },
  ]);
  await member.addGroup(1, [1]);
  await cluster.leader(1);
  expect((await member.propose(1, 1)).value).toBe(8);
  // Its membership is that of others, once it gets some.
  await cluster.boot(2, 1, undefined);
  await change(member, { addLearners: [2] }, ({ learners }) => learners.length === 1);
  await change(member, { addVoters: [2] }, ({ voters }) => voters.length === 2);
  await cluster.agree(1, 8);
  await cluster.kill(1);
  await cluster.boot(1, 1, [1]);
  expect(cluster.member(1).host.status(1)?.membership.voters).toEqual([1, 2]);
});

describe('a replica that cannot be trusted', () => {
  test('gives leadership up, stays impaired over a restart, and is made anew as a learner', async () => {
    await cluster.start(3, 1);
    const bad = await cluster.leader(1);
    await bad.propose(1, 5);
    await cluster.agree(1, 5);
    const { nodeId } = bad;
    const others = [1, 2, 3].filter((other) => other !== nodeId);
    bad.host.markImpaired(1, new Error('its disk lies'));
    expect(bad.host.leads(1)).toBe(false);
    expect(bad.host.propose(1, new Uint8Array(0), undefined)).toBe('unavailable');
    expect(await bad.host.readBarrier(1)).toBe(false);
    const leader = await cluster.leader(1, others);
    await leader.propose(1, 1);
    await cluster.kill(nodeId);
    const again = await cluster.boot(nodeId, 1, [1, 2, 3]);
    expect(again.host.impaired()).toEqual([1]);
    expect(again.host.status(1)?.impaired?.message).toContain('its disk lies');
    await change(leader, { remove: [nodeId] }, ({ voters }) => !voters.includes(nodeId));
    await wipe(again);
    expect([...again.host.storedGroups()]).toEqual([]);
    // What the former one promised is not forgotten with it; it never begins a group of its own.
    await again.addGroup(1, [1, 2, 3]);
    expect(again.host.status(1)?.membership.voters).toEqual([]);
    await change(leader, { addLearners: [nodeId] }, ({ learners }) => learners.includes(nodeId));
    await cluster.agree(1, 6);
    await change(leader, { addVoters: [nodeId] }, ({ voters }) => voters.includes(nodeId));
    expect(again.host.impaired()).toEqual([]);
    expect(leader.host.transferLeadership(1, nodeId)).toBe(true);
    await until(() => again.host.leads(1), 'it may lead again');
  });

  test('and was made anew is not taken for broken because of a heartbeat to the one before', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    await leader.propose(1, 5);
    await cluster.agree(1, 5);
    const nodeId = [1, 2, 3].find((other) => other !== leader.nodeId) as number;
    const member = cluster.member(nodeId);
    const term = leader.host.termOf(1);
    const commit = leader.host.status(1)?.commit as number;
    await change(leader, { remove: [nodeId] }, ({ voters }) => !voters.includes(nodeId));
    await wipe(member);
    await member.addGroup(1, undefined);
    // It was under way all the time.
    const late = cluster.network.node(leader.nodeId).open<RaftFrame, never>(nodeId, 'raft-control');
    const heartbeat: Message = { type: 'heartbeat', from: leader.nodeId, to: nodeId, term, commit, readContext: 0 };
    late.send({ messages: [{ groupId: 1, message: heartbeat }], quiesced: [] });
    await until(() => member.host.status(1)?.leader === leader.nodeId, 'the heartbeat is heard');
    expect(member.host.impaired()).toEqual([]);
    await change(leader, { addLearners: [nodeId] }, ({ learners }) => learners.includes(nodeId));
    await cluster.agree(1, 5);
    await change(leader, { addVoters: [nodeId] }, ({ voters }) => voters.includes(nodeId));
    expect(leader.host.termOf(1)).toBe(term);
  });

  test('is one whose predecessor’s promise rotted: the node starts, and the group goes on without it', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    await leader.propose(1, 5);
    await cluster.agree(1, 5);
    const nodeId = [1, 2, 3].find((other) => other !== leader.nodeId) as number;
    const member = cluster.member(nodeId);
    await cluster.kill(nodeId);
    member.rotPromise(1);
    const again = await cluster.boot(nodeId, 1, [1, 2, 3]);
    expect(again.host.impaired()).toEqual([1]);
    await leader.propose(1, 1);
    expect(leader.machines.get(1)?.total).toBe(6);
  });

  test('is one that lost what it had acknowledged', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    await leader.propose(1, 5);
    await cluster.agree(1, 5);
    const forgetful = cluster.member([1, 2, 3].find((nodeId) => nodeId !== leader.nodeId) as number);
    const lastIndex = leader.host.status(1)?.lastIndex ?? 0;
    const replyTo = { from: leader.nodeId, to: forgetful.nodeId, term: leader.host.termOf(1) };
    const channel = cluster.network.node(leader.nodeId).open(forgetful.nodeId, 'raft-control');
    const message = { type: 'heartbeat', ...replyTo, commit: lastIndex + 100, readContext: 0 };
    channel.send({ messages: [{ groupId: 1, message }], quiesced: [] });
    await until(() => forgetful.host.impaired().length === 1, 'it knows that its log is short');
    await leader.propose(1, 1);
  });
});

test('a message whose sender is not who it says is not heard', async () => {
  await cluster.start(3, 1);
  const leader = await cluster.leader(1);
  const [a, b] = [1, 2, 3].filter((nodeId) => nodeId !== leader.nodeId) as [number, number];
  const channel = cluster.network.node(a).open(leader.nodeId, 'raft-control');
  const term = leader.host.termOf(1);
  const message = {
    type: 'vote',
    from: b,
    to: leader.nodeId,
    term: term + 5,
    lastIndex: 99,
    lastTerm: 99,
    force: true,
  };
  channel.send({ messages: [{ groupId: 1, message }], quiesced: [] });
  const strangers = leader.metrics.counter('sluice_raft_strangers_total', '');
  await until(() => strangers.value === 1, 'it is counted');
  expect(leader.host.termOf(1)).toBe(term);
});
