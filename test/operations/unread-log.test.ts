import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from '@jest/globals';

const PACKAGES = join(import.meta.dirname, '../../packages');
const BIN = join(PACKAGES, 'server/dist/bin.js');
/** Two logs, a second each; the rest is for a machine that is busy. A process that hangs does so for ever. */
const END_MS_MAX = 20_000;

/** Logs as a node does, more than a pipe takes; SIGUSR1 is an error that nobody expected. */
const LOGGING = `
import { JsonLogger } from '${PACKAGES}/telemetry/dist/json-logger.js';
import { LastWords } from '${PACKAGES}/server/dist/last-words.js';
const logger = JsonLogger.open({ pretty: false });
const lastWords = new LastWords(logger, JsonLogger.open({ pretty: false, sync: true }));
process.on('SIGTERM', () => lastWords.leave(0));
process.on('SIGUSR2', () => { throw new Error('planted'); });
setInterval(() => {}, 60_000);
for (let i = 0; i < 1_000; i++) logger.info({ i }, 'x'.repeat(300));
process.stdout.write('ready\\n');
`;

const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
const pipe = join(folder, 'pipe');
const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
  rmSync(pipe, { force: true });
});

/** Where a log goes that is no use any more. Who writes to the pipe blocks, unless it takes care. */
const LOGS: readonly [string, () => number][] = [
  [
    'a full pipe that nobody reads',
    () => {
      const [reader, writer] = makePipe();
      const filler = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
      open.push(reader, filler);
      expect(() => {
        for (;;) writeSync(filler, Buffer.alloc(4096));
      }).toThrow('EAGAIN');
      return writer;
    },
  ],
  [
    'a pipe whose reader went',
    () => {
      const [reader, writer] = makePipe();
      closeSync(reader);
      return writer;
    },
  ],
  ['a full disk', () => openSync('/dev/full', 'w')],
];

function makePipe(): [reader: number, writer: number] {
  execFileSync('mkfifo', [pipe]);
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  return [reader, openSync(pipe, constants.O_WRONLY)];
}

/** Returns how it ended by the signal once it was ready. */
async function ended(args: readonly string[], log: number, by: NodeJS.Signals): Promise<unknown> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', log] });
  closeSync(log);
  if (child.stdout === null) throw new Error('its standard output is no pipe');
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX);
  const exit = once(child, 'exit');
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('ready')) child.kill(by);
  });
  const [code, signal] = await exit;
  clearTimeout(timer);
  return signal ?? code;
}

describe.each(LOGS)('with %s for a log a process ends all the same', (_name, openLog) => {
  const args = ['--input-type=module', '--eval', LOGGING];

  test('when it is asked to', async () => {
    expect(await ended(args, openLog(), 'SIGTERM')).toBe(0);
  }, 30_000);

  test('by an error that nobody expected', async () => {
    expect(await ended(args, openLog(), 'SIGUSR2')).toBe(1);
  }, 30_000);
});

test('a node whose log nobody reads serves, and stops when it is asked to', async () => {
  const [, openLog] = LOGS[0] as (typeof LOGS)[number];
  const args = [BIN, 'server', '--data', join(folder, 'data'), '--mqtt', '127.0.0.1:0', '--ws', 'none'];
  expect(await ended([...args, '--http', '127.0.0.1:0'], openLog(), 'SIGTERM')).toBe(0);
  rmSync(folder, { recursive: true });
}, 60_000);
