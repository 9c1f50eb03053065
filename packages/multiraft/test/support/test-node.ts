import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@sluice/common/clock';
import { type Logger, silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import type { Engine } from '@sluice/storage/engine';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { type NodeStorage, openNodeStorage } from '../../src/disk/node-storage.ts';
import type { GroupListener } from '../../src/group-machine.ts';
import { RaftHost } from '../../src/raft-host.ts';
import { noSnapshots } from './no-snapshots.ts';
import { TALLY_RESIDENT, type TallyEffect, TallyMachine, type TallyReply } from './tally-machine.ts';

/** One node over a directory, as a test restarts it: real files, real engine, one voter a group. */
export class TestNode {
  readonly directory: string;
  readonly metrics = new PlainMetrics();
  readonly machines = new Map<number, TallyMachine>();
  readonly listeners = new Map<number, TallyListener>();
  host!: RaftHost;
  storage!: NodeStorage;
  engine!: Engine;
  /** Of the entry log. */
  files = { ...nodeFileOperations };
  /** Of everything else. */
  storageFiles = nodeFileOperations;
  imageCheckDelayMs = 60_000;
  live: (groupId: number, first: number, last: number) => { index: number; bytes: number }[] = () => [];

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<TestNode> {
    return new TestNode(await mkdtemp(join(tmpdir(), 'sluice-multiraft-')));
  }

  async start(groups: number, options: { segmentBytes?: number; logger?: Logger } = {}): Promise<void> {
    const logger = options.logger ?? silentLogger;
    const { metrics } = this;
    this.storage = await openNodeStorage({
      directory: this.directory,
      files: this.storageFiles,
      logger,
      metrics,
      openEngine: async (directory) => {
        this.engine = await openRocksDbEngine(directory);
        return this.engine;
      },
      openEntryLog: (directory, durableMark) =>
        openEntryLog({
          directory,
          logger,
          metrics,
          durableMark,
          files: this.files,
          segmentBytes: options.segmentBytes ?? 1024 * 1024,
        }),
    });
    this.host = new RaftHost(this.storage, {
      nodeId: 1,
      clock: systemClock,
      logger,
      metrics,
      prng: new SeededPrng(1),
      transport: {
        open: () => {
          throw new Error('a sole voter has no peers');
        },
        call: () => Promise.reject(new Error('a sole voter has no peers')),
      },
      snapshots: noSnapshots,
      imageCheckDelayMs: this.imageCheckDelayMs,
      liveEntries: async (groupId, first, last) => this.live(groupId, first, last),
    });
    for (let groupId = 1; groupId <= groups; groupId++) {
      const listener = new TallyListener();
      this.listeners.set(groupId, listener);
      const machine = await this.host.addGroup({
        groupId,
        bootstrapVoters: [1],
        residentRanges: TALLY_RESIDENT,
        restore: (rows) => TallyMachine.restore(rows),
        listener,
      });
      this.machines.set(groupId, machine);
    }
    this.host.start();
    for (const listener of this.listeners.values()) await listener.leading;
  }

  /** Proposes and resolves with the reply once applied. */
  propose(groupId: number, command: Uint8Array): Promise<TallyReply> {
    return new Promise((resolve, reject) => {
      const token: Token = { resolve, reject };
      const outcome = this.host.propose(groupId, command, token);
      if (outcome !== 'proposed') reject(new Error(outcome));
    });
  }

  /** Files whose path ends so are opened when `until` lets them be. To be asked before `start`. */
  holdOpens(ending: string, until: () => Promise<void> | undefined): void {
    this.storageFiles = {
      ...nodeFileOperations,
      open: async (path, mode, writes) => {
        if (path.endsWith(ending)) await until();
        return await nodeFileOperations.open(path, mode, writes);
      },
    };
  }

  async stop(): Promise<void> {
    await this.host.close();
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** For `TestNode.live`: nothing is given back, however long a test takes. */
export function everyEntry(_groupId: number, first: number, last: number): { index: number; bytes: number }[] {
  return Array.from({ length: last - first + 1 }, (_, i) => ({ index: first + i, bytes: 1024 * 1024 }));
}

interface Token {
  resolve(reply: TallyReply): void;
  reject(cause: Error): void;
}

export class TallyListener implements GroupListener<TallyReply, TallyEffect> {
  readonly effectsSeen: TallyEffect[] = [];
  leads = false;
  #led: (() => void) | undefined;
  /** Resolves when it leads, or when it stopped. */
  readonly leading = new Promise<void>((resolve) => {
    this.#led = resolve;
  });

  applied(_index: number, reply: TallyReply, token: unknown): void {
    (token as Token | undefined)?.resolve(reply);
  }
  dropped(token: unknown, reason: string): void {
    (token as Token).reject(new Error(reason));
  }
  effects(effects: readonly TallyEffect[]): void {
    this.effectsSeen.push(...effects);
  }
  leadership(leads: boolean): void {
    this.leads = leads;
    if (leads) this.#led?.();
  }
  stopped(): void {
    this.#led?.();
  }
  leaderMoved(): void {}
  membershipMoved(): void {}
  restored(): void {}
}

export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not reached in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
