import type { FileOperations, OpenMode } from '@sluice/storage/files/file-operations';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** The real file system with faults that a test switches on. Counts what costs. */
export class FaultyFiles implements FileOperations {
  writes = 0;
  syncs = 0;
  opened = 0;
  /** Consulted before each write: a code to fail with, or the bytes to write of a write cut short. */
  onWrite: (sizeBytes: number) => string | number | undefined = () => undefined;
  onSync: () => string | undefined = () => undefined;
  onTruncate: () => string | undefined = () => undefined;
  onUnlink: (path: string) => string | undefined = () => undefined;
  onRename: () => string | undefined = () => undefined;
  onOpen: (path: string) => string | undefined = () => undefined;
  onSyncDirectory: () => string | undefined = () => undefined;
  onRead: (position: number, sizeBytes: number) => string | undefined = () => undefined;
  readonly #synced = new Set<number>();

  async writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
    this.writes++;
    const all = Buffer.concat(buffers);
    const fault = this.onWrite(all.length);
    if (typeof fault === 'string') throw systemError(fault);
    const written = await nodeFileOperations.writev(
      fd,
      fault === undefined ? buffers : [all.subarray(0, fault)],
      position,
    );
    if (this.#synced.has(fd) && written === all.length) {
      this.syncs++;
      raise(this.onSync());
    }
    return written;
  }
  async datasync(fd: number): Promise<void> {
    this.syncs++;
    raise(this.onSync());
    return nodeFileOperations.datasync(fd);
  }
  async truncate(fd: number, sizeBytes: number): Promise<void> {
    raise(this.onTruncate());
    return nodeFileOperations.truncate(fd, sizeBytes);
  }
  async unlink(path: string): Promise<void> {
    raise(this.onUnlink(path));
    return nodeFileOperations.unlink(path);
  }
  async read(fd: number, into: Uint8Array, position: number): Promise<number> {
    raise(this.onRead(position, into.length));
    return nodeFileOperations.read(fd, into, position);
  }
  async rename(from: string, to: string): Promise<void> {
    raise(this.onRename());
    return nodeFileOperations.rename(from, to);
  }
  async open(path: string, mode: OpenMode, writes?: 'synced'): Promise<number> {
    raise(this.onOpen(path));
    const fd = await nodeFileOperations.open(path, mode, writes);
    if (writes === 'synced') this.#synced.add(fd);
    this.opened++;
    return fd;
  }
  async close(fd: number): Promise<void> {
    this.#synced.delete(fd);
    await nodeFileOperations.close(fd);
    this.opened--;
  }
  sizeBytes = nodeFileOperations.sizeBytes;
  list = nodeFileOperations.list;
  makeDirectory = nodeFileOperations.makeDirectory;
  async syncDirectory(directory: string): Promise<void> {
    raise(this.onSyncDirectory());
    return nodeFileOperations.syncDirectory(directory);
  }
}

function raise(code: string | undefined): void {
  if (code !== undefined) throw systemError(code);
}
