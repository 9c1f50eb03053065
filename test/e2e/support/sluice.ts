import { spawn } from 'node:child_process';
import { join } from 'node:path';

const BIN = join(import.meta.dirname, '../../../packages/server/dist/bin.js');
const RUN_MS_MAX = 20_000;

export interface Run {
  code: number | null;
  out: string;
  errors: string;
}

/** The `sluice` command, run to its end, or until it says that it is ready: then it is stopped. */
export async function sluice(
  args: string[],
  env: Record<string, string> = {},
  whenReady?: (line: string) => Promise<void>,
): Promise<Run> {
  const child = spawn(process.execPath, [BIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', ...env },
  });
  const run: Run = { code: null, out: '', errors: '' };
  let seen = false;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    run.errors += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.out += text;
    const ready = /^ready .*$/m.exec(run.out);
    if (ready === null || seen) return;
    seen = true;
    Promise.resolve(whenReady?.(ready[0]))
      .catch((error: unknown) => {
        run.errors += String(error);
      })
      .finally(() => child.kill('SIGTERM'));
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MS_MAX);
  run.code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  return run;
}
