import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ServerProcess } from '../harness/server-process.ts';

/**
 * What an operator gets wrong before a broker runs: the process ends with an exit code a script can use and a sentence
 * that says what to do. 2: what was asked for cannot be understood. 1: it was understood, and this machine does not let it.
 */
const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_UNAUTHORISED = 4;
const EXIT_UNREACHABLE = 5;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

interface Outcome {
  code: number | null;
  output: string;
}

/** Runs to its end, or to `ready`, which is its end here. */
async function sluice(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const child = spawn(process.execPath, [BIN, ...args], { cwd: folder, env: { ...process.env, ...env } });
  children.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('ready {')) child.kill('SIGKILL');
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

const OFF = ['--mqtt', 'none', '--ws', 'none', '--http', 'none'];

function expectSentence({ code, output }: Outcome, exit: number, ...parts: (string | RegExp)[]): void {
  for (const part of parts) expect(output).toMatch(part);
  expect(output).not.toMatch(/\n\s+at .*:\d+|node:internal|AssertionFailed|Error:.*\n\s+at/);
  expect([code, output.length < 6_000]).toEqual([exit, true]);
}

describe('the configuration file', () => {
  test.each<[string, string, (string | RegExp)[]]>([
    ['is not YAML', 'log:\n  level: [debug\n', [/bad\.yaml:\d+/, /not valid YAML/]],
    ['is a list', '- log\n', ['map of sections']],
    ['has a key twice', 'log:\n  level: debug\n  level: info\n', [/bad\.yaml:3/, /unique/i]],
    [
      'has aliases that multiply',
      `log:\n  level: &a [${'1,'.repeat(99)}1]\n  format: &b [${'*a,'.repeat(99)}*a]\nmqtt:\n  receiveMaximum: [${'*b,'.repeat(99)}*b]\n`,
      [/bad\.yaml/],
    ],
  ])('%s', async (_name, text, parts) => {
    await writeFile(join(folder, 'bad.yaml'), text);
    expectSentence(await sluice(['server', '--config', 'bad.yaml', '--data', 'unused']), EXIT_USAGE, ...parts);
  });

  test('does not exist, or is a directory', async () => {
    expectSentence(await sluice(['server', '--config', 'missing.yaml']), EXIT_USAGE, 'missing.yaml', 'does not exist');
    await mkdir(join(folder, 'directory.yaml'), { recursive: true });
    const directory = await sluice(['server', '--config', 'directory.yaml']);
    expectSentence(directory, EXIT_USAGE, 'directory.yaml', 'cannot be read');
  });

  test('has every mistake there is: all are told at once, each with its line and what is allowed', async () => {
    const lines: [text: string, said: string | RegExp | undefined][] = [
      ['__proto__:', undefined],
      ['  polluted: true', /__proto__\.polluted .*unknown|__proto__/],
      ['constructor:', undefined],
      ['  name: x', /constructor/],
      ['logs:', undefined],
      ['  level: debug', /logs is not a section \(bad\.yaml:6\)\. Did you mean log\?/],
      ['log:', undefined],
      ['  level: loud', /log\.level = "loud" must be debug, info, warn or error.*bad\.yaml:8/],
      ['  fromat: text', /log\.fromat.*bad\.yaml:9.*Did you mean/],
      ['node: text', /node must be a section/],
      ['mqtt:', undefined],
      ['  connectTimeout: 5', /mqtt\.connectTimeout = 5 .*bad\.yaml:12/],
      ['  maximumPacketSize: 10XB', /mqtt\.maximumPacketSize.*bad\.yaml:13/],
      ['  receiveMaximum: 1.5', /mqtt\.receiveMaximum.*whole number.*bad\.yaml:14/],
      ['  connectionsMax: 0', /mqtt\.connectionsMax.*between 1 and.*bad\.yaml:15/],
      ['  liveQueueMax:', /mqtt\.liveQueueMax.*is empty.*bad\.yaml:16/],
      ['listeners:', undefined],
      ['  mqtt: localhost', /listeners\.mqtt.*HOST:PORT.*bad\.yaml:18/],
      ['  ws: 127.0.0.1:65536', /listeners\.ws.*bad\.yaml:19/],
      ['auth:', undefined],
      ['  users: [{ username: a }]', /auth\.users.*needs a password.*bad\.yaml:21/],
    ];
    await writeFile(join(folder, 'bad.yaml'), lines.map(([text]) => `${text}\n`).join(''));
    const outcome = await sluice(['server', '--config', 'bad.yaml'], {
      SLUICE_STORAGE__SYNC: 'yes',
      SLUICE_MQTT__RECIEVE_MAXIMUM: '5',
      SLUICE_QUEUES__PARTITIONS: 'many',
    });
    expectSentence(outcome, EXIT_USAGE);
    for (const [, said] of lines) if (said !== undefined) expect(outcome.output).toMatch(said);
    for (const variable of ['STORAGE__SYNC', 'MQTT__RECEIVE_MAXIMUM', 'QUEUES__PARTITIONS']) {
      expect(outcome.output).toContain(`SLUICE_${variable}`);
    }
  });

  test('opens the broker to the network without credentials, or gives two listeners one address', async () => {
    await writeFile(join(folder, 'open.yaml'), 'listeners:\n  mqtt: 0.0.0.0:7001\n  http: 0.0.0.0:7002\n');
    const args = ['server', '--config', 'open.yaml', '--data', 'unused'];
    const parts = ['reachable from other machines', 'auth.users', 'api.keysFile'];
    expectSentence(await sluice(args), EXIT_USAGE, ...parts);
    expectSentence(await sluice([...args, '--http', '0.0.0.0:7001']), EXIT_USAGE, 'taken by listeners.mqtt');
  });
});

