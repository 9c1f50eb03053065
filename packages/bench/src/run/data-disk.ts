import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Of /sys, whatever the device's own sectors are. */
const SECTOR_BYTES = 512;
const DEVICES = '/sys/dev/block';

/** The counter at a moment at which nothing written before waited in the kernel. */
export interface DiskMark {
  writtenBytes: number;
  atMs: number;
}

/**
 * What the device below a directory was given to write, by its own counter.
 *
 * The kernel's count of a process says something else: who writes into a file that has its blocks already is charged with
 * all of a large page for a few bytes of it, and who leaves data to the kernel is charged when it dirties a page, once,
 * however often that page is then written. The device counts what came, the file system's journal included. It knows no
 * processes: so brokers take turns, what was written before a window is synced before it begins, what was written in it before
 * it ends, and what a machine at rest writes is measured first and taken off.
 */
export class DataDisk {
  /** Major and minor number. */
  readonly device: string;
  readonly #directory: string;
  readonly #stat: string;
  #idleBytesPerS = 0;

  private constructor(directory: string, device: string, stat: string) {
    this.#directory = directory;
    this.device = device;
    this.#stat = stat;
  }

  /** Undefined where the device has no counter, as that of a file system in memory, or the file system cannot be synced by itself. */
  static async of(directory: string, devices = DEVICES): Promise<DataDisk | undefined> {
    const device = deviceOf(statSync(directory).dev);
    const disk = new DataDisk(directory, device, join(devices, device, 'stat'));
    return (await disk.#sync().catch(() => undefined)) === true && disk.#count() !== undefined ? disk : undefined;
  }

  /** Of a machine at rest. */
  get idleBytesPerS(): number {
    return this.#idleBytesPerS;
  }

  /** Nothing of ours runs while `rested` is awaited. */
  async rest(rested: () => Promise<void>): Promise<void> {
    this.#idleBytesPerS = 0;
    const before = await this.mark();
    await rested();
    const after = await this.mark();
    this.#idleBytesPerS = (this.between(before, after) * 1000) / (after.atMs - before.atMs);
  }

  async mark(): Promise<DiskMark> {
    await this.#sync();
    const writtenBytes = this.#count();
    if (writtenBytes === undefined) throw new Error(`${this.#stat} is gone`);
    return { writtenBytes, atMs: performance.now() };
  }

  /** What somebody else than a machine at rest wrote. */
  between(before: DiskMark, after: DiskMark): number {
    const idleBytes = (this.#idleBytesPerS * (after.atMs - before.atMs)) / 1000;
    return Math.max(0, after.writtenBytes - before.writtenBytes - idleBytes);
  }

  async #sync(): Promise<true> {
    await execute('sync', ['-f', this.#directory]);
    return true;
  }

  #count(): number | undefined {
    try {
      return writtenBytesOf(readFileSync(this.#stat, 'latin1'));
    } catch {
      return undefined;
    }
  }
}

/** `254:0`, out of what `stat` has for it: twelve bits of the one between parts of the other. */
export function deviceOf(dev: number): string {
  const major = Math.floor(dev / 2 ** 8) % 2 ** 12;
  const minor = (dev % 2 ** 8) + (Math.floor(dev / 2 ** 20) % 2 ** 12) * 2 ** 8;
  return `${major}:${minor}`;
}

/** The seventh number of a device's `stat` is sectors written. */
export function writtenBytesOf(stat: string): number | undefined {
  const fields = stat.trim().split(/\s+/);
  const sectors = Number(fields[6]);
  return fields.length > 6 && Number.isSafeInteger(sectors) ? sectors * SECTOR_BYTES : undefined;
}
