import type { FileOperations, OpenMode } from '@sluice/storage/files/file-operations';
import type { Life, SimWorld } from './sim-world.ts';

/**
 * The file system of one node, in memory, as bad as POSIX lets it be. What was written and not synced may be there after
 * a crash of the machine in part or not at all, sector by sector; a name that was made, renamed or removed counts only
 * after its directory was synced, and until then a prefix of what was done to the directory does. A crash of the process
 * alone loses nothing: the system has the pages.
 *
 * Directories themselves are durable at once: a journal that keeps a synced file keeps the way to it.
 */
export class SimDisk {
  readonly #world: SimWorld;
  readonly #name: string;
  readonly knobs: DiskKnobs;
  /** What a running process sees. */
  #names = new Map<string, Inode>();
  /** What a machine that starts finds. */
  readonly #durableNames = new Map<string, Inode>();
  readonly #nameChanges = new Map<string, NameChange[]>();
  readonly #directories = new Set<string>();
  readonly #descriptors = new Map<number, Descriptor>();
  #nextDescriptor = 3;
  #usedBytes = 0;
  /** Set: the next sync or write fails with EIO. */
  failNext: 'none' | 'sync' | 'write' = 'none';
  /** It says that it has synced, and has not: what a checker of durability must find. */
  lies = false;
  /** How often a fault was met: a process may exit for one. */
  failures = 0;
  capacityBytes = Number.POSITIVE_INFINITY;
  /** Each call takes this much longer. */
  extraMs = 0;
  #stuckUntilMs = 0;

  static readonly SECTOR_BYTES = 512;

  constructor(world: SimWorld, name: string, knobs: DiskKnobs) {
    this.#world = world;
    this.#name = name;
    this.knobs = knobs;
  }

