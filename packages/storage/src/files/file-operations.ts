/**
 * What the storage package asks of a file system, kept this small so that a test can stand in between and tear a
 * write, fill the disk or fail a sync. Every call leaves the event loop free. Errors are Node's, with their `code`.
 */
export interface FileOperations {
  /**
   * `read`: existing, read only. `update`: existing, read and write. `replace`: created, or emptied when it exists.
   * `synced`: a write through this descriptor resolves when its bytes are durable.
   */
  open(path: string, mode: OpenMode, writes?: 'synced'): Promise<number>;
  close(fd: number): Promise<void>;
  /** One system call while there are at most a thousand buffers. Resolves to the bytes written, fewer on a full disk. */
  writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** Fills `into` from `position`; fewer bytes only at the end of the file. */
  read(fd: number, into: Uint8Array, position: number): Promise<number>;
  datasync(fd: number): Promise<void>;
  truncate(fd: number, sizeBytes: number): Promise<void>;
  sizeBytes(fd: number): Promise<number>;
  rename(from: string, to: string): Promise<void>;
  /** A missing file is no error. */
  unlink(path: string): Promise<void>;
  /** Names, unordered. */
  list(directory: string): Promise<string[]>;
  /** With those above it, for this user only; one that exists keeps its mode. */
  makeDirectory(directory: string): Promise<void>;
  /** Makes renames, creations and removals in it durable. */
  syncDirectory(directory: string): Promise<void>;
}

export type OpenMode = 'read' | 'update' | 'replace';

/** Node's code of a failed call, `EIO` and the like; empty when it has none. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** No room: nothing is broken, and the same call may succeed later. */
export function isFullDisk(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

/** No descriptor was free, of this process or of the machine: nothing was begun, nothing is broken, and it may go in a moment. */
export function isOutOfFiles(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'EMFILE' || code === 'ENFILE';
}
