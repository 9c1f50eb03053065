import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import type { NodeReport, PartitionReport } from '@sluice/rpc/contract/topology-feed';
import { NodeLiveness } from '../src/liveness/node-liveness.ts';
import { PlacementLoop, type PlacementSettings } from '../src/placement-loop.ts';
import { nodeInfo } from './support/test-cluster.ts';

const SETTINGS: PlacementSettings = {
  replaceAfterMs: 300_000,
  firstPatienceMs: 10_000,
  pairPatienceMs: 10_000,
  steadyMs: 10_000,
  movesMax: 2,
};

/** A cluster whose commands take effect at once, and whose groups follow when the test says so. */
class Fixture {
  readonly liveness = new NodeLiveness();
  readonly loop = new PlacementLoop({ liveness: this.liveness, settings: SETTINGS, logger: silentLogger });
  nodes: NodeInfo[] = [];
  partitions: PartitionInfo[] = [];
  replicationFactor = 3;
  nowMs = 1_000_000;
  epoch = 1;
  /** Voters as each group has them. */
  readonly voters = new Map<number, readonly number[]>();
  readonly impaired = new Map<number, number[]>();
  readonly dead = new Set<number>();
  /** Groups of which a node still has files. */
  readonly files = new Map<number, Set<number>>();
  /** Clients of its gateway. */
  readonly connections = new Map<number, number>();

  constructor(stores: number, partitions: number) {
    for (let n = 1; n <= stores; n++) this.join(n);
    this.partitions = Array.from({ length: partitions }, (_, i) => ({
      partition: i + 1,
      replicas: [],
      preferredLeader: 0,
      bootstrap: false,
    }));
    this.loop.begin();
    this.liveness.begin(this.nowMs);
  }

  join(nodeId: number, over: Partial<NodeInfo> = {}): void {
    this.epoch++;
    this.nodes.push(nodeInfo(nodeId, ['store'], over));
    this.files.set(nodeId, new Set());
  }

  state(nodeId: number, state: NodeInfo['state']): void {
    this.epoch++;
    this.nodes = this.nodes.map((node) => (node.nodeId === nodeId ? { ...node, state } : node));
  }

  /** Everybody who lives reports, and the loop decides; what it decides is done. */
  step(): MetaCommand[] {
    this.nowMs += 1_000;
    for (const { nodeId } of this.nodes) if (!this.dead.has(nodeId)) this.#report(nodeId);
    const commands = this.loop.decide(
      {
        epoch: this.epoch,
        layoutEpoch: this.epoch,
        nodes: this.nodes,
        partitions: this.partitions,
        replicationFactor: this.replicationFactor,
        metadataMembers: [],
      },
      this.nowMs,
    );
    for (const command of commands) this.#apply(command);
    return commands;
  }

  /** Steps until nothing changes, groups following at once. Returns how many partitions moved at once at most. */
  settle(): number {
    let most = 0;
    for (let i = 0; i < 200; i++) {
      const moving = this.partitions.filter(
        ({ partition, replicas }) =>
          [...replicas].sort().join() !== [...(this.voters.get(partition) ?? [])].sort().join(),
      );
      most = Math.max(most, moving.length);
      for (const { partition } of moving) this.follow(partition);
      if (this.step().length === 0 && moving.length === 0) return most;
    }
    throw new Error('it never settles');
  }

