import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import { JsonLogger } from '@sluice/telemetry/json-logger';
import { readableLogLine } from '@sluice/telemetry/log-line';

function capture(pretty: boolean, level: 'debug' | 'info' = 'info') {
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line) };
  return { lines, logger: JsonLogger.open({ level, pretty, fields: { node: 'n1' }, sink }) };
}

test('an event is one line of JSON with time, level, fields and message', () => {
  const { lines, logger } = capture(false);
  logger.child({ partition: 3 }).info({ epoch: 7 }, 'leader elected');
  expect(lines).toHaveLength(1);
  const line = JSON.parse(lines[0] as string);
  expect(line).toMatchObject({ level: 'info', node: 'n1', partition: 3, epoch: 7, msg: 'leader elected' });
  expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(lines[0]).toMatch(/}\n$/);
});

test('lines below the level are not written', () => {
  const quiet = capture(false);
  quiet.logger.debug({}, 'x');
  expect(quiet.lines).toEqual([]);
  const loud = capture(false, 'debug');
  loud.logger.debug({}, 'x');
  expect(loud.lines).toHaveLength(1);
});

test('an error keeps its code, hint, stack and cause', () => {
  const { lines, logger } = capture(false);
  const err = new SluiceError('DISK_FULL', 'no space', { hint: 'make room', cause: new Error('ENOSPC') });
  logger.error({ err }, 'stopping');
  const line = JSON.parse(lines[0] as string);
  expect(line.err).toMatchObject({ code: 'DISK_FULL', hint: 'make room' });
  expect(line.err.stack).toContain('no space');
  expect(line.err.stack).toContain('ENOSPC');
});

test('a client id full of control characters stays inside its line', () => {
  const { lines, logger } = capture(true);
  logger.warn({ client: 'a\n\u001b[31mb' }, 'taken over');
  expect((lines[0] as string).split('\n')).toHaveLength(2);
  expect(lines[0]).not.toContain('\u001b');
});

test.each(['a\u001b[31mb', 'a\u009b31mb', 'a\u202eb', 'a b\u009b31m', 'a\u007f'])(
  '%j does nothing to a terminal',
  (client) => {
    const { lines, logger } = capture(true);
    logger.warn({ client, err: new Error(`nobody knows ${client}`), [client]: 1 }, 'not authorized');
    expect(lines.join('')).not.toMatch(OBEYED);
    expect(lines.join('')).toMatch(/client="?a/);
  },
);
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

test('people read time of day, level, message, fields, and the hint below', () => {
  const line = JSON.stringify({
    level: 'error',
    time: '2026-11-20T10:20:30.456Z',
    node: 'n1',
    path: 'a b',
    err: { message: 'no space', hint: 'make room' },
    msg: 'stopping',
  });
  expect(readableLogLine(line, false)).toBe(
    '10:20:30.456 ERROR stopping node=n1 path="a b"\n  no space\n  hint: make room\n',
  );
  expect(readableLogLine(line, true)).toContain('\u001b[31mERROR\u001b[0m');
  expect(readableLogLine('not json\n', true)).toBe('not json\n');
});

test('flush may be called at any time', () => {
  expect(() => JsonLogger.open({ level: 'error' }).flush()).not.toThrow();
});

test('whoever leaves does not wait for ever for a reader that has stopped', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const fd = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    expect(() => {
      for (;;) writeSync(fd, Buffer.alloc(4096));
    }).toThrow('EAGAIN');
    const wait = jest.spyOn(Atomics, 'wait').mockImplementation(() => {
      if (wait.mock.calls.length > 1_000) throw new Error('it waits for ever');
      return 'timed-out';
    });
    JsonLogger.open({ fd, sync: true, pretty: false }).error({}, 'the last word');
    const waitedMs = wait.mock.calls.reduce((sum, [, , , ms]) => sum + Number(ms), 0);
    expect(waitedMs).toBeGreaterThan(0);
    expect(waitedMs).toBeLessThanOrEqual(1_000);
  } finally {
    jest.restoreAllMocks();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});
