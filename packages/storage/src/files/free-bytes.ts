import { statfs } from 'node:fs/promises';

/** What an unprivileged process may still write on the file system of `directory`. */
export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
