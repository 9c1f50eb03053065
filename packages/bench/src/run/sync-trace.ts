import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Calls that put a file on the disk. */
const CALLS = ['fsync', 'fdatasync', 'sync_file_range', 'msync'];
/** These do through a descriptor that was opened for it. */
const WRITES = ['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2'];
const O_DSYNC = 0o10000;
const ATTACH_MS_MAX = 10_000;

/**
 * Counts what each process of a broker syncs while a few messages are acknowledged one by one: documentation says what
 * was meant, the system calls say what is. A tracer slows a process down, so this is a run of its own, before the
 * measured ones.
 */
export class SyncTrace {
  readonly #tracers: { pid: number; child: ChildProcess; file: string; synced: ReadonlySet<string> }[] = [];

  /** Undefined when processes cannot be traced here. */
  static async attach(pids: readonly number[], directory: string): Promise<SyncTrace | undefined> {
    if (spawnSync('strace', ['-V'], { stdio: 'ignore' }).status !== 0) return undefined;
    const trace = new SyncTrace();
    for (const pid of pids) {
      const file = join(directory, `syncs-${pid}`);
      const args = [
        '-f',
        '-e',
        `trace=${[...CALLS, ...WRITES].join()}`,
        '-e',
        'signal=none',
        '-o',
        file,
        '-p',
        String(pid),
      ];
      const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
      trace.#tracers.push({ pid, child, file, synced: syncedDescriptors(pid) });
      if (!(await isAttached(child))) {
        await trace.detach();
        return undefined;
      }
    }
    return trace;
  }

  /** By process: how many syncs were called. */
  async detach(): Promise<Map<number, number>> {
    const counts = new Map<number, number>();
    for (const { pid, child, file, synced } of this.#tracers) {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit');
        child.kill('SIGINT');
        await exited;
      }
      counts.set(pid, countOf(file, synced));
      rmSync(file, { force: true });
    }
    return counts;
  }
}

/**
 * A node whose syncs are at least as many as the messages has synced each of them; enough nodes must have. Messages
 * that come one by one cannot share a sync.
 */
export function isSynced(counts: ReadonlyMap<number, number>, messages: number, copies: number): boolean {
  const majority = Math.floor(copies / 2) + 1;
  return [...counts.values()].filter((syncs) => syncs >= messages).length >= majority;
}

async function isAttached(child: ChildProcess): Promise<boolean> {
  return await new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ATTACH_MS_MAX);
    const settle = (attached: boolean) => {
      clearTimeout(timer);
      resolve(attached);
    };
    let said = '';
    child.stderr?.on('data', (text: Buffer) => {
      said += text.toString();
      if (/attached/i.test(said) && !/not permitted/i.test(said)) settle(true);
    });
    child.once('exit', () => settle(false));
    child.once('error', () => settle(false));
  });
}

/** A call that was interrupted by another thread's is printed twice; the second half says "resumed". */
const CALL = /\b(\w+)\((\d*)/;

function countOf(file: string, synced: ReadonlySet<string>): number {
  try {
    return readFileSync(file, 'latin1')
      .split('\n')
      .filter((line) => {
        const [, name = '', fd = ''] = CALL.exec(line) ?? [];
        return CALLS.includes(name) || (WRITES.includes(name) && synced.has(fd));
      }).length;
  } catch {
    return 0;
  }
}

/** Descriptors of the process whose writes are durable when they return. */
function syncedDescriptors(pid: number): ReadonlySet<string> {
  const synced = new Set<string>();
  try {
    for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
      const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0';
      if ((Number.parseInt(flags, 8) & O_DSYNC) !== 0) synced.add(fd);
    }
  } catch {
    // Another user's, or a descriptor that was closed meanwhile.
  }
  return synced;
}
