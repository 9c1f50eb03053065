import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeMembership } from '@sluice/raft/conf-change';
import { drop, liveBoxes } from '../support/box-machine.ts';
import { GROUP, SnapshotCluster, type SnapshotNode } from '../support/snapshot-cluster.ts';
import { until } from '../support/test-node.ts';

let cluster: SnapshotCluster;
beforeEach(async () => {
  cluster = await SnapshotCluster.create();
});
afterEach(() => cluster.remove());

const KIB = 1024;
const MIB = 1024 * 1024;

/** Every box that was put and not dropped, byte for byte, on this node; and no other is alive. */
async function expectBoxes(node: SnapshotNode, boxes: ReadonlyMap<number, Uint8Array>): Promise<void> {
  await node.host.written();
  const { engine, entryLog } = node.storage;
  const live = await liveBoxes(engine, GROUP, 0, 1e9, 1e6);
  expect(live.map(({ index }) => index)).toEqual([...boxes.keys()].sort((a, b) => a - b));
  for (const [index, bytes] of boxes) {
    const [entry] = await entryLog.read(GROUP, index, index, 1);
    if (entry === undefined || Buffer.compare(entry.data, bytes) !== 0) throw new Error(`box ${index} differs`);
  }
}

async function caughtUp(follower: SnapshotNode, leader: SnapshotNode): Promise<void> {
  await until(() => follower.caughtUpWith(leader), `node ${follower.nodeId} caught up`, 20_000);
}

function addLearner(leader: SnapshotNode, nodeId: number): void {
  expect(leader.host.proposeMembership(GROUP, { addLearners: [nodeId] })).toBe('proposed');
}

/** The leader has noticed that it does not answer. */
async function silent(leader: SnapshotNode, nodeId: number): Promise<void> {
  const isActive = () => leader.host.status(GROUP)?.progress.find(({ peer }) => peer === nodeId)?.recentlyActive;
  await until(() => isActive() === false, `node ${nodeId} is silent`);
}

/** As the reclaimer does, with all segments: what is alive moves forward. */
async function giveBack(node: SnapshotNode): Promise<void> {
  const { engine, entryLog } = node.storage;
  await entryLog.seal();
  const live = (await liveBoxes(engine, GROUP, 0, 1e9, 1e6)).map(({ index }) => ({ groupId: GROUP, index }));
  for (const { segmentId } of [...entryLog.sealedSegments()]) await entryLog.release(segmentId, live);
}

const extraFiles = async (node: SnapshotNode): Promise<string[]> =>
  (await readdir(join(node.directory, 'images'))).filter((name) => !name.endsWith('.image'));

function sent(node: SnapshotNode, outcome: string): number {
  return node.metrics.counter('sluice_raft_snapshots_sent_total', '', { outcome }).value;
}

