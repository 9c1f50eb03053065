import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@sluice/common/clock';
import { type Logger, silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import type { Channel, ChannelService, Transport } from '@sluice/rpc/transport';
import type { Engine } from '@sluice/storage/engine';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { type NodeStorage, openNodeStorage } from '../../src/disk/node-storage.ts';
import type { GroupListener } from '../../src/group-machine.ts';
import { RaftHost } from '../../src/raft-host.ts';
import type { Replica } from '../../src/replica/replica.ts';
import { SnapshotExchange } from '../../src/snapshot/snapshot-exchange.ts';
import type { SnapshotHost } from '../../src/snapshot/snapshot-port.ts';
import { BOX_RESIDENT, BoxMachine, liveBoxes, put } from './box-machine.ts';
import { CrashingFiles } from './crashing-files.ts';
import { until } from './test-node.ts';

/** What a test does to the chunks of a snapshot on their way: gives back what arrives, later or at once. */
export type Tamper = (chunk: SnapshotChunk, pass: (chunk: SnapshotChunk) => void) => void;

/** Nodes with real files and real engines, one group, whose members are added by its leader, one after the other. */
export class SnapshotCluster {
  readonly network = new InprocNetwork({ codecs: true });
  readonly nodes = new Map<number, SnapshotNode>();
  readonly root: string;
  tamper: Tamper | undefined;
  /** Chunks sent and not yet answered `received`, at most. */
  aheadMax = 0;
  logger: Logger = silentLogger;

  private constructor(root: string) {
    this.root = root;
  }

  static async create(): Promise<SnapshotCluster> {
    return new SnapshotCluster(await mkdtemp(join(tmpdir(), 'sluice-snapshot-')));
  }

  /** The first one begins the group alone, and leads it at once. */
  async boot(nodeId: number, options: { engine?: Engine; files?: CrashingFiles } = {}): Promise<SnapshotNode> {
    const node = new SnapshotNode(this, nodeId, options);
    this.nodes.set(nodeId, node);
    await node.start(nodeId === 1 && this.nodes.size === 1 ? [1] : undefined);
    return node;
  }

  async kill(nodeId: number): Promise<void> {
    this.network.stop(nodeId);
    const node = this.nodes.get(nodeId);
    this.nodes.delete(nodeId);
    await node?.host.close();
  }

  isolate(nodeId: number): void {
    for (const other of this.nodes.keys()) {
      this.network.cut(nodeId, other);
      this.network.cut(other, nodeId);
    }
  }

  rejoin(nodeId: number): void {
    for (const other of this.nodes.keys()) {
      this.network.heal(nodeId, other);
      this.network.heal(other, nodeId);
    }
  }

  async remove(): Promise<void> {
    for (const nodeId of [...this.nodes.keys()]) await this.kill(nodeId);
    await rm(this.root, { recursive: true, force: true });
  }

  transport(nodeId: number): Transport {
    const inner = this.network.node(nodeId);
    return {
      call: (to, service, request) => inner.call(to, service, request),
      open: <Out, In>(to: number, service: ChannelService): Channel<Out, In> => {
        const channel = inner.open<Out, In>(to, service);
        if (service !== 'raft-snapshot') return channel;
        return this.#watched(channel as unknown as Channel<SnapshotChunk, SnapshotAnswer>) as unknown as Channel<
          Out,
          In
        >;
      },
    };
  }

  #watched(channel: Channel<SnapshotChunk, SnapshotAnswer>): Channel<SnapshotChunk, SnapshotAnswer> {
    let sent = 0;
    let received = 0;
    return {
      unsentBytes: 0,
      send: (chunk) => {
        this.aheadMax = Math.max(this.aheadMax, ++sent - received);
        if (this.tamper === undefined) channel.send(chunk);
        else this.tamper(chunk, (passed) => channel.send(passed));
      },
      onMessage: (listener) =>
        channel.onMessage((answer) => {
          if (answer.type === 'received') received = answer.chunks;
          listener(answer);
        }),
      onClose: (listener) => channel.onClose(listener),
      close: () => channel.close(),
    };
  }
}

export const GROUP = 1;

