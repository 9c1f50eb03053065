import { open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';

/**
 * Refuses publishes before the disk is full, so that settling can go on: only settled messages give space back, and a
 * disk filled to its last byte by publishes could never take the entries that free it.
 *
 * The reserve is what publishes may not touch. The ballast is a file given up when something else filled the disk
 * anyway: its space lets the entries through that were under way, and those that settle.
 */
export class DiskGuard {
  readonly #directory: string;
  readonly #space: DiskSpace;
  readonly #logger: Logger;
  readonly #reserveBytes: number | undefined;
  #freeBytes = Number.POSITIVE_INFINITY;
  #totalBytes = Number.POSITIVE_INFINITY;
  #writtenSince = 0;
  #low = false;
  #ballast = false;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  /** The last look failed, and that was said. */
  #blind = false;
  #looksSkipped = 0;
  /** The ballast could not be given up, and that was said. */
  #isStuck = false;

  static readonly INTERVAL_MS = 250;
  /** While nothing is written here and there is room: others that fill the disk do it from a distance of the reserve. */
  static readonly IDLE_INTERVALS = 4;
  /** The reserve unless configured: a share of the disk, but no more than this. */
  static readonly RESERVE_BYTES_MAX = 512 * 1024 * 1024;
  static readonly RESERVE_SHARE = 0.05;
  /** Publishes are accepted again when this much of the reserve is free: no coming and going at its edge. */
  static readonly RESUME_FACTOR = 1.125;
  static readonly BALLAST_BYTES = 4 * 1024 * 1024;

  constructor(options: {
    directory: string;
    logger: Logger;
    metrics: Metrics;
    reserveBytes: number | undefined;
    space?: DiskSpace | undefined;
  }) {
    this.#directory = options.directory;
    this.#space = options.space ?? realSpace;
    this.#logger = options.logger;
    this.#reserveBytes = options.reserveBytes;
    options.metrics.collect('sluice_storage_disk_bytes', 'The disk below the data directory', 'gauge', () => [
      [{ kind: 'total' }, this.#totalBytes],
      [{ kind: 'free' }, this.#freeBytes],
    ]);
    options.metrics.collect('sluice_storage_low', '1 while publishes are refused for want of space', 'gauge', () => [
      [{}, this.#low ? 1 : 0],
    ]);
  }

  /** What is kept free of a disk, unless configured: below it publishes are refused. */
  static reserveOf(totalBytes: number): number {
    return Math.min(DiskGuard.RESERVE_BYTES_MAX, Math.floor(totalBytes * DiskGuard.RESERVE_SHARE));
  }

  /**
   * Before the storage is opened: on a disk that is full to its end not even that would go. The ballast of the run
   * before makes the room.
   */
  static async makeRoomToStart(directory: string, logger: Logger): Promise<void> {
    const path = join(directory, BALLAST);
    if (!(await exists(path))) return;
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize >= DiskGuard.BALLAST_BYTES) return;
    await rm(path, { force: true });
    logger.warn({ freeBytes: bavail * bsize }, 'the disk is full: the ballast was given up to start at all');
  }

  async start(): Promise<void> {
    this.#ballast = await this.#space.hasBallast(this.#directory);
    await this.#look();
    this.#timer = setInterval(() => this.#interval(), DiskGuard.INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whether `bytes` more may be written for a publish. Counts them until the next look at the disk. */
  admits(bytes: number): boolean {
    if (this.#low || this.#freeBytes - this.#writtenSince - bytes < this.#reserve) {
      this.#enter(true);
      return false;
    }
    this.#writtenSince += bytes;
    return true;
  }

  get low(): boolean {
    return this.#low;
  }

  /** Something filled the disk to the end: gives the ballast up. Nobody waits for it, and a disk that fails is no end of the node. */
  async giveUpBallast(): Promise<void> {
    if (!this.#ballast) return;
    this.#ballast = false;
    try {
      await this.#space.dropBallast(this.#directory);
    } catch (cause) {
      this.#ballast = true;
      if (!this.#isStuck)
        this.#logger.warn(
          { err: cause },
          'the disk is full to the end, and the ballast cannot be given up: it is tried again',
        );
      this.#isStuck = true;
      return;
    }
    this.#isStuck = false;
    this.#logger.warn({ bytes: DiskGuard.BALLAST_BYTES }, 'the disk is full to the end: the ballast was given up');
  }

  get #reserve(): number {
    return this.#reserveBytes ?? DiskGuard.reserveOf(this.#totalBytes);
  }

  #interval(): void {
    const isIdle = this.#writtenSince === 0 && !this.#low;
    if (isIdle && ++this.#looksSkipped < DiskGuard.IDLE_INTERVALS) return;
    this.#looksSkipped = 0;
    void this.#look();
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const { freeBytes, totalBytes } = await this.#space.measure(this.#directory);
      this.#freeBytes = freeBytes;
      this.#totalBytes = totalBytes;
      this.#writtenSince = 0;
      this.#enter(this.#freeBytes < this.#reserve * (this.#low ? DiskGuard.RESUME_FACTOR : 1));
      if (!this.#ballast && this.#freeBytes > this.#reserve + 4 * DiskGuard.BALLAST_BYTES) await this.#layBallast();
      if (this.#blind) this.#logger.info({ freeBytes }, 'the disk can be looked at again');
      this.#blind = false;
    } catch (cause) {
      // Four times a second it would bury what the log says of the cause.
      if (!this.#blind)
        this.#logger.warn({ err: cause }, 'the disk cannot be looked at: its free space is as it was last');
      this.#blind = true;
    } finally {
      this.#looking = false;
    }
  }

  async #layBallast(): Promise<void> {
    await this.#space.layBallast(this.#directory);
    this.#ballast = true;
  }

  #enter(low: boolean): void {
    if (low === this.#low) return;
    this.#low = low;
    const fields = { freeBytes: this.#freeBytes, reserveBytes: this.#reserve };
    if (low)
      this.#logger.error(fields, 'the disk is almost full: publishes into queues are refused (0x97), settling goes on');
    else this.#logger.info(fields, 'the disk has space again: publishes into queues are accepted');
  }
}

/** What the guard asks of the disk under a directory; for whoever has no real one. */
export interface DiskSpace {
  measure(directory: string): Promise<{ freeBytes: number; totalBytes: number }>;
  hasBallast(directory: string): Promise<boolean>;
  layBallast(directory: string): Promise<void>;
  dropBallast(directory: string): Promise<void>;
}

const BALLAST = 'ballast';

const realSpace: DiskSpace = {
  async measure(directory) {
    const { bavail, blocks, bsize } = await statfs(directory);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  },
  hasBallast: (directory) => exists(join(directory, BALLAST)),
  /** Real zeros, not a hole: a sparse file would hold no space to give up. */
  async layBallast(directory) {
    const file = await open(join(directory, BALLAST), 'w');
    try {
      await file.write(Buffer.alloc(DiskGuard.BALLAST_BYTES));
    } finally {
      await file.close();
    }
  },
  dropBallast: (directory) => rm(join(directory, BALLAST), { force: true }),
};

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
