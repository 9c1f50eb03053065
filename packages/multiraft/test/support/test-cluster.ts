import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import type { Membership } from '@sluice/raft/entry';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import { type NodeStorage, openNodeStorage } from '../../src/disk/node-storage.ts';
import type { GroupListener } from '../../src/group-machine.ts';
import { RaftHost } from '../../src/raft-host.ts';
import { noSnapshots } from './no-snapshots.ts';
import { add, TALLY_RESIDENT, type TallyEffect, TallyMachine, type TallyReply } from './tally-machine.ts';
import { until } from './test-node.ts';

/** Several nodes in one process, each with real files in a directory of its own, over a network that can be cut. */
export class TestCluster {
  readonly network = new InprocNetwork({ codecs: true });
  readonly members = new Map<number, Member>();
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  static async create(): Promise<TestCluster> {
    return new TestCluster(await mkdtemp(join(tmpdir(), 'sluice-cluster-')));
  }

  /** Nodes 1 to `nodes`, each with every group, begun by all of them. */
  async start(nodes: number, groups: number): Promise<void> {
    const voters = Array.from({ length: nodes }, (_, i) => i + 1);
    for (const nodeId of voters) await this.boot(nodeId, groups, voters);
  }

  async boot(nodeId: number, groups: number, voters: readonly number[] | undefined): Promise<Member> {
    const member = new Member(this, nodeId, join(this.#root, String(nodeId)));
    this.members.set(nodeId, member);
    await member.start(groups, voters);
    return member;
  }

  member(nodeId: number): Member {
    const member = this.members.get(nodeId);
    if (member === undefined) throw new Error(`no node ${nodeId}`);
    return member;
  }

  /** As a killed process: nobody is told, its connections break. */
  async kill(nodeId: number): Promise<void> {
    this.network.stop(nodeId);
    const { host } = this.member(nodeId);
    this.members.delete(nodeId);
    await host.close();
  }

  /** Both ways, silently. */
  isolate(nodeId: number): void {
    for (const other of this.members.keys()) {
      this.network.cut(nodeId, other);
      this.network.cut(other, nodeId);
    }
  }

  rejoin(nodeId: number): void {
    for (const other of this.members.keys()) {
      this.network.heal(nodeId, other);
      this.network.heal(other, nodeId);
    }
  }

  /** The node that leads the group, among `among`. */
  async leader(groupId: number, among: readonly number[] = [...this.members.keys()]): Promise<Member> {
    let found: Member | undefined;
    await until(() => {
      found = among.map((nodeId) => this.member(nodeId)).find(({ host }) => host.leads(groupId));
      return found !== undefined;
    }, `group ${groupId} has a leader`);
    return found as Member;
  }

  /** Everybody in `among` has the total. */
  async agree(groupId: number, total: number, among: readonly number[] = [...this.members.keys()]): Promise<void> {
    await until(
      () => among.every((nodeId) => this.member(nodeId).machines.get(groupId)?.total === total),
      `group ${groupId} reaches ${total} on ${among}`,
    );
  }

  async remove(): Promise<void> {
    for (const nodeId of [...this.members.keys()]) await this.kill(nodeId);
    await rm(this.#root, { recursive: true, force: true });
  }
}

/** The real one, with a leap for all that live in the process. */
class TestClock {
  leapMs = 0;
  nowMs(): number {
    return systemClock.nowMs();
  }
  monotonicMs(): number {
    return systemClock.monotonicMs() + this.leapMs;
  }
}

export class Member {
  readonly nodeId: number;
  readonly metrics = new PlainMetrics();
  readonly clock = new TestClock();
  readonly files = { ...nodeFileOperations };
  readonly warnings: string[] = [];
  readonly machines = new Map<number, TallyMachine>();
  readonly listeners = new Map<number, ClusterListener>();
  host!: RaftHost;
  storage!: NodeStorage;
  readonly #cluster: TestCluster;
  readonly #directory: string;

  constructor(cluster: TestCluster, nodeId: number, directory: string) {
    this.#cluster = cluster;
    this.nodeId = nodeId;
    this.#directory = directory;
  }

  async start(groups: number, voters: readonly number[] | undefined): Promise<void> {
    const { metrics, nodeId } = this;
    const node = this.#cluster.network.node(nodeId);
    this.storage = await openNodeStorage({
      directory: this.#directory,
      logger: silentLogger,
      metrics,
      openEngine: async () => new MemoryEngine(),
      openEntryLog: (directory, durableMark) =>
        openEntryLog({ directory, logger: silentLogger, metrics, durableMark, files: this.files }),
    });
    this.host = new RaftHost(this.storage, {
      nodeId,
      clock: this.clock,
      logger: { ...silentLogger, warn: (_, said) => this.warnings.push(said) },
      metrics,
      prng: new SeededPrng(nodeId * 7919),
      transport: node,
      snapshots: noSnapshots,
      imageCheckDelayMs: 60_000,
      liveEntries: async () => [],
    });
    for (let groupId = 1; groupId <= groups; groupId++) await this.addGroup(groupId, voters);
    this.host.serve(node);
    this.host.start();
  }

  async addGroup(groupId: number, voters: readonly number[] | undefined): Promise<void> {
    const listener = new ClusterListener();
    this.listeners.set(groupId, listener);
    const machine = await this.host.addGroup({
      groupId,
      bootstrapVoters: voters,
      residentRanges: TALLY_RESIDENT,
      restore: (rows) => TallyMachine.restore(rows),
      listener,
    });
    this.machines.set(groupId, machine);
  }

  listener(groupId: number): ClusterListener {
    return this.listeners.get(groupId) as ClusterListener;
  }

  /** What a former replica here had promised can be read no more. */
  rotPromise(groupId: number): void {
    writeFileSync(join(this.#directory, 'images', `${groupId}.promise`), 'rotten');
  }

  propose(groupId: number, amount = 1, padding = 0): Promise<TallyReply> {
    return new Promise((resolve, reject) => {
      const token: Token = { resolve, reject };
      const outcome = this.host.propose(groupId, add(1, amount, padding), token);
      if (outcome !== 'proposed') reject(new Error(outcome));
    });
  }
}

interface Token {
  resolve(reply: TallyReply): void;
  reject(cause: Error): void;
}

class ClusterListener implements GroupListener<TallyReply, TallyEffect, TallyMachine> {
  leads = false;
  leader = 0;
  readonly memberships: Membership[] = [];

  applied(_index: number, reply: TallyReply, token: unknown): void {
    (token as Token | undefined)?.resolve(reply);
  }
  dropped(token: unknown, reason: string): void {
    (token as Token).reject(new Error(reason));
  }
  effects(): void {}
  leadership(leads: boolean): void {
    this.leads = leads;
  }
  stopped(): void {}
  leaderMoved(leader: number): void {
    this.leader = leader;
  }
  membershipMoved(membership: Membership): void {
    this.memberships.push(membership);
  }
  restored(): void {}
}