export class SnapshotNode {
  readonly nodeId: number;
  readonly metrics = new PlainMetrics();
  readonly files: CrashingFiles;
  readonly directory: string;
  host!: RaftHost;
  storage!: NodeStorage;
  parts!: SnapshotHost;
  machine!: BoxMachine;
  leads = false;
  restores = 0;
  /** What the disk is said to have left. */
  freeBytes = 1e12;
  readonly #cluster: SnapshotCluster;
  readonly #engine: Engine | undefined;

  constructor(cluster: SnapshotCluster, nodeId: number, options: { engine?: Engine; files?: CrashingFiles }) {
    this.#cluster = cluster;
    this.nodeId = nodeId;
    this.directory = join(cluster.root, String(nodeId));
    this.#engine = options.engine;
    this.files = options.files ?? new CrashingFiles();
  }

  /** `prepare` is called when the storage is open and nothing runs on it. */
  async start(voters: readonly number[] | undefined, prepare: () => Promise<void> = async () => {}): Promise<void> {
    const { metrics, files, nodeId } = this;
    const { logger } = this.#cluster;
    this.storage = await openNodeStorage({
      directory: this.directory,
      logger,
      metrics,
      files,
      impairUnrecoverable: true,
      openEngine: async (directory) => this.#engine ?? openRocksDbEngine(directory),
      openEntryLog: (directory, durableMark) =>
        openEntryLog({ directory, logger, metrics, durableMark, files, segmentBytes: 4 * 1024 * 1024 }),
    });
    await prepare();
    this.host = new RaftHost(this.storage, {
      nodeId,
      clock: systemClock,
      logger,
      metrics,
      prng: new SeededPrng(nodeId * 7919),
      transport: this.#cluster.transport(nodeId),
      snapshots: (parts) => {
        this.parts = parts;
        return new SnapshotExchange(parts, async () => this.freeBytes);
      },
      imageCheckDelayMs: 60_000,
      liveEntries: (groupId, first, last, limit) => liveBoxes(this.storage.engine, groupId, first, last, limit),
    });
    await this.addGroup(voters);
    const node = this.#cluster.network.node(nodeId);
    this.host.serve(node);
    this.host.start();
    if (voters !== undefined) await until(() => this.leads, 'the first node leads');
  }

  async addGroup(voters: readonly number[] | undefined): Promise<void> {
    this.machine = await this.host.addGroup<BoxMachine, number, never>({
      groupId: GROUP,
      bootstrapVoters: voters,
      residentRanges: BOX_RESIDENT,
      restore: (rows) => BoxMachine.restore(rows),
      listener: this.#listener(),
    });
  }

  /** Resolves with the entry's index once it is applied here. */
  propose(command: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      const outcome = this.host.propose(GROUP, command, { resolve, reject });
      if (outcome !== 'proposed') reject(new Error(outcome));
    });
  }

  /** Some boxes of these sizes; keeps what was put under its index. */
  async fill(boxes: Map<number, Uint8Array>, count: number, sizeBytes: number): Promise<void> {
    const commands = Array.from({ length: count }, (_, i) => put(boxes.size + i, sizeBytes));
    const indexes = await Promise.all(commands.map((command) => this.propose(command)));
    for (const [i, index] of indexes.entries()) boxes.set(index, commands[i] as Uint8Array);
  }

  replica(): Replica {
    return this.parts.replica(GROUP) as Replica;
  }

  /** As the reclaimer does: an image as of now, and the log compacted as far as nobody needs it. */
  async compact(): Promise<number> {
    await this.parts.imageKeeper.take(this.replica());
    // A front cut is durable with the next append.
    return this.storage.entryLog.firstIndex(GROUP);
  }

  caughtUpWith(other: SnapshotNode): boolean {
    return this.replica().appliedIndex === other.replica().appliedIndex && this.machine.puts === other.machine.puts;
  }

  #listener(): GroupListener<number, never, BoxMachine> {
    type Token = { resolve(index: number): void; reject(cause: Error): void } | undefined;
    return {
      applied: (_index, reply, token) => (token as Token)?.resolve(reply),
      dropped: (token, reason) => (token as Token)?.reject(new Error(reason)),
      effects: () => {},
      stopped: () => {},
      leadership: (leads) => {
        this.leads = leads;
      },
      leaderMoved: () => {},
      membershipMoved: () => {},
      restored: (machine) => {
        this.machine = machine;
        this.restores++;
      },
    };
  }
}
