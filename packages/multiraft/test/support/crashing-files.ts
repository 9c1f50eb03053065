import type { FileOperations, OpenMode } from '@sluice/storage/files/file-operations';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';

/** The real file system until `crashAfter` more changes were made: then nothing is written, renamed or removed any more. */
export class CrashingFiles implements FileOperations {
  crashAfter = Number.POSITIVE_INFINITY;
  changes = 0;
  /** What the change that failed was. */
  failedAt = '';
  /** No room for anything that is written. */
  full = false;
  /** So many more descriptors are to be had, and then none for once. */
  descriptors = Number.POSITIVE_INFINITY;
  /** Writes to the segments of the log wait for it. */
  logGate: Promise<void> = Promise.resolve();
  readonly #segments = new Set<number>();
  /** Told of each change before it is made. */
  onChange: (what: string) => void = () => {};

  #change(what: string): void {
    this.onChange(what);
    if (this.full && what === 'write') throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    if (++this.changes <= this.crashAfter) return;
    if (this.failedAt === '') this.failedAt = what;
    throw Object.assign(new Error(`the node is down: ${what}`), { code: 'EIO' });
  }

  #takeDescriptor(): void {
    if (this.descriptors-- !== 0) return;
    this.descriptors = Number.POSITIVE_INFINITY;
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  }

  async open(path: string, mode: OpenMode, writes?: 'synced'): Promise<number> {
    this.#takeDescriptor();
    if (mode !== 'read') this.#change(`open ${path}`);
    const fd = await nodeFileOperations.open(path, mode, writes);
    if (path.endsWith('.log') || path.endsWith('.log.tmp')) this.#segments.add(fd);
    else this.#segments.delete(fd);
    return fd;
  }
  async writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
    this.#change('write');
    if (this.#segments.has(fd)) await this.logGate;
    return nodeFileOperations.writev(fd, buffers, position);
  }
  async datasync(fd: number): Promise<void> {
    this.#change('sync');
    return nodeFileOperations.datasync(fd);
  }
  async truncate(fd: number, sizeBytes: number): Promise<void> {
    this.#change('truncate');
    return nodeFileOperations.truncate(fd, sizeBytes);
  }
  async rename(from: string, to: string): Promise<void> {
    this.#change(`rename ${to}`);
    return nodeFileOperations.rename(from, to);
  }
  async unlink(path: string): Promise<void> {
    this.#change(`unlink ${path}`);
    return nodeFileOperations.unlink(path);
  }
  async syncDirectory(directory: string): Promise<void> {
    this.#takeDescriptor();
    this.#change(`sync ${directory}`);
    return nodeFileOperations.syncDirectory(directory);
  }
  async list(directory: string): Promise<string[]> {
    this.#takeDescriptor();
    return nodeFileOperations.list(directory);
  }
  close = nodeFileOperations.close;
  read = nodeFileOperations.read;
  sizeBytes = nodeFileOperations.sizeBytes;
  makeDirectory = nodeFileOperations.makeDirectory;
}
