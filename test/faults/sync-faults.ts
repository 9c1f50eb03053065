import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Tool } from '../harness/left-out.ts';
import { until } from './load.ts';

const WAIT_MS = 20_000;

export const STRACE: Tool = {
  name: 'strace that may inject errors into a running process',
  install: 'apt-get install strace, and run where ptrace is allowed',
  isPresent: () => spawnSync('strace', ['-qq', '-e', 'inject=fdatasync:error=EIO', 'true']).status === 0,
};

/** From now on every fdatasync of the process fails, until the returned function is called. */
export async function failSyncs(pid: number): Promise<() => Promise<void>> {
  const inject = ['-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=1+'];
  const strace = spawn('strace', ['-qq', '-f', '-o', '/dev/null', '-p', String(pid), ...inject], { stdio: 'ignore' });
  const exited = once(strace, 'exit');
  await until('strace to attach', performance.now() + WAIT_MS, async () => {
    return /TracerPid:\t[1-9]/.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  });
  return async () => {
    strace.kill('SIGINT');
    await exited;
  };
}
