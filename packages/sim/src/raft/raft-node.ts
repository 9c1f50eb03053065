import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { groupKey, machineKey } from '@sluice/multiraft/keyspace';
import { type NodeStorage, openNodeStorage } from '@sluice/multiraft/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot-exchange';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { type DiskKnobs, SimDisk } from '../sim-disk.ts';
import { SimEngineDisk } from '../sim-engine.ts';
import type { SimNetwork } from '../sim-network.ts';
import type { Life, SimWorld } from '../sim-world.ts';
import { SimClock } from '../virtual-globals.ts';
import { entryKey, indexOfEntryKey } from './ledger-machine.ts';

/** A machine with a disk, on which a process with a Raft host runs, dies and starts again. */
export class RaftNode {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly nodeId: number;
  readonly disk: SimDisk;
  readonly engineDisk: SimEngineDisk;
  readonly #segmentBytes: number;
  readonly #boot: (node: RaftNode, host: RaftHost) => Promise<void>;
  life: Life;
  state: 'down' | 'starting' | 'up' = 'down';
  storage: NodeStorage | undefined;
  host: RaftHost | undefined;
  /** Why it cannot start any more; a new node must take its place. */
  broken: SluiceError | undefined;
  #lives = 0;
  /** Error codes that faults explain: with them a node may refuse to start. */
  readonly expected = new Set<string>();

  constructor(options: {
    world: SimWorld;
    network: SimNetwork;
    nodeId: number;
    diskKnobs: DiskKnobs;
    segmentBytes: number;
    /** Adds the groups; what it awaits is the node's. */
    boot(node: RaftNode, host: RaftHost): Promise<void>;
  }) {
    this.world = options.world;
    this.network = options.network;
    this.nodeId = options.nodeId;
    this.#segmentBytes = options.segmentBytes;
    this.#boot = options.boot;
    this.disk = new SimDisk(options.world, `disk ${options.nodeId}`, options.diskKnobs);
    this.engineDisk = new SimEngineDisk(options.world);
    this.life = options.world.outside;
  }

  get name(): string {
    return `n${this.nodeId}`;
  }

  start(): void {
    if (this.state !== 'down' || this.broken !== undefined) return;
    this.state = 'starting';
    this.life = this.world.life(`${this.name}.${++this.#lives}`);
    const { life } = this;
    const failuresBefore = this.disk.failures;
    this.trace('starts');
    this.world.after(0, life, () => {
      this.#run(life).catch((cause: unknown) => {
        if (life.ended) return;
        this.trace(`does not start: ${String(cause)}`);
        if (this.disk.failures > failuresBefore) {
          // It met a fault of its disk and says so; whoever supervises it starts it again.
          this.kill('power');
          this.world.after(500, this.world.outside, () => this.start());
        } else if (cause instanceof SluiceError && this.expected.has(cause.code)) {
          this.broken = cause;
          this.kill('process');
        } else {
          this.world.fail(cause);
        }
      });
    });
  }

  async #run(life: Life): Promise<void> {
    const { world, nodeId } = this;
    const metrics = new PlainMetrics();
    const logger = this.#logger();
    const clock = new SimClock(world, 1_700_000_000_000);
    const files = this.disk.operations(life);
    const lock = async () => ({ release: async () => {} });
    const storage = await openNodeStorage({
      directory: '/data',
      logger,
      metrics,
      files,
      lock,
      openEngine: async () => this.engineDisk.open(),
      removeEngine: async () => this.engineDisk.wipe(),
      openEntryLog: (directory, durableMark) =>
        openEntryLog({
          directory,
          durableMark,
          logger,
          metrics,
          files,
          lock,
          clock,
          segmentBytes: this.#segmentBytes,
          salt: (bytes) => Uint8Array.from({ length: bytes }, () => world.prng.below(256)),
        }),
    });
    const simHost = this.network.join(nodeId, life);
    const host = new RaftHost(storage, {
      nodeId,
      clock,
      logger,
      metrics,
      prng: new SeededPrng(world.prng.next()),
      transport: simHost,
      snapshots: (raftHost) => new SnapshotExchange(raftHost, async () => this.disk.freeBytes),
      liveEntries: (groupId, first, last, limit) => this.#liveEntries(storage, groupId, first, last, limit),
    });
    this.storage = storage;
    this.host = host;
    host.failing().catch((cause: unknown) => {
      if (life.ended) return;
      this.trace(`failed: ${String(cause)}`);
      this.world.after(0, world.outside, () => {
        if (this.life === life) this.kill('power');
      });
    });
    await this.#boot(this, host);
    host.serve(simHost);
    host.start();
    this.state = 'up';
    this.trace('is up');
  }

  /** `process`: the system goes on, its memory reaches the disk. `power`: what was not synced may be gone. */
  kill(how: 'process' | 'power'): void {
    if (this.state === 'down') return;
    this.trace(`is killed (${how})`);
    this.state = 'down';
    this.host = undefined;
    this.storage = undefined;
    const { life } = this;
    life.end();
    if (how === 'process') {
      this.network.resetChannelsOf(life);
      this.disk.processEnded();
      this.engineDisk.processEnded();
      return;
    }
    this.network.forgetChannelsOf(life);
    this.disk.powerLost();
    this.engineDisk.powerLost();
  }

  /** Something was done to its disk that may show as damage. */
  get mayBeDamaged(): boolean {
    return this.expected.size > 0;
  }

  trace(what: string): void {
    this.world.trace.add(this.world.nowMs, this.name, what);
  }

  async #liveEntries(
    storage: NodeStorage,
    groupId: number,
    first: number,
    last: number,
    limit: number,
  ): Promise<{ index: number; bytes: number }[]> {
    const from = groupKey(groupId, entryKey(first));
    const rows = await storage.engine.scan(from, groupKey(groupId, entryKey(last + 1)), limit);
    return rows.map(({ key }) => ({ index: indexOfEntryKey(machineKey(key)), bytes: 100 }));
  }

  #logger(): Logger {
    const line = (level: string) => (fields: Record<string, unknown>, message: string) => {
      const err = fields.err === undefined ? '' : ` (${String(fields.err)})`;
      const rest = Object.entries(fields).filter(([key]) => key !== 'err');
      this.trace(`${level} ${message} ${rest.map(([key, value]) => `${key}=${String(value)}`).join(' ')}${err}`);
    };
    const logger: Logger = {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      child: () => logger,
    };
    return logger;
  }
}
