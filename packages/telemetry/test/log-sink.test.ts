import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { JsonLogger } from '@sluice/telemetry/json-logger';
import { LogSink } from '../src/log-sink.ts';

/** A pipe in which this process reads its own log. */
let folder: string;
let path: string;
let reader: number;
let writer: number;
const told: number[] = [];
let sink: LogSink;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  told.length = 0;
  sink = new LogSink(writer, false, (lines) => {
    told.push(lines);
    sink.write(`${lines} lost\n`);
  });
});
afterEach(async () => {
  // What waits still would find another file by that number.
  closeSync(reader);
  sink.flushSync();
  await new Promise(setImmediate);
  closeSync(writer);
  rmSync(folder, { recursive: true });
});

const FILLER = '-';
function fill(): void {
  expect(() => {
    for (;;) writeSync(writer, FILLER.repeat(4096));
  }).toThrow('EAGAIN');
}

/** What is there, without what it was filled with. */
function drain(): string {
  const buffer = Buffer.alloc(1024 * 1024);
  let text = '';
  try {
    for (let count = 1; count > 0; ) {
      count = readSync(reader, buffer);
      text += buffer.toString('latin1', 0, count);
    }
  } catch (cause) {
    expect(cause).toMatchObject({ code: 'EAGAIN' });
  }
  return text.replaceAll(FILLER, '');
}

async function until(isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error('not reached in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const numbered = (count: number, characters: number): string[] =>
  Array.from({ length: count }, (_, i) => `${String(i).padEnd(characters - 1, '.')}\n`);

test('what was logged just before whoever leaves flushes is written when that returns', () => {
  const lines = numbered(5, 100);
  for (const line of lines) sink.write(line);
  sink.flushSync();
  expect(drain()).toBe(lines.join(''));
});

test('and is tried again while the pipe is full', async () => {
  fill();
  const lines = numbered(5, 100);
  const other = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let read = '';
  other.stdout.on('data', (chunk) => {
    read += chunk;
  });
  for (const line of lines) sink.write(line);
  sink.flushSync();
  await until(() => read.endsWith('\n'));
  expect(read.replaceAll(FILLER, '')).toBe(lines.join(''));
  other.kill();
});

test('a reader that is slow gets every line, in order, in as many pieces as it takes', async () => {
  fill();
  const lines = numbered(700, 301);
  for (const line of lines.slice(0, 400)) sink.write(line);
  let read = '';
  await until(() => {
    read += drain();
    return read !== '';
  });
  // The system has said that it is full: these wait behind what is tried again.
  for (const line of lines.slice(400)) sink.write(line);
  await until(() => {
    read += drain();
    return read.length >= 700 * 301;
  });
  expect(read).toBe(lines.join(''));
  expect(told).toEqual([]);
});

test('what waits has a bound; what is lost beyond it is told once, before the first line that fits', async () => {
  fill();
  for (const line of numbered(70, 64 * 1024)) sink.write(line);
  let read = '';
  await until(() => {
    read += drain();
    return read.length > 128 * 1024;
  });
  expect(told).toEqual([]);
  sink.write('after\n');
  sink.write('and more\n');
  // Four megabytes wait.
  expect(told).toEqual([6]);
});

test('lines that met an error are counted, and the log says so when it is well again', () => {
  const logger = JsonLogger.open({ fd: writer, sync: true, pretty: false });
  closeSync(reader);
  for (let i = 0; i < 3; i++) logger.info({}, 'nobody reads this');
  reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  logger.info({}, 'after');
  logger.info({}, 'and more');
  const lines = drain()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject([{ msg: 'after' }, { level: 'warn', linesLost: 3 }, { msg: 'and more' }]);
});
