import { join } from 'node:path';
import { type LockDirectory, lockDirectory } from './entry-log/directory-lock.ts';
import { errorCode, type FileOperations } from './files/file-operations.ts';
import { nodeFileOperations } from './files/node-file-operations.ts';

/**
 * Moves what a data directory holds out of the way, to `damaged-<n>` inside it, so that the node may start blank, under
 * a new identity. Nothing is deleted: what can still be read there may be wanted.
 *
 * Half of it would be worse than none: an identity without its log has forgotten what it promised. So the move has a
 * name while it goes on, and `finishSetAside`, called at every start before anything in the directory is believed,
 * completes one that was interrupted.
 */
const DONE = /^damaged-([1-9][0-9]{0,8})$/;
const MOVING = /^damaged-([1-9][0-9]{0,8})\.moving$/;

export interface SetAsideOptions {
  /** Names that stay: what is not the node's own state. */
  keep?: readonly string[];
  files?: FileOperations;
  lock?: LockDirectory;
}

/** @returns where it is now. @throws SluiceError `DIRECTORY_LOCKED` while a process uses the directory */
export async function setAside(directory: string, options: SetAsideOptions = {}): Promise<string> {
  const { files = nodeFileOperations } = options;
  const lock = await (options.lock ?? lockDirectory)(directory);
  try {
    const names = await files.list(directory);
    let number = 1;
    for (const name of names) {
      const match = DONE.exec(name);
      if (match !== null) number = Math.max(number, Number(match[1]) + 1);
    }
    const moving = names.find((name) => MOVING.test(name)) ?? `damaged-${number}.moving`;
    await files.makeDirectory(join(directory, moving));
    await files.syncDirectory(directory);
    return await finish(directory, moving, options.keep ?? [], files);
  } finally {
    await lock.release();
  }
}

/** @returns where it is now, or undefined when no move was interrupted */
export async function finishSetAside(directory: string, options: SetAsideOptions = {}): Promise<string | undefined> {
  const { files = nodeFileOperations } = options;
  let names: string[];
  try {
    names = await files.list(directory);
  } catch (error) {
    // Nothing there, or no directory: whoever opens it says so.
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
  return names.some((name) => MOVING.test(name)) ? setAside(directory, options) : undefined;
}

async function finish(
  directory: string,
  moving: string,
  keep: readonly string[],
  files: FileOperations,
): Promise<string> {
  const target = join(directory, moving);
  for (const name of await files.list(directory)) {
    if (name.startsWith('LOCK') || DONE.test(name) || MOVING.test(name) || keep.includes(name)) continue;
    await files.rename(join(directory, name), join(target, name));
  }
  await files.syncDirectory(target);
  await files.syncDirectory(directory);
  const done = join(directory, moving.slice(0, -'.moving'.length));
  await files.rename(target, done);
  await files.syncDirectory(directory);
  return done;
}
