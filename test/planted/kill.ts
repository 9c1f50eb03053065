import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlantedBug } from './planted-bug.ts';

const ROOT = join(import.meta.dirname, '../..');
const CONFIG = join(import.meta.dirname, 'jest.planted.config.mjs');
/** A planted bug may make a test wait for ever: that counts as noticed. */
const RUN_MS_MAX = 180_000;

export interface Verdict {
  killed: boolean;
  /** The first test that failed, or how else the run ended. */
  by: string;
  seconds: number;
}

/** Runs the tests over the planted sources until the first failure. */
export async function tryToKill(bug: PlantedBug, tests: string): Promise<Verdict> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-planted-'));
  const report = join(folder, 'report.json');
  const startedMs = performance.now();
  const seconds = (): number => Math.round((performance.now() - startedMs) / 100) / 10;
  try {
    const ended = await run(bug, tests, report);
    if (ended === 'too long') return { killed: true, by: 'the tests came to no end', seconds: seconds() };
    const failed = await firstFailure(report);
    if (failed === undefined && ended !== 0)
      return { killed: true, by: `jest ended with ${ended}`, seconds: seconds() };
    return { killed: failed !== undefined, by: failed ?? '', seconds: seconds() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(bug: PlantedBug, tests: string, report: string): Promise<number | 'too long'> {
  const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
  const args = ['--disable-warning=ExperimentalWarning', '--experimental-vm-modules', jest];
  // With a number behind it, as `--bail=1`, jest does not take it.
  args.push('--config', CONFIG, '--bail', '--silent', '--runInBand', '--forceExit', '--testPathPatterns', tests);
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: 'ignore',
    env: { ...process.env, SLUICE_PLANTED: JSON.stringify(bug), SLUICE_PLANTED_REPORT: report },
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve('too long');
    }, RUN_MS_MAX);
    child.on('error', reject);
    child.on('exit', (code) => {
      clearTimeout(timer);
      resolve(code ?? -1);
    });
  });
}

async function firstFailure(report: string): Promise<string | undefined> {
  const { files, numTotalTests } = JSON.parse(await readFile(report, 'utf8')) as {
    numTotalTests: number;
    files: { message: string; tests: { status: string; fullName: string; failureMessages: string[] }[] }[];
  };
  for (const { tests, message } of files) {
    for (const { status, fullName, failureMessages } of tests) {
      if (status !== 'failed') continue;
      // On a busy machine that alone says little: whoever reads it looks again.
      const isLate = failureMessages.some((text) => text.includes('Exceeded timeout'));
      return isLate ? `${fullName}, which came to no end within its time` : fullName;
    }
    if (tests.length === 0 && message !== '') throw new Error(`a test file did not load: ${message}`);
  }
  if (numTotalTests === 0) throw new Error('no test ran: the pattern of the list is wrong');
  return undefined;
}
