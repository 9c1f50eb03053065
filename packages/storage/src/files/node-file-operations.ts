import * as fs from 'node:fs';
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, type FileOperations, type OpenMode } from './file-operations.ts';

const { O_RDONLY, O_RDWR, O_CREAT, O_TRUNC, O_DSYNC } = fs.constants;
const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  update: O_RDWR,
  replace: O_RDWR | O_CREAT | O_TRUNC,
};

/** Elsewhere a synced write may end in the memory of the disk, and only a sync goes beyond. */
const WRITES_CAN_SYNC = process.platform === 'linux';
/** Descriptors whose writes are synced by us. */
const toSync = new Set<number>();

/** The real file system. Raw descriptors: a `FileHandle` costs more a call, and closes itself when collected. */
export const nodeFileOperations: FileOperations = {
  async open(path, mode, writes) {
    const flags = FLAGS[mode] | (writes === 'synced' && WRITES_CAN_SYNC ? O_DSYNC : 0);
    const fd = await called<number>((done) => fs.open(path, flags, 0o600, done));
    if (writes === 'synced' && !WRITES_CAN_SYNC) toSync.add(fd);
    return fd;
  },
  close(fd) {
    toSync.delete(fd);
    return called((done) => fs.close(fd, done));
  },
  writev(fd, buffers, position) {
    const written = called<number>((done) => fs.writev(fd, buffers, position, done));
    return toSync.has(fd) ? written.then((count) => nodeFileOperations.datasync(fd).then(() => count)) : written;
  },
  async read(fd, into, position) {
    let filled = 0;
    while (filled < into.length) {
      const count = await called<number>((done) =>
        fs.read(fd, into, filled, into.length - filled, position + filled, done),
      );
      if (count === 0) break;
      filled += count;
    }
    return filled;
  },
  datasync: (fd) => called((done) => fs.fdatasync(fd, done)),
  truncate: (fd, sizeBytes) => called((done) => fs.ftruncate(fd, sizeBytes, done)),
  sizeBytes: async (fd) => (await called<fs.Stats>((done) => fs.fstat(fd, done))).size,
  rename,
  async unlink(path) {
    try {
      await unlink(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  },
  list: (directory) => readdir(directory),
  makeDirectory: makeWithParents,
  async syncDirectory(directory) {
    const handle = await open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

function called<T>(call: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error === null || error === undefined ? resolve(value as T) : reject(error)));
  });
}

/**
 * Node's own `recursive` never returns where a file system says ENOENT below a directory that is there, as /proc does: it takes
 * that for a parent that is missing, finds that it is not, and asks again. Here each name is asked for twice at most.
 */
async function makeWithParents(directory: string): Promise<void> {
  try {
    await makeOne(directory);
  } catch (cause) {
    if (errorCode(cause) !== 'ENOENT' || dirname(directory) === directory) throw cause;
    await makeWithParents(dirname(directory));
    await makeOne(directory);
  }
}

async function makeOne(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (cause) {
    if (errorCode(cause) !== 'EEXIST' || !(await isDirectory(directory))) throw cause;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    // A link to nothing.
    if (errorCode(cause) === 'ENOENT') return false;
    throw cause;
  }
}