describe('flags and environment', () => {
  test.each<[string[], string[]]>([
    [
      ['--mqtt', 'x', '--set', 'nonsense', '--set', '__proto__.x=1', '--roles', 'gateway,boss', '--data', ''],
      ['flag --mqtt', 'section.key=value', '__proto__.x', 'boss', 'node.dataDirectory'],
    ],
    [['--nothing'], ['--nothing']],
    [['--mqtt'], ['--mqtt']],
  ])('server %j', async (args, parts) => {
    expectSentence(await sluice(['server', ...args]), EXIT_USAGE, ...parts);
  });

  test('files named by variables that do not exist', async () => {
    expectSentence(
      await sluice(['server'], { SLUICE_CONFIG: 'missing.yaml' }),
      EXIT_USAGE,
      'SLUICE_CONFIG',
      'missing.yaml',
    );
    const keys = await sluice(['server'], { EMQX_API_KEY__BOOTSTRAP_FILE: 'missing.keys' });
    expectSentence(keys, EXIT_USAGE, 'EMQX_API_KEY__BOOTSTRAP_FILE', 'missing.keys');
  });

  test('commands that do not exist', async () => {
    expectSentence(await sluice(['sevrer']), EXIT_USAGE, /server/);
    expectSentence(await sluice(['queues', 'lits']), EXIT_USAGE, /list/);
  });

  test('TLS listeners whose files are no certificate and key are refused with the name of the setting', async () => {
    const env = {
      SLUICE_LISTENERS__MQTTS: '127.0.0.1:0',
      SLUICE_TLS__CERTIFICATE_FILE: BIN,
      SLUICE_TLS__KEY_FILE: BIN,
    };
    expectSentence(await sluice(['server', ...OFF, '--data', 'no'], env), EXIT_FAILED, 'tls.certificateFile');
  });

  test('what a node among others cannot be is said before it starts', async () => {
    const start = (env: Record<string, string>) => sluice(['server', ...OFF, '--data', 'no'], env);
    expectSentence(await start({ SLUICE_NODE__JOIN: '127.0.0.1:1' }), EXIT_USAGE, 'node.join', 'listeners.grpc');
    expectSentence(await start({ SLUICE_NODE__ROLES: 'gateway' }), EXIT_USAGE, 'node.roles', 'listeners.grpc');
    expectSentence(await start({ SLUICE_LISTENERS__GRPC: '0.0.0.0:0' }), EXIT_USAGE, 'listeners.grpc', 'certificates');
  });
});

