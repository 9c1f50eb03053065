import * as fs from 'node:fs';
import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { errorCode, type FileOperations } from './file-operations.ts';

const FLAGS = { read: 'r', update: 'r+', replace: 'w+' } as const;

/** The real file system. Raw descriptors: a `FileHandle` costs more a call, and closes itself when collected. */
export const nodeFileOperations: FileOperations = {
  open: (path, mode) => called((done) => fs.open(path, FLAGS[mode], 0o600, done)),
  close: (fd) => called((done) => fs.close(fd, done)),
  writev: (fd, buffers, position) => called((done) => fs.writev(fd, buffers, position, done)),
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
  async makeDirectory(directory) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  },
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
