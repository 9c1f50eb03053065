import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { type NodeStorage, openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { type DiskKnobs, SimDisk } from './sim-disk.ts';
import { SimEngineDisk } from './sim-engine.ts';
import type { SimNetwork } from './sim-network.ts';
import type { Life, SimWorld } from './sim-world.ts';
import { SimClock } from './virtual-globals.ts';

/** A machine with a disk, on which a process runs, dies and starts again. */
export abstract class SimMachine {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly nodeId: number;
  readonly disk: SimDisk;
  readonly engineDisk: SimEngineDisk;
  readonly clock: SimClock;
  readonly segmentBytes: number;
  life: Life;
  state: 'down' | 'starting' | 'up' = 'down';
  host: RaftHost | undefined;
  storage: NodeStorage | undefined;
  /** Why it cannot start any more; a new node must take its place. */
  broken: SluiceError | undefined;
  /** Error codes that faults explain: with them a node may refuse to start. */
  readonly expected = new Set<string>();
  #lives = 0;
  #isRetired = false;

  /** Whoever supervises the process starts it again after that long when it gave up by itself. */
  static readonly RESTART_MS = 500;

  constructor(options: MachineOptions) {
    this.world = options.world;
    this.network = options.network;
    this.nodeId = options.nodeId;
    this.segmentBytes = options.segmentBytes;
    this.disk = new SimDisk(options.world, `disk ${options.nodeId}`, options.diskKnobs);
    this.engineDisk = new SimEngineDisk(options.world);
    this.clock = new SimClock(options.world, WALL_CLOCK_MS);
    this.life = options.world.outside;
  }

  /** Everything of the process; resolves when it serves. What it starts belongs to its life. */
  protected abstract boot(life: Life): Promise<void>;

  get name(): string {
    return `n${this.nodeId}`;
  }

  /** Something was done to its disk that may show as damage. */
  get mayBeDamaged(): boolean {
    return this.expected.size > 0;
  }

  start(): void {
    if (this.state !== 'down' || this.broken !== undefined || this.#isRetired) return;
    this.state = 'starting';
    this.life = this.world.life(`${this.name}.${++this.#lives}`);
    const { life } = this;
    const failuresBefore = this.disk.failures;
    this.trace('starts');
    this.world.after(0, life, () => {
      this.boot(life).then(
        () => {
          if (life.ended) return;
          this.state = 'up';
          this.trace('is up');
        },
        (cause: unknown) => {
          if (life.ended) return;
          this.trace(`does not start: ${String(cause)}`);
          if (this.disk.failures > failuresBefore) {
            // It met a fault of its disk and says so; whoever supervises it starts it again.
            this.kill('power');
            this.world.after(SimMachine.RESTART_MS, this.world.outside, () => this.start());
          } else if (cause instanceof SluiceError && this.expected.has(cause.code)) {
            this.broken = cause;
            this.kill('process');
          } else {
            this.world.fail(cause);
          }
        },
      );
    });
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

  /** It is gone with its disk, and never comes back under its id: it would have forgotten what it promised. */
  retire(): void {
    this.kill('power');
    this.#isRetired = true;
    this.disk.wipe();
    this.engineDisk.wipe();
  }

  trace(what: string): void {
    this.world.trace.add(this.world.nowMs, this.name, what);
  }

  /** As the server opens it, on this machine's disk. */
  protected openStorage(life: Life, logger: Logger, metrics: Metrics): Promise<NodeStorage> {
    const files = this.disk.operations(life);
    const lock = async () => ({ release: async () => {} });
    return openNodeStorage({
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
          clock: this.clock,
          segmentBytes: this.segmentBytes,
          salt: (bytes) => Uint8Array.from({ length: bytes }, () => this.world.prng.below(256)),
        }),
    });
  }

  /** A host that failed ends its process, and with it what the system had not written. */
  protected superviseHost(life: Life, host: RaftHost): void {
    host.failing().catch((cause: unknown) => {
      if (life.ended) return;
      this.trace(`failed: ${String(cause)}`);
      this.world.after(0, this.world.outside, () => {
        if (this.life === life) this.kill('power');
      });
      this.world.after(SimMachine.RESTART_MS, this.world.outside, () => this.start());
    });
  }

  protected logger(): Logger {
    const line = (level: string) => (fields: Record<string, unknown>, message: string) => {
      const err = fields.err === undefined ? '' : ` (${String(fields.err)})`;
      const rest = Object.entries(fields).filter(([key]) => key !== 'err');
      this.trace(`${level} ${message} ${rest.map(([key, value]) => `${key}=${textOf(value)}`).join(' ')}${err}`);
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

export interface MachineOptions {
  world: SimWorld;
  network: SimNetwork;
  nodeId: number;
  diskKnobs: DiskKnobs;
  segmentBytes: number;
}

/** Of every machine when the world begins. */
export const WALL_CLOCK_MS = 1_700_000_000_000;

function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