describe('a replica whose log the leader has given back', () => {
  test('gets rows and live entries while traffic goes on, keeps them over a restart, and may lead', async () => {
    const leader = await cluster.boot(1);
    const boxes = new Map<number, Uint8Array>();
    await leader.fill(boxes, 2000, 300);
    await leader.fill(boxes, 6, MIB);
    await leader.fill(boxes, 1000, 2 * KIB);
    const dead = [...boxes.keys()].filter((index) => index % 3 === 0);
    await Promise.all(dead.map((index) => leader.propose(drop(index))));
    for (const index of dead) boxes.delete(index);
    const first = await leader.compact();
    expect(first).toBeGreaterThan(3000);

    // Traffic during the transfer: boxes come and go, and the log is compacted again and again.
    let writing = true;
    const traffic = (async () => {
      while (writing) {
        await leader.fill(boxes, 20, 700);
        const [oldest] = boxes.keys();
        await leader.propose(drop(oldest as number));
        boxes.delete(oldest as number);
        await leader.compact();
      }
    })();
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await until(() => follower.restores > 0, 'the snapshot is installed', 20_000);
    writing = false;
    await traffic;
    await caughtUp(follower, leader);
    expect([follower.restores, sent(leader, 'done'), sent(leader, 'failed')]).toEqual([1, 1, 0]);
    expect(follower.storage.entryLog.firstIndex(GROUP)).toBeGreaterThan(3000);
    await expectBoxes(follower, boxes);
    expect(await extraFiles(follower)).toEqual([]);

    await cluster.kill(2);
    const restarted = await cluster.boot(2);
    await caughtUp(restarted, leader);
    expect(restarted.restores).toBe(0);
    await expectBoxes(restarted, boxes);

    await until(() => leader.host.proposeMembership(GROUP, { addVoters: [2] }) === 'proposed', 'it may vote');
    await until(() => leader.host.transferLeadership(GROUP, 2), 'it may lead');
    await until(() => restarted.leads, 'it leads');
    await restarted.fill(boxes, 5, 100);
    await caughtUp(leader, restarted);
    await expectBoxes(leader, boxes);
  });

  test('that is only a little behind gets the log: it is kept for it, within bounds', async () => {
    const leader = await cluster.boot(1);
    const boxes = new Map<number, Uint8Array>();
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await leader.fill(boxes, 10, 100);
    await caughtUp(follower, leader);
    const behind = leader.replica().appliedIndex;
    cluster.isolate(2);
    await leader.fill(boxes, 100, 10 * KIB);
    expect(await leader.compact()).toBeLessThanOrEqual(behind + 1);
    cluster.rejoin(2);
    await caughtUp(follower, leader);
    expect(follower.restores).toBe(0);

    // Too much for one that may never be back.
    cluster.isolate(2);
    await leader.fill(boxes, 20, MIB);
    await silent(leader, 2);
    expect(await leader.compact()).toBeGreaterThan(behind + 105);
    cluster.rejoin(2);
    await caughtUp(follower, leader);
    expect(follower.restores).toBe(1);
    await expectBoxes(follower, boxes);
  });

  test('alone again, the leader gives its whole log back', async () => {
    const leader = await cluster.boot(1);
    const boxes = new Map<number, Uint8Array>();
    await leader.fill(boxes, 10, 100);
    expect(await leader.compact()).toBe(leader.replica().appliedIndex + 1);
  });
});

