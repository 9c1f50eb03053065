import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { JsonLinesProcess } from './json-lines-process.mjs';
import { MKFS, testWith } from './left-out.ts';
import { LONGEST } from './long-first-sequencer.mjs';
import { parseReadyLine } from './server-process.ts';
import { wholeNumber } from './whole-number.mjs';

const ROOT = join(import.meta.dirname, '../..');

describe('a process that speaks lines of JSON', () => {
  const child = (script: string) => new JsonLinesProcess(process.execPath, ['-e', script]);

  test('tells its events, and hears', async () => {
    const echo = child(`process.stdin.on('data', (t) => console.log(JSON.stringify({ event: 'echo', t: String(t) })))`);
    echo.tell({ do: 'x' });
    expect((await echo.event('echo')).t).toBe('{"do":"x"}\n');
    expect(await echo.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test('that ends, or is late, fails the wait with what it said', async () => {
    const ending = child(`console.error('boom'); process.exitCode = 3`);
    await expect(ending.event('never')).rejects.toThrow(/the process ended[\s\S]*boom/);
    expect((await ending.exited()).code).toBe(3);
    const silent = child('setInterval(() => {}, 1000)');
    await expect(silent.event('never', 1, 50)).rejects.toThrow('not within 50 ms');
    await silent.kill();
  });
});

test('the ready line names hosts and ports, and leaves out what is off', () => {
  const line = 'ready {"mqtt":"127.0.0.1:1883","ws":null,"wss":"none","http":"http://[::1]:18083","grpc":"0.0.0.0:1"}';
  expect([...parseReadyLine(line)]).toEqual([
    ['mqtt', { host: '127.0.0.1', port: 1883 }],
    ['http', { host: '::1', port: 18083 }],
    ['grpc', { host: '0.0.0.0', port: 1 }],
  ]);
});

describe('a run of tests', () => {
  let folder = '';
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test('ends with a line of counts, and says what was left out and how to get it', async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-run-'));
    const suite = `
      test('works', () => {});
      test('fails', () => { throw new Error('as planned'); });
      test.skip('a [left out: the tool x is missing (apt-get install x)]', () => {});
      test.skip('b [left out: the tool x is missing (apt-get install x)]', () => {});
    `;
    await writeFile(join(folder, 'a.test.js'), suite);
    await writeFile(join(folder, 'b.test.js'), 'this does not parse');
    const reporter = join(import.meta.dirname, 'left-out-reporter.mjs');
    const config = { rootDir: folder, testMatch: ['**/*.test.js'], transform: {}, reporters: ['default', reporter] };
    const args = ['--experimental-vm-modules', join(ROOT, 'node_modules/jest/bin/jest.js'), '-i', '--config'];
    const { code, output } = await run(process.execPath, [...args, JSON.stringify(config)]);
    expect(code).toBe(1);
    expect(output).toMatch(
      /\nleft out: 2 tests: the tool x is missing \(apt-get install x\)\n1 passed, 2 failed, 2 skipped\n$/,
    );
  }, 60_000);
});

testWith(MKFS, 'a tool that is here is used', async () => {
  expect((await run('mkfs.ext4', ['-V'])).code).toBe(0);
});

async function run(command: string, args: string[]): Promise<{ code: number | null; output: string }> {
  const path = `${process.env.PATH}:/usr/sbin:/sbin`;
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, PATH: path } });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

test('a run of none, which would hold every bar, is refused; a seed may be 0', () => {
  expect(wholeNumber()('20')).toBe(20);
  expect(wholeNumber()('1_000_000')).toBe(1_000_000);
  expect(wholeNumber(0)('0')).toBe(0);
  for (const text of ['0', '', '-1', '1.5', '1e3', 'many', '9'.repeat(20)]) {
    expect(() => wholeNumber()(text)).toThrow('A whole number from 1 on.');
  }
});

test('the suites that are to begin first are there, each once', () => {
  expect(LONGEST.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  expect(new Set(LONGEST).size).toBe(LONGEST.length);
});
