import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import { errorCode } from '../files/file-operations.ts';
import { nodeFileOperations } from '../files/node-file-operations.ts';

/**
 * Keeps two processes out of one directory. Node has no file locks, and one lock file that is taken over when its owner
 * is dead can be taken over twice. So each process makes its own file, exclusively, and only then looks for others of
 * living owners; if it sees one it steps back. Of two that start together at least one sees the other.
 *
 * The name says who: pid, start time of that pid and boot, so that a reused pid or a restarted container does not count
 * as alive. Processes that cannot see each other's pids (two containers on one volume) are not told apart from dead ones:
 * there the key-value engine's own kernel lock, taken in the same data directory, keeps the second one out.
 */
const NAME = /^LOCK-(\d+)-(\d+)-([0-9a-f]+)$/;

/** Where the system tells neither boot nor start time, a file of our own pid may be a dead namesake's. */
const heldHere = new Set<string>();

export interface DirectoryLock {
  release(): Promise<void>;
}

export type LockDirectory = (directory: string) => Promise<DirectoryLock>;

export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const own = `LOCK-${process.pid}-${await startTicks(process.pid)}-${await bootId()}`;
  const path = join(directory, own);
  try {
    await (await open(path, 'wx')).close();
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw notWritable(error as Error);
    if (heldHere.has(path)) throw held(directory, process.pid);
  }
  heldHere.add(path);
  const release = () => {
    heldHere.delete(path);
    return nodeFileOperations.unlink(path);
  };
  try {
    for (const name of await readdir(directory)) {
      const match = NAME.exec(name);
      if (match === null || name === own) continue;
      const [, pid = '', ticks = '', boot = ''] = match;
      if (await isAlive(Number(pid), ticks, boot)) throw held(directory, Number(pid));
      await nodeFileOperations.unlink(join(directory, name));
    }
  } catch (error) {
    await release();
    throw error;
  }
  return { release };
}

/**
 * Of a process that had the directory and never gave it back: killed, crashed, or its machine lost the power. Nobody else
 * can tell of it. To be asked before `lockDirectory`, which takes its place.
 */
export async function pidOfDeadOwner(directory: string): Promise<number | undefined> {
  for (const name of await namesIn(directory)) {
    const [, pid = '', ticks = '', boot = ''] = NAME.exec(name) ?? [];
    if (pid !== '' && !(await isAlive(Number(pid), ticks, boot))) return Number(pid);
  }
  return undefined;
}

/** None of what cannot be read: what is wrong with it is said by who opens it. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch {
    return [];
  }
}

function held(directory: string, pid: number): SluiceError {
  return new SluiceError('DIRECTORY_LOCKED', `process ${pid} already uses ${directory}`, {
    hint: 'Two servers cannot share a data directory: stop the other one, or give this one its own with --data.',
  });
}

async function isAlive(pid: number, ticks: string, boot: string): Promise<boolean> {
  if (boot !== (await bootId())) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: there is such a process, of another user.
    if (errorCode(error) !== 'EPERM') return false;
  }
  return (await startTicks(pid)) === ticks;
}

/** Clock ticks since boot at which the process started; '0' where the system does not tell. */
async function startTicks(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The command in parentheses may hold anything; fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more.
    return fields[0] === 'Z' || fields[0] === 'X' ? '0' : (fields[19] ?? '0');
  } catch {
    return '0';
  }
}

async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).slice(0, 8);
  } catch {
    return '0';
  }
}

/** A volume that was mounted read-only after a fault of its disk is met here first: what is there need not be made. */
function notWritable(cause: Error): SluiceError {
  const hint =
    errorCode(cause) === 'EROFS'
      ? 'the file system is read-only: mount it for writing (after a fault the system log says why it is not), or choose another directory'
      : 'give the directory to this user, or choose another one, for example --data ./data';
  return new SluiceError('DATA_DIRECTORY', `the data directory cannot be written: ${cause.message}`, { hint, cause });
}