  /** Time passes, second by second. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 1_000) this.step();
  }

  follow(partition: number): void {
    const { replicas } = this.partitions[partition - 1] as PartitionInfo;
    this.voters.set(partition, replicas);
    for (const [nodeId, files] of this.files) {
      if (replicas.includes(nodeId)) files.add(partition);
      else if (!this.dead.has(nodeId)) files.delete(partition);
    }
  }

  load(nodeId: number): number {
    return this.partitions.filter(({ replicas }) => replicas.includes(nodeId)).length;
  }

  leads(nodeId: number): number {
    return this.partitions.filter(({ preferredLeader }) => preferredLeader === nodeId).length;
  }

  #report(nodeId: number): void {
    const leads: PartitionReport[] = [];
    for (const [partition, voters] of this.voters) {
      if (voters.find((voter) => !this.dead.has(voter)) !== nodeId) continue;
      leads.push({ partition, term: 1, membershipIndex: 1, voters, learners: [], depth: 0 });
    }
    const report: NodeReport = {
      leads,
      impaired: this.impaired.get(nodeId) ?? [],
      replicas: [...(this.files.get(nodeId) ?? [])],
      consumers: [],
      connections: this.connections.get(nodeId),
    };
    this.liveness.reported(nodeId, report, this.nowMs);
  }

  #apply(command: MetaCommand): void {
    if (command.kind !== 'partition-formed') this.epoch++;
    if (command.kind === 'place-partitions') {
      for (const placed of command.placements) {
        const former = this.partitions[placed.partition - 1] as PartitionInfo;
        const isKept = [...former.replicas].sort().join() === [...placed.replicas].sort().join();
        // The machine takes none of the places then.
        if (former.bootstrap && !isKept) throw new Error(`bad-placement: ${placed.partition} is still to begin`);
        const bootstrap = former.bootstrap || former.replicas.length === 0;
        this.partitions[placed.partition - 1] = { ...placed, bootstrap };
      }
    } else if (command.kind === 'partition-formed') {
      const former = this.partitions[command.partition - 1] as PartitionInfo;
      this.partitions[command.partition - 1] = { ...former, bootstrap: false };
    } else if (command.kind === 'set-node-state') this.state(command.nodeId, command.state);
  }
}

let fixture: Fixture;

function settled(stores: number, partitions: number): Fixture {
  const made = new Fixture(stores, partitions);
  made.settle();
  made.pass(20_000);
  made.settle();
  return made;
}

describe('the first places', () => {
  test('wait for as many stores as there shall be copies', () => {
    fixture = new Fixture(3, 4);
    fixture.dead.add(3);
    expect(fixture.step()).toEqual([]);
    fixture.pass(8_000);
    expect(fixture.load(1)).toBe(0);
    fixture.dead.clear();
    expect(fixture.step().map(({ kind }) => kind)).toEqual(['place-partitions']);
    expect([1, 2, 3].map((nodeId) => fixture.load(nodeId))).toEqual([4, 4, 4]);
    expect(fixture.step()).toEqual([]);
    for (const partition of [1, 2, 3, 4]) fixture.follow(partition);
    expect(fixture.step().map(({ kind }) => kind)).toEqual(new Array(4).fill('partition-formed'));
  });

  test('of a node alone are given at once, however many copies there shall be', () => {
    fixture = new Fixture(1, 4);
    expect(fixture.step().map(({ kind }) => kind)).toEqual(['place-partitions']);
    expect(fixture.leads(1)).toBe(4);
  });

  test('wait while other nodes have not said yet that they are stores', () => {
    fixture = new Fixture(1, 4);
    fixture.nodes.push(nodeInfo(2, ['coordinator']));
    fixture.pass(9_000);
    expect(fixture.load(1)).toBe(0);
    fixture.pass(3_000);
    expect(fixture.load(1)).toBe(4);
  });

  test('are given without one that does not come, which leads nothing yet', () => {
    fixture = new Fixture(3, 4);
    fixture.dead.add(3);
    fixture.pass(11_000);
    expect(fixture.load(3)).toBe(4);
    expect(fixture.leads(3)).toBe(0);
  });
});

describe('a node alone', () => {
  beforeEach(() => {
    fixture = new Fixture(1, 4);
    fixture.settle();
    // Not because this coordinator is new.
    fixture.pass(60_000);
  });

  test('and two more, one after the other: from one copy to three, and never to a pair on the way', () => {
    fixture.join(2);
    fixture.pass(8_000);
    expect(fixture.load(2)).toBe(0);
    fixture.join(3);
    fixture.pass(3_000);
    const sizes = new Set<number>();
    for (let i = 0; i < 30; i++) {
      for (const { partition, replicas } of fixture.partitions) {
        sizes.add(replicas.length);
        fixture.follow(partition);
      }
      fixture.step();
    }
    expect([...sizes].sort()).toEqual([1, 3]);
    expect([1, 2, 3].map((nodeId) => fixture.load(nodeId))).toEqual([4, 4, 4]);
  });

  test('and one more: pairs, once nobody else came for a while', () => {
    fixture.join(2);
    fixture.pass(9_000);
    expect(fixture.load(2)).toBe(0);
    fixture.pass(2_000);
    fixture.settle();
    expect([1, 2].map((nodeId) => fixture.load(nodeId))).toEqual([4, 4]);
  });

  test('and one that was never heard: stays alone', () => {
    fixture.dead.add(2);
    fixture.join(2);
    fixture.pass(120_000);
    expect(fixture.load(2)).toBe(0);
  });
});

describe('nodes that come and go', () => {
  beforeEach(() => {
    fixture = settled(3, 8);
  });

  test('a joining store gets its part, a few partitions at a time, once it has been there for a while', () => {
    fixture.join(4);
    fixture.step();
    expect(fixture.load(4)).toBe(0);
    fixture.pass(8_000);
    expect(fixture.load(4)).toBe(0);
    fixture.pass(2_000);
    expect(fixture.settle()).toBe(SETTINGS.movesMax);
    expect(fixture.load(4)).toBe(6);
    expect(fixture.leads(4)).toBe(2);
  });

  test('the dead lead nothing; back, they lead again only after a while', () => {
    fixture.dead.add(2);
    for (let i = 0; i < 7; i++) fixture.step();
    expect(fixture.leads(2)).toBe(0);
    expect(fixture.load(2)).toBe(8);
    fixture.dead.clear();
    for (let i = 0; i < 5; i++) fixture.step();
    expect(fixture.leads(2)).toBe(0);
    for (let i = 0; i < 7; i++) fixture.step();
    expect(fixture.leads(2)).toBeGreaterThanOrEqual(2);
  });

  test('given up after a while, when there is one to take its places', () => {
    fixture.join(4);
    fixture.pass(12_000);
    fixture.settle();
    fixture.dead.add(2);
    fixture.pass(SETTINGS.replaceAfterMs - 10_000);
    expect(fixture.load(2)).toBe(6);
    fixture.pass(12_000);
    fixture.settle();
    expect(fixture.load(2)).toBe(0);
    expect([1, 3, 4].map((nodeId) => fixture.load(nodeId))).toEqual([8, 8, 8]);
  });

  test('replaced at once by the node that lives under its name', () => {
    fixture.dead.add(2);
    fixture.state(2, 'gone');
    fixture.join(4, { name: 'n2' });
    fixture.settle();
    expect([1, 2, 3, 4].map((nodeId) => fixture.load(nodeId))).toEqual([8, 0, 8, 8]);
  });

  test('a coordinator that was paused does not take everybody for dead', () => {
    fixture.nowMs += 60_000;
    for (let i = 0; i < 15; i++) expect(fixture.step()).toEqual([]);
    fixture.dead.add(2);
    fixture.nowMs += 60_000;
    expect(fixture.step()).toEqual([]);
    fixture.pass(7_000);
    expect(fixture.leads(2)).toBe(0);
  });

  test('leaving: gone when its last client is elsewhere', () => {
    const fixture = new Fixture(4, 8);
    fixture.settle();
    fixture.connections.set(2, 1);
    fixture.state(2, 'leaving');
    fixture.settle();
    expect(fixture.load(2)).toBe(0);
    expect(fixture.nodes[1]?.state).toBe('leaving');
    fixture.connections.set(2, 0);
    fixture.step();
    expect(fixture.nodes[1]?.state).toBe('gone');
  });

  test('a gateway that is silent for as long as a store is waited for is forgotten; coordinators are not', () => {
    const fixture = new Fixture(3, 4);
    fixture.join(4, { roles: ['gateway'] });
    fixture.join(5, { roles: ['gateway'] });
    fixture.join(6, { roles: ['coordinator', 'gateway'] });
    fixture.settle();
    fixture.dead.add(4).add(6);
    fixture.pass(SETTINGS.replaceAfterMs);
    expect(fixture.nodes.map(({ state }) => state)).not.toContain('gone');
    expect(fixture.step()).toEqual([{ kind: 'set-node-state', nodeId: 4, state: 'gone' }]);
    fixture.pass(10_000);
    expect(fixture.nodes.filter(({ state }) => state === 'gone').map(({ nodeId }) => nodeId)).toEqual([4]);
  });

  test('leaving after it died: gone when others have what it had, whatever it said last', () => {
    const fixture = new Fixture(4, 8);
    fixture.settle();
    fixture.pass(20_000);
    fixture.connections.set(2, 1);
    fixture.step();
    fixture.dead.add(2);
    fixture.pass(10_000);
    fixture.state(2, 'leaving');
    fixture.settle();
    expect(fixture.load(2)).toBe(0);
    expect(fixture.nodes[1]?.state).toBe('gone');
  });

  test('drained: leads nothing and keeps its replicas; leaving: gone when nothing is on it', () => {
    fixture.state(2, 'draining');
    fixture.step();
    expect([fixture.leads(2), fixture.load(2)]).toEqual([0, 8]);
    fixture.state(2, 'leaving');
    fixture.step();
    // Until its groups have let it go.
    fixture.step();
    expect(fixture.nodes[1]?.state).toBe('leaving');
    fixture.settle();
    expect(fixture.nodes[1]?.state).toBe('gone');
    expect(fixture.load(2)).toBe(0);
  });

  test('a new leader of the metadata changes nothing of what stands', () => {
    fixture.loop.begin();
    fixture.liveness.begin(fixture.nowMs);
    for (let i = 0; i < 30; i++) expect(fixture.step()).toEqual([]);
  });

  test.each([0, 3, 12])(
    'a store away for 9 s, %i s into a term of the metadata, loses and regains its leaders once',
    (seconds) => {
      fixture = settled(3, 9);
      fixture.loop.begin();
      fixture.liveness.begin(fixture.nowMs);
      const seen: number[] = [];
      const step = (): void => {
        fixture.step();
        if (fixture.leads(2) !== seen.at(-1)) seen.push(fixture.leads(2));
      };
      for (let i = 0; i < seconds; i++) step();
      fixture.dead.add(2);
      for (let i = 0; i < 9; i++) step();
      fixture.dead.clear();
      for (let i = 0; i < 9; i++) step();
      expect(seen).toEqual([3, 0]);
      for (let i = 0; i < 20; i++) step();
      expect(seen).toEqual([3, 0, 3]);
    },
  );
});

describe('a replica that cannot be trusted', () => {
  beforeEach(() => {
    fixture = settled(4, 4);
  });

  test('goes out and comes in again once it is wiped; nobody else takes its place meanwhile', () => {
    const { replicas } = fixture.partitions[0] as PartitionInfo;
    const broken = replicas[1] as number;
    fixture.impaired.set(broken, [1]);
    fixture.step();
    expect(fixture.partitions[0]?.replicas).toEqual(replicas.filter((nodeId) => nodeId !== broken));
    for (let i = 0; i < 3; i++) fixture.step();
    expect(fixture.partitions[0]?.replicas).toHaveLength(2);
    fixture.follow(1);
    fixture.step();
    expect(fixture.partitions[0]?.replicas).toHaveLength(2);
    fixture.impaired.clear();
    fixture.settle();
    expect([...(fixture.partitions[0]?.replicas ?? [])].sort()).toEqual([...replicas].sort());
  });

  test('of a node that dies before it has wiped it is replaced like any other', () => {
    const { replicas } = fixture.partitions[0] as PartitionInfo;
    const broken = replicas[1] as number;
    fixture.impaired.set(broken, [1]);
    fixture.step();
    fixture.follow(1);
    fixture.step();
    fixture.dead.add(broken);
    fixture.pass(SETTINGS.replaceAfterMs + 10_000);
    fixture.settle();
    expect(fixture.partitions[0]?.replicas).toHaveLength(3);
    expect(fixture.partitions[0]?.replicas).not.toContain(broken);
  });

  test('stays while its partition has not begun: the metadata would refuse the places of all others with it', () => {
    fixture = new Fixture(3, 4);
    fixture.replicationFactor = 2;
    fixture.step();
    for (const partition of [2, 3, 4]) fixture.follow(partition);
    const before = fixture.partitions[0] as PartitionInfo;
    fixture.impaired.set(before.replicas[0] as number, [1]);
    fixture.join(4);
    fixture.pass(20_000);
    for (const partition of [2, 3, 4]) fixture.follow(partition);
    fixture.pass(20_000);
    expect(fixture.partitions[0]).toMatchObject({ replicas: before.replicas, bootstrap: true });
    expect(fixture.load(4)).toBeGreaterThan(0);
    fixture.follow(1);
    fixture.step();
    fixture.step();
    expect(fixture.partitions[0]?.replicas).not.toContain(before.replicas[0]);
  });

  test('stays when it is the only one: there is nothing to make it anew from', () => {
    fixture = new Fixture(1, 1);
    fixture.replicationFactor = 1;
    fixture.settle();
    fixture.impaired.set(1, [1]);
    for (let i = 0; i < 5; i++) expect(fixture.step()).toEqual([]);
  });
});