  /** The operations of one life: what it asked for and did not get is never answered. */
  operations(life: Life): FileOperations {
    const soon = <T>(ms: number, act: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const delay = Math.max(ms + this.extraMs, this.#stuckUntilMs - this.#world.nowMs);
        this.#world.after(delay, life, () => {
          try {
            resolve(act());
          } catch (cause) {
            reject(cause);
          }
        });
      });
    const call = <T>(act: () => T): Promise<T> => soon(this.knobs.callMs, act);
    return {
      open: (path, mode, writes) => call(() => this.#open(path, mode, writes === 'synced')),
      close: (fd) => call(() => void this.#descriptors.delete(fd)),
      // The bytes are taken at the call: who changes them before the answer breaks the port's rule and is not helped.
      writev: (fd, buffers, position) => {
        const bytes = Buffer.concat(buffers);
        const ms = this.knobs.callMs + bytes.length / this.knobs.bytesPerMs;
        const written = soon(ms, () => this.#write(fd, bytes, position));
        if (this.#descriptors.get(fd)?.synced !== true) return written;
        return written.then((count) => this.#datasync(fd, soon).then(() => count));
      },
      read: (fd, into, position) => call(() => this.#read(fd, into, position)),
      datasync: (fd) => this.#datasync(fd, soon),
      truncate: (fd, sizeBytes) => call(() => this.#truncate(this.#inode(fd), sizeBytes)),
      sizeBytes: (fd) => call(() => this.#inode(fd).sizeBytes),
      rename: (from, to) => call(() => this.#rename(from, to)),
      unlink: (path) => call(() => this.#unlink(path)),
      list: (directory) => call(() => this.#list(directory)),
      makeDirectory: (directory) => call(() => void this.#directories.add(directory)),
      syncDirectory: (directory) => soon(this.#syncMs(), () => this.#syncDirectory(directory)),
    };
  }

  /** All calls under way and to come wait until then: a disk that hangs. */
  hang(untilMs: number): void {
    this.#stuckUntilMs = untilMs;
  }

  get freeBytes(): number {
    return Math.min(1e12, this.capacityBytes - this.#usedBytes);
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The process is gone and the machine goes on: nothing is lost but the descriptors. */
  processEnded(): void {
    this.#descriptors.clear();
  }

  /** The power is gone. What was not synced is there, is not, or is in part, as the seed has it. */
  powerLost(): void {
    this.#descriptors.clear();
    const { prng } = this.#world;
    for (const changes of this.#nameChanges.values()) {
      const kept = prng.below(changes.length + 1);
      for (const change of changes.slice(0, kept)) applyName(this.#durableNames, change);
    }
    this.#nameChanges.clear();
    this.#names = new Map(this.#durableNames);
    this.#usedBytes = 0;
    for (const inode of new Set(this.#names.values())) {
      const how = CRASHES[prng.below(CRASHES.length)] as Crash;
      inode.crash(how, (bound) => prng.below(bound));
      this.#usedBytes += inode.sizeBytes;
    }
  }

  /** A disk that was replaced by an empty one. */
  wipe(): void {
    this.#descriptors.clear();
    this.#names.clear();
    this.#durableNames.clear();
    this.#nameChanges.clear();
    this.#usedBytes = 0;
  }

  /** Paths of files, for the nemesis and for tests, in a fixed order. */
  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  sizeOf(path: string): number {
    return this.#names.get(path)?.sizeBytes ?? 0;
  }

  /** Flips a bit of what is durable. False when there is nothing durable there. */
  rot(path: string, position: number, bit: number): boolean {
    const inode = this.#names.get(path);
    return inode?.flip(position, bit) ?? false;
  }

  #inode(fd: number): Inode {
    const descriptor = this.#descriptors.get(fd);
    if (descriptor === undefined) throw failure('EBADF', `${this.#name}: descriptor ${fd} is not open`);
    return descriptor.inode;
  }

  #open(path: string, mode: OpenMode, synced: boolean): number {
    let inode = this.#names.get(path);
    if (mode === 'replace') {
      if (inode === undefined) {
        inode = new Inode();
        this.#changeNames(directoryOf(path), { add: [path, inode], remove: undefined });
      } else {
        this.#truncate(inode, 0);
      }
    }
    if (inode === undefined) throw failure('ENOENT', `no such file: ${path}`);
    const fd = this.#nextDescriptor++;
    this.#descriptors.set(fd, { inode, synced });
    return fd;
  }

  #write(fd: number, bytes: Uint8Array, position: number): number {
    const inode = this.#inode(fd);
    if (this.failNext === 'write') {
      this.failNext = 'none';
      this.failures++;
      throw failure('EIO', 'a write failed');
    }
    const growth = Math.max(0, position + bytes.length - inode.sizeBytes);
    const room = Math.max(0, this.capacityBytes - this.#usedBytes);
    const fits = growth <= room ? bytes.length : Math.max(0, bytes.length - (growth - room));
    if (fits < bytes.length) this.failures++;
    if (fits === 0 && bytes.length > 0) throw failure('ENOSPC', 'the disk is full');
    this.#usedBytes += Math.min(growth, room);
    inode.write(fits === bytes.length ? bytes : bytes.subarray(0, fits), position);
    return fits;
  }

  #read(fd: number, into: Uint8Array, position: number): number {
    return this.#inode(fd).read(into, position);
  }

  #datasync(fd: number, soon: <T>(ms: number, act: () => T) => Promise<T>): Promise<void> {
    const inode = this.#descriptors.get(fd)?.inode;
    // What was written before the call is what the call makes durable.
    const count = inode?.unsynced ?? 0;
    return soon(this.#syncMs(), () => {
      this.#inode(fd);
      if (this.failNext === 'sync') {
        this.failNext = 'none';
        this.failures++;
        // The system calls the pages clean: who reads sees them, and no later sync writes them.
        (inode as Inode).forgetUnsynced(count);
        throw failure('EIO', 'a sync failed');
      }
      if (!this.lies) (inode as Inode).synced(count);
    });
  }

  #truncate(inode: Inode, sizeBytes: number): void {
    this.#usedBytes += sizeBytes - inode.sizeBytes;
    inode.truncate(sizeBytes);
  }

  #rename(from: string, to: string): void {
    const inode = this.#names.get(from);
    if (inode === undefined) throw failure('ENOENT', `no such file: ${from}`);
    const replaced = this.#names.get(to);
    if (replaced !== undefined) this.#usedBytes -= replaced.sizeBytes;
    this.#changeNames(directoryOf(to), { add: [to, inode], remove: from });
  }

  #unlink(path: string): void {
    const inode = this.#names.get(path);
    if (inode === undefined) return;
    this.#usedBytes -= inode.sizeBytes;
    this.#changeNames(directoryOf(path), { add: undefined, remove: path });
  }

  #list(directory: string): string[] {
    if (!this.#directories.has(directory)) throw failure('ENOENT', `no such directory: ${directory}`);
    const names: string[] = [];
    for (const path of this.#names.keys()) {
      if (directoryOf(path) === directory) names.push(path.slice(directory.length + 1));
    }
    return names.sort();
  }

  #changeNames(directory: string, change: NameChange): void {
    applyName(this.#names, change);
    const changes = this.#nameChanges.get(directory);
    if (changes === undefined) this.#nameChanges.set(directory, [change]);
    else changes.push(change);
  }

  #syncDirectory(directory: string): void {
    for (const change of this.#nameChanges.get(directory) ?? []) applyName(this.#durableNames, change);
    this.#nameChanges.delete(directory);
  }

  #syncMs(): number {
    const { syncMsMin, syncMsMax } = this.knobs;
    return syncMsMin + (this.#world.prng.below(1024) / 1024) * (syncMsMax - syncMsMin);
  }
}

export interface DiskKnobs {
  /** Of a call that finds its pages in memory. */
  callMs: number;
  bytesPerMs: number;
  syncMsMin: number;
  syncMsMax: number;
}

interface Descriptor {
  readonly inode: Inode;
  /** A write is answered when it is durable. */
  readonly synced: boolean;
}

interface NameChange {
  add: [string, Inode] | undefined;
  remove: string | undefined;
}

function applyName(names: Map<string, Inode>, { add, remove }: NameChange): void {
  if (remove !== undefined) names.delete(remove);
  if (add !== undefined) names.set(add[0], add[1]);
}

type Crash = 'lost' | 'prefix' | 'sectors' | 'kept';
const CRASHES: readonly Crash[] = ['lost', 'prefix', 'sectors', 'sectors', 'kept'];

type FileChange = { position: number; bytes: Uint8Array } | { sizeBytes: number };

/** A file's bytes as the system has them, and as the disk has them: `durable` and a list of what came since. */
class Inode {
  readonly #system = new Content();
  readonly #durable = new Content();
  #changes: FileChange[] = [];

  get sizeBytes(): number {
    return this.#system.sizeBytes;
  }

  get unsynced(): number {
    return this.#changes.length;
  }

  write(bytes: Uint8Array, position: number): void {
    this.#system.write(bytes, position);
    this.#changes.push({ position, bytes });
  }

  truncate(sizeBytes: number): void {
    this.#system.truncate(sizeBytes);
    this.#changes.push({ sizeBytes });
  }

  read(into: Uint8Array, position: number): number {
    return this.#system.read(into, position);
  }

  synced(count: number): void {
    for (const change of this.#changes.splice(0, count)) this.#durable.apply(change);
  }

  forgetUnsynced(count: number): void {
    this.#changes.splice(0, count);
  }

  crash(how: Crash, below: (bound: number) => number): void {
    const changes = this.#changes;
    this.#changes = [];
    if (how === 'prefix') changes.length = below(changes.length + 1);
    if (how !== 'lost') {
      for (const change of changes) {
        if (how === 'sectors' && 'bytes' in change) this.#tear(change.position, change.bytes, below);
        else this.#durable.apply(change);
      }
    }
    this.#system.copy(this.#durable);
  }

  /** Some sectors of the write reach the disk, others do not; the file has grown by it or has not. */
  #tear(position: number, bytes: Uint8Array, below: (bound: number) => number): void {
    let at = 0;
    while (at < bytes.length) {
      const sectorEnd = (Math.floor((position + at) / SimDisk.SECTOR_BYTES) + 1) * SimDisk.SECTOR_BYTES - position;
      const end = Math.min(bytes.length, sectorEnd);
      if (below(2) === 0) this.#durable.write(bytes.subarray(at, end), position + at);
      at = end;
    }
  }

  flip(position: number, bit: number): boolean {
    if (!this.#durable.flip(position, bit)) return false;
    return this.#system.flip(position, bit);
  }
}

class Content {
  #bytes = new Uint8Array(0);
  sizeBytes = 0;

  apply(change: FileChange): void {
    if ('bytes' in change) this.write(change.bytes, change.position);
    else this.truncate(change.sizeBytes);
  }

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    this.#reserve(end);
    this.#bytes.set(bytes, position);
    this.sizeBytes = Math.max(this.sizeBytes, end);
  }

  truncate(sizeBytes: number): void {
    this.#reserve(sizeBytes);
    // Who grows it again finds zeros.
    if (sizeBytes < this.sizeBytes) this.#bytes.fill(0, sizeBytes, this.sizeBytes);
    this.sizeBytes = sizeBytes;
  }

  read(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.sizeBytes - position));
    into.set(this.#bytes.subarray(position, position + count));
    return count;
  }

  flip(position: number, bit: number): boolean {
    if (position >= this.sizeBytes) return false;
    this.#bytes[position] = (this.#bytes[position] as number) ^ (1 << bit);
    return true;
  }

  copy(other: Content): void {
    this.#bytes = other.#bytes.slice(0, other.sizeBytes);
    this.sizeBytes = other.sizeBytes;
  }

  #reserve(sizeBytes: number): void {
    if (sizeBytes <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(sizeBytes, this.#bytes.length * 2, 4096));
    grown.set(this.#bytes.subarray(0, this.sizeBytes));
    this.#bytes = grown;
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