describe('B22: key and password files fail closed, with the number of the line, and say nothing of what is in them', () => {
  test('API keys', async () => {
    const text = 'good:fine\nplanted-secret\n:planted-secret\nkey:\nkey:planted-secret:boss\n# planted-secret\n';
    await writeFile(join(folder, 'keys'), text);
    const args = ['server', '--mqtt', 'none', '--ws', 'none', '--http', '127.0.0.1:0', '--data', 'no'];
    const outcome = await sluice([...args, '--api-keys', 'keys']);
    expectSentence(outcome, EXIT_USAGE, 'api.keysFile', 'line 2', 'line 3', 'line 4', 'line 5', 'line 6');
    expect(outcome.output).not.toContain('planted');
    await writeFile(join(folder, 'keys'), '\n\n');
    expectSentence(await sluice([...args, '--api-keys', 'keys']), EXIT_USAGE, 'without a single key');
  });

  test('MQTT passwords', async () => {
    await writeFile(join(folder, 'passwords'), 'a:b\nplanted-secret\nb:\na:planted-secret\n');
    const args = ['server', ...OFF, '--data', 'no', '--set', 'auth.passwordFile=passwords'];
    const outcome = await sluice(args);
    expectSentence(outcome, EXIT_USAGE, 'auth.passwordFile', 'line 2', 'line 3', 'line 4');
    expect(outcome.output).not.toContain('planted');
    await writeFile(join(folder, 'passwords'), '# nobody\n');
    expectSentence(await sluice(args), EXIT_USAGE, 'without a single user');
  });
});

describe('what this machine does not let it do', () => {
  let taken: Server;
  let port = 0;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    port = (taken.address() as { port: number }).port;
  });
  afterAll(() => new Promise((resolve) => taken.close(resolve)));

  test.each(['--mqtt', '--http'])('the port of %s is taken', async (flag) => {
    const data = join(folder, `taken${flag}`);
    const args = ['server', ...OFF, '--data', data, flag, `127.0.0.1:${port}`];
    expectSentence(
      await sluice(args),
      EXIT_FAILED,
      `127.0.0.1:${port}`,
      /EADDRINUSE|in use/,
      `another address, for example ${flag} `,
    );
  });

  test('an address this machine does not have', async () => {
    const args = ['server', ...OFF, '--data', 'away', '--mqtt', '203.0.113.7:1883', '--allow-anonymous'];
    expectSentence(await sluice(args), EXIT_FAILED, '203.0.113.7:1883', 'another address');
  });

  test('the data directory is a file', async () => {
    await writeFile(join(folder, 'file'), 'mine');
    expectSentence(await sluice(['server', ...OFF, '--data', 'file']), EXIT_FAILED, /file/, /director/i);
    expectSentence(await sluice(['server', ...OFF, '--data', 'file/below']), EXIT_FAILED, /file\/below/, /director/i);
  });

  test('the data directory cannot be written', async () => {
    // Nobody, not even root, makes directories there.
    const nowhere = await sluice(['server', ...OFF, '--data', '/sys/sluice']);
    expectSentence(nowhere, EXIT_FAILED, '/sys/sluice', 'choose another directory');
    if (process.getuid?.() === 0) return;
    const readOnly = join(folder, 'read-only');
    await mkdir(readOnly);
    await chmod(readOnly, 0o500);
    expectSentence(
      await sluice(['server', ...OFF, '--data', join(readOnly, 'x')]),
      EXIT_FAILED,
      'read-only',
      /may not|permission/i,
    );
  });

  test('the data directory is in use by another broker, whose pid is told; nothing happens to that one', async () => {
    const running = await ServerProcess.start();
    try {
      const outcome = await sluice(['server', ...OFF, '--data', running.dataDir]);
      expectSentence(outcome, EXIT_FAILED, running.dataDir, new RegExp(`\\b${running.pid}\\b`));
      expect((await running.rest().get('/api/v5/message_queues/queues')).status).toBe(200);
      // Killed without a word it leaves no lock behind.
      await running.kill();
      await running.restart();
    } finally {
      await running.dispose();
    }
  });
});

describe('the queue commands', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    server = await ServerProcess.start();
  });
  afterAll(() => server?.dispose());

  const api = (): string[] => ['--url', `http://127.0.0.1:${server.address('http').port}`];

  test('without a key, with a wrong key, to nobody', async () => {
    expectSentence(await sluice(['queues', 'list', ...api()]), EXIT_UNAUTHORISED, /key/i);
    const wrong = await sluice(['queues', 'list', ...api(), '--api-key', 'harness:planted-secret']);
    expectSentence(wrong, EXIT_UNAUTHORISED, /key/i);
    expect(wrong.output).not.toContain('planted');
    expectSentence(await sluice(['queues', 'list', '--url', 'http://127.0.0.1:1']), EXIT_UNREACHABLE, '127.0.0.1:1');
    expectSentence(await sluice(['queues', 'list', '--url', 'not a url']), EXIT_USAGE, 'not a url');
  });
});
