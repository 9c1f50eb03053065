import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Tool } from '../harness/left-out.ts';
import { DIES_WITH_US } from '../harness/node-lifetime.ts';
import { until } from './load.ts';

const WAIT_MS = 20_000;
/** What puts bytes of the entry log on the disk: writes through a descriptor that syncs them, and syncs. */
const SYNCS = 'pwrite64,pwritev,fdatasync';

export const STRACE: Tool = {
  name: 'strace that may inject errors into a running process',
  install: 'apt-get install strace, and run where ptrace is allowed',
  isPresent: () => spawnSync('strace', ['-qq', '-e', `inject=${SYNCS}:error=EIO`, 'true']).status === 0,
};

/** From now on every synced write of the process fails, until the returned function is called. */
export async function failSyncs(pid: number): Promise<() => Promise<void>> {
  return await inject(pid, 'error=EIO:when=1+');
}

/**
 * From now on every synced write of the process takes so much longer. A disk that hangs is one of these: nothing is frozen that
 * a test which dies could leave frozen, because who traces dies with it and whoever was traced goes on.
 */
export async function delaySyncs(pid: number, ms: number): Promise<() => Promise<void>> {
  return await inject(pid, `delay_enter=${ms * 1_000}`);
}

async function inject(pid: number, what: string): Promise<() => Promise<void>> {
  const args = [
    '-qq',
    '-f',
    '-o',
    '/dev/null',
    '-p',
    String(pid),
    '-e',
    `trace=${SYNCS}`,
    '-e',
    `inject=${SYNCS}:${what}`,
  ];
  const [program = '', ...words] = [...DIES_WITH_US, 'strace', ...args];
  const strace = spawn(program, words, { stdio: 'ignore' });
  const exited = once(strace, 'exit');
  await until('strace to attach', performance.now() + WAIT_MS, async () => {
    return /TracerPid:\t[1-9]/.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  });
  return async () => {
    strace.kill('SIGINT');
    await exited;
  };
}