describe('a transfer', () => {
  let leader: SnapshotNode;
  const boxes = new Map<number, Uint8Array>();
  beforeEach(async () => {
    boxes.clear();
    leader = await cluster.boot(1);
    await leader.fill(boxes, 400, KIB);
    await leader.fill(boxes, 12, MIB);
    await leader.compact();
  });

  test('of which a chunk was damaged on its way is refused and sent again', async () => {
    const damaged: string[] = [];
    cluster.tamper = (chunk, pass) => {
      if ((chunk.type === 'rows' || chunk.type === 'entries') && !damaged.includes(chunk.type)) {
        damaged.push(chunk.type);
        if (chunk.type === 'rows') {
          const [row, ...others] = chunk.rows;
          pass({ ...chunk, rows: [{ key: row?.key as Uint8Array, value: Buffer.from('damaged') }, ...others] });
        } else {
          const entries = chunk.entries.map((entry, i) =>
            i === 0 ? { ...entry, data: Buffer.from('damaged') } : entry,
          );
          pass({ ...chunk, entries });
        }
      } else pass(chunk);
    };
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await caughtUp(follower, leader);
    expect([damaged, follower.restores, sent(leader, 'failed')]).toEqual([['rows', 'entries'], 1, 2]);
    await expectBoxes(follower, boxes);
    expect(await extraFiles(follower)).toEqual([]);
  });

  test('of which a chunk was lost, repeated or left out is never taken for whole', async () => {
    let transfers = 0;
    cluster.tamper = (chunk, pass) => {
      if (chunk.type === 'begin') transfers++;
      const repeated = transfers === 1 && chunk.type === 'rows';
      const lost = transfers === 2 && chunk.type === 'entries' && chunk.entries.some(({ index }) => index === 100);
      if (!lost) pass(chunk);
      // The sender waits for a word about what was lost: let it have the next one's.
      if (lost) pass({ type: 'entries', entries: [], crc: 0 });
      if (repeated) pass(chunk);
    };
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await caughtUp(follower, leader);
    expect([transfers, follower.restores]).toEqual([3, 1]);
    await expectBoxes(follower, boxes);
  });

  test('keeps a bounded distance ahead of a slow receiver', async () => {
    const held: (() => void)[] = [];
    cluster.tamper = (chunk, pass) => held.push(() => pass(chunk));
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await until(() => held.length >= 4, 'the window is full');
    // Everything that could make it send more has its turn.
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(held.length).toBe(4);
    let passed = 0;
    while (follower.restores === 0) {
      const next = held.shift();
      if (next !== undefined) {
        next();
        passed++;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(passed).toBeGreaterThan(12);
    expect(cluster.aheadMax).toBe(4);
    await caughtUp(follower, leader);
    await expectBoxes(follower, boxes);
  });

  test('is refused where the disk is nearly full, leaves nothing there, and succeeds when it is not', async () => {
    const follower = await cluster.boot(2);
    follower.freeBytes = 60 * MIB;
    addLearner(leader, 2);
    await until(() => sent(leader, 'failed') >= 2, 'it was refused, and tried again');
    expect(follower.restores).toBe(0);
    await until(
      () => follower.metrics.counter('sluice_raft_snapshots_received_total', '', { outcome: 'refused' }).value >= 2,
      'refused',
    );
    expect((await extraFiles(follower)).filter((name) => !/incoming|spool|tmp/.test(name))).toEqual([]);
    follower.freeBytes = 1e12;
    await caughtUp(follower, leader);
    await expectBoxes(follower, boxes);
    expect(await extraFiles(follower)).toEqual([]);
  });

  test('whose receiver dies in the middle leaves files that its next start removes; the next one is whole', async () => {
    let entries = 0;
    cluster.tamper = (chunk, pass) => {
      if (chunk.type === 'entries' && ++entries === 3) return;
      pass(chunk);
    };
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await until(() => entries >= 3, 'the transfer is in its middle');
    // As if the power were cut: nothing is tidied up.
    follower.files.crashAfter = 0;
    await cluster.kill(2);
    expect((await extraFiles(follower)).length).toBeGreaterThan(0);
    const restarted = await cluster.boot(2);
    expect((await extraFiles(restarted)).filter((name) => name.endsWith('-1.spool'))).toEqual([]);
    await caughtUp(restarted, leader);
    await expectBoxes(restarted, boxes);
    expect(await extraFiles(restarted)).toEqual([]);
  });

  test('skips entries that die and whose segments go before they are read', async () => {
    let dropped = false;
    const victims = [...boxes.keys()].slice(-5);
    const kill = async () => {
      dropped = true;
      await Promise.all(victims.map((index) => leader.propose(drop(index))));
      for (const index of victims) boxes.delete(index);
      await leader.host.written();
      await giveBack(leader);
      for (const index of victims) {
        await expect(leader.storage.entryLog.read(GROUP, index, index, 1)).rejects.toThrow(String(index));
      }
    };
    let way = Promise.resolve();
    cluster.tamper = (chunk, pass) => {
      way = way.then(() => (chunk.type === 'entries' && !dropped ? kill() : undefined)).then(() => pass(chunk));
    };
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await caughtUp(follower, leader);
    expect([dropped, follower.restores, sent(leader, 'failed')]).toEqual([true, 1, 0]);
    await expectBoxes(follower, boxes);
  });
});

describe('several followers behind at once', () => {
  test('are served two at a time, from one image', async () => {
    const boxes = new Map<number, Uint8Array>();
    const leader = await cluster.boot(1);
    await leader.fill(boxes, 50, KIB);
    await leader.compact();
    let begun = 0;
    const held: (() => void)[] = [];
    cluster.tamper = (chunk, pass) => {
      if (chunk.type === 'begin') begun++;
      if (chunk.type === 'end') held.push(() => pass(chunk));
      else pass(chunk);
    };
    for (const nodeId of [2, 3, 4]) await cluster.boot(nodeId);
    const learners = [2, 3, 4].map((nodeId) => cluster.nodes.get(nodeId) as SnapshotNode);
    for (const { nodeId } of learners) {
      await until(() => leader.host.proposeMembership(GROUP, { addLearners: [nodeId] }) === 'proposed', 'it is added');
    }
    await until(() => held.length === 2, 'two transfers are at their end');
    const wanted = () => leader.host.status(GROUP)?.progress.filter(({ state }) => state === 'snapshot').length;
    await until(() => wanted() === 3, 'all three are wanted');
    // Were the third one begun, it would be by the end of these.
    for (let looks = 0; looks < 300; looks++) await extraFiles(leader);
    expect(begun).toBe(2);
    held.shift()?.();
    await until(() => begun === 3 && held.length === 2, 'the third one follows');
    for (const pass of held) pass();
    for (const learner of learners) {
      await caughtUp(learner, leader);
      await expectBoxes(learner, boxes);
    }
    const images = (await readdir(join(leader.directory, 'images'))).filter((name) => name.endsWith('.image'));
    expect([begun, images.length]).toEqual([3, 1]);
  });
});

describe('an image', () => {
  test('names the members as of its index, not those of a change that is not committed', async () => {
    const boxes = new Map<number, Uint8Array>();
    const leader = await cluster.boot(1);
    await leader.fill(boxes, 5, KIB);
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await caughtUp(follower, leader);
    await until(() => leader.host.proposeMembership(GROUP, { addVoters: [2] }) === 'proposed', 'it may vote');
    await until(() => leader.replica().membership.voters.length === 2, 'it is a voter');
    await until(() => leader.replica().membership.votersOutgoing.length === 0, 'the change is over');
    cluster.isolate(2);
    expect(leader.host.proposeMembership(GROUP, { addLearners: [3] })).toBe('proposed');
    await until(() => leader.host.status(GROUP)?.membership.learners.includes(3) === true, 'it is in force');
    const image = await leader.parts.imageKeeper.pin(leader.replica(), true, () => {});
    const members = decodeMembership(image?.header.meta ?? Buffer.of());
    expect(members).toEqual({ voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [] });
  });
});

describe('a group that changes its leader', () => {
  test('in the middle of a transfer: the next leader sends its own, and what the former sent goes', async () => {
    const boxes = new Map<number, Uint8Array>();
    const first = await cluster.boot(1);
    await first.fill(boxes, 300, KIB);
    for (const nodeId of [2, 3]) {
      const node = await cluster.boot(nodeId);
      addLearner(first, nodeId);
      await caughtUp(node, first);
      await until(() => first.host.proposeMembership(GROUP, { addVoters: [nodeId] }) === 'proposed', 'it is promoted');
      await caughtUp(node, first);
    }
    cluster.isolate(3);
    await first.fill(boxes, 20, MIB);
    const second = cluster.nodes.get(2) as SnapshotNode;
    await caughtUp(second, first);
    await silent(first, 3);
    for (const node of [first, second]) await node.compact();
    let entries = 0;
    cluster.tamper = (chunk, pass) => {
      if (chunk.type === 'entries' && ++entries >= 5) return;
      pass(chunk);
    };
    cluster.rejoin(3);
    await until(() => entries >= 5, 'the transfer is in its middle', 20_000);
    cluster.tamper = undefined;
    await cluster.kill(1);
    const third = cluster.nodes.get(3) as SnapshotNode;
    await until(() => second.leads, 'the other one leads', 20_000);
    await second.fill(boxes, 3, 100);
    await caughtUp(third, second);
    expect(third.restores).toBe(1);
    await expectBoxes(third, boxes);
    expect(await extraFiles(third)).toEqual([]);
  });
});

describe('an impaired replica', () => {
  test('is removed from the voters, wiped, and made anew', async () => {
    const boxes = new Map<number, Uint8Array>();
    const leader = await cluster.boot(1);
    await leader.fill(boxes, 50, KIB);
    const follower = await cluster.boot(2);
    addLearner(leader, 2);
    await caughtUp(follower, leader);
    await leader.compact();
    follower.host.markImpaired(GROUP, new Error('of a test'));
    expect(follower.host.impaired()).toEqual([GROUP]);
    await leader.fill(boxes, 5, KIB);
    await until(() => leader.host.proposeMembership(GROUP, { remove: [2] }) === 'proposed', 'it is removed');
    await until(() => leader.replica().membership.learners.length === 0, 'the removal is committed');
    await follower.host.removeGroup(GROUP);
    expect([...follower.host.storedGroups()]).toEqual([]);
    await leader.compact();
    await follower.addGroup(undefined);
    expect(follower.host.impaired()).toEqual([]);
    await until(() => leader.host.proposeMembership(GROUP, { addLearners: [2] }) === 'proposed', 'it is added');
    await caughtUp(follower, leader);
    await expectBoxes(follower, boxes);
    // Its next start believes it.
    await cluster.kill(2);
    const restarted = await cluster.boot(2);
    expect(restarted.host.impaired()).toEqual([]);
    await caughtUp(restarted, leader);
    await expectBoxes(restarted, boxes);
  });
});

describe('a leader with a live entry that is damaged', () => {
  test('leaves the group to the others when they can do without it, and they send the snapshot', async () => {
    const boxes = new Map<number, Uint8Array>();
    const first = await cluster.boot(1);
    await first.fill(boxes, 30, 10 * KIB);
    for (const nodeId of [2, 3]) {
      const node = await cluster.boot(nodeId);
      addLearner(first, nodeId);
      await caughtUp(node, first);
      await until(() => first.host.proposeMembership(GROUP, { addVoters: [nodeId] }) === 'proposed', 'it is promoted');
      await caughtUp(node, first);
    }
    await first.fill(boxes, 3, 10 * KIB);
    const others = [2, 3].map((nodeId) => cluster.nodes.get(nodeId) as SnapshotNode);
    for (const node of others) await caughtUp(node, first);
    // Longer than the tail that everybody keeps.
    await first.fill(boxes, 3, MIB);
    for (const node of others) await caughtUp(node, first);
    for (const node of [first, ...others]) expect(await node.compact()).toBeGreaterThan(33);
    await damage(first, boxes.get(20) as Uint8Array);
    await damage(first, boxes.get(21) as Uint8Array);
    const fourth = await cluster.boot(4);
    addLearner(first, 4);
    await until(() => first.host.impaired().length === 1, 'the leader finds the damage');
    await until(() => others.some(({ leads }) => leads), 'another one leads');
    await caughtUp(fourth, others.find(({ leads }) => leads) as SnapshotNode);
    await expectBoxes(fourth, boxes);
  });
});

describe('a leader with a damaged entry that a follower lacks', () => {
  test('leaves the group to the others when they can do without it, and they bring it', async () => {
    const boxes = new Map<number, Uint8Array>();
    const first = await cluster.boot(1);
    await first.fill(boxes, 5, KIB);
    for (const nodeId of [2, 3, 4, 5]) {
      const node = await cluster.boot(nodeId);
      addLearner(first, nodeId);
      await caughtUp(node, first);
      await until(() => first.host.proposeMembership(GROUP, { addVoters: [nodeId] }) === 'proposed', 'it is promoted');
      await caughtUp(node, first);
    }
    await silenced(first, 5);
    await first.fill(boxes, 5, 10 * KIB);
    const others = [2, 3, 4].map((nodeId) => cluster.nodes.get(nodeId) as SnapshotNode);
    for (const node of others) await caughtUp(node, first);
    await damage(first, boxes.get([...boxes.keys()].at(-3) as number) as Uint8Array);
    cluster.rejoin(5);
    await until(() => first.host.impaired().length === 1, 'the leader finds the damage');
    await until(() => others.some(({ leads }) => leads), 'another one leads');
    const fifth = cluster.nodes.get(5) as SnapshotNode;
    await caughtUp(fifth, others.find(({ leads }) => leads) as SnapshotNode);
    await expectBoxes(fifth, boxes);
  });
});

/** Cut off, and the leader has noticed. */
async function silenced(leader: SnapshotNode, nodeId: number): Promise<void> {
  cluster.isolate(nodeId);
  await silent(leader, nodeId);
}

/** Flips a bit of these bytes in the node's segments. */
async function damage(node: SnapshotNode, bytes: Uint8Array): Promise<void> {
  const directory = join(node.directory, 'log');
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.log')) continue;
    const file = await readFile(join(directory, name));
    const at = file.indexOf(bytes);
    if (at < 0) continue;
    const handle = await open(join(directory, name), 'r+');
    await handle.write(Uint8Array.of((bytes[100] as number) ^ 1), 0, 1, at + 100);
    await handle.close();
    return;
  }
  throw new Error('these bytes are in no segment');
}
