import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { MqttClient } from 'mqtt';
import { ServerProcess } from '../harness/server-process.ts';
import { History } from './history.ts';
import { API, Consumer, connect, until } from './load.ts';
import { hashOf, makePayload } from './payload.ts';
import { checkHistory, isClean } from './queue-checker.ts';

/** Several sealed segments from a few messages. */
const FLAGS = ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=256KB'];
const QUEUE = { name: 'kept/+', isLastValue: false, takes: () => true };
const MESSAGES = 60;
const MESSAGE_BYTES = 60_000;
const WAIT_MS = 20_000;

let folder = '';
/** A data directory of a broker that was stopped well, with a backlog; every test damages a copy. */
let original = '';
let data = '';
let server: ServerProcess | undefined;
let consumer: Consumer | undefined;
let publisher: MqttClient | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-damage-'));
  original = join(folder, 'original');
  const writing = await ServerProcess.start({ dataDir: original, flags: FLAGS });
  await writing.rest().post(API, { topic_filter: QUEUE.name, is_lastvalue: false });
  const publisher = connect('publisher', 5, writing.mqtt);
  for (let n = 0; n < MESSAGES; n++) {
    await publisher.publishAsync('kept/a', makePayload(`m${n}`, MESSAGE_BYTES), { qos: 1 });
  }
  publisher.end(true);
  await writing.stop();
  // The second life puts the state's write-ahead log into a table file.
  await writing.restart();
  await writing.stop();
  await writing.dispose();
}, 60_000);

afterEach(async () => {
  consumer?.end();
  publisher?.end(true);
  await server?.dispose();
  server = undefined;
  consumer = undefined;
  await rm(data, { recursive: true, force: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function copy(): Promise<void> {
  data = await mkdtemp(join(folder, 'copy-'));
  await cp(original, data, { recursive: true });
}

async function start(more: string[] = []): Promise<ServerProcess> {
  server = await ServerProcess.start({ dataDir: data, flags: [...FLAGS, ...more] });
  return server;
}

/** What the broker said when it refused to start. */
async function refusal(more: string[] = []): Promise<string> {
  return await start(more).then(
    () => 'it started',
    (cause: unknown) => String(cause),
  );
}

/** Every message is delivered, with the bytes it was published with, and nothing else. */
async function expectEverything(broker: ServerProcess): Promise<void> {
  const history = new History([QUEUE]);
  for (let n = 0; n < MESSAGES; n++) {
    const payload = makePayload(`m${n}`, MESSAGE_BYTES);
    history.invoke(`m${n}`, { topic: 'kept/a', hash: hashOf(payload) });
    history.sent(`m${n}`);
    history.ok(`m${n}`);
  }
  consumer = new Consumer('all', 5, QUEUE.name, broker.mqtt, history);
  await until('all messages', performance.now() + WAIT_MS, async () => history.deliveries.length >= MESSAGES);
  const verdict = checkHistory(history, new Map());
  expect({ ...verdict, clean: isClean(verdict) }).toMatchObject({ lost: [], invented: [], repeated: [], clean: true });
}

async function segments(): Promise<string[]> {
  const names = (await readdir(join(data, 'log'))).filter((name) => name.endsWith('.log')).sort();
  expect(names.length).toBeGreaterThan(2);
  return names.map((name) => join(data, 'log', name));
}

async function flipByte(path: string, at: (bytes: Buffer) => number): Promise<void> {
  const bytes = await readFile(path);
  const position = at(bytes);
  bytes[position] = (bytes[position] ?? 0) ^ 0x20;
  await writeFile(path, bytes);
}

const middle = (bytes: Buffer): number => Math.floor(bytes.length / 2);
/** Well inside the payload of the last message a file holds. */
const lastPayload = (bytes: Buffer): number => bytes.lastIndexOf('\nm'.slice(1)) + MESSAGE_BYTES / 2;

describe('damage in the entry log', () => {
  test.each([
    ['the active segment, in its middle', -1, middle],
    ['the active segment, in the frame that was acknowledged last', -1, (bytes: Buffer) => bytes.length - 40],
    ['a sealed segment, in its header', 0, () => 12],
  ])('%s: the start is refused, naming file and offset, and nothing is cut', async (_where, which, at) => {
    await copy();
    const path = (await segments()).at(which) as string;
    await flipByte(path, at);
    const before = await readFile(path);
    const said = await refusal();
    expect(said).toMatch(/ended before it was ready: code 1/);
    expect(said).toMatch(new RegExp(`${path} is damaged at byte \\d+: expected .*\\(ENTRY_LOG_DAMAGED\\)`));
    expect(said).toMatch(/restore the directory from a backup/);
    expect((await readFile(path)).equals(before)).toBe(true);
  });

  test('a sealed segment cut short, or gone: the same', async () => {
    await copy();
    const [first, second] = (await segments()) as [string, string];
    const whole = await readFile(second);
    await truncate(second, whole.length - 1);
    expect(await refusal()).toMatch(/ is damaged at byte \d+: expected \d+ bytes in the file.*ENTRY_LOG_DAMAGED/);
    expect((await readFile(second)).length).toBe(whole.length - 1);
    await writeFile(second, whole);
    await rm(first);
    expect(await refusal()).toMatch(/expected this segment to exist, it is missing \(ENTRY_LOG_DAMAGED\)/);
  });

  test('a payload in a sealed segment: found at the start by logVerify full', async () => {
    await copy();
    const path = (await segments())[1] as string;
    await flipByte(path, lastPayload);
    expect(await refusal(['--set', 'storage.logVerify=full'])).toMatch(
      new RegExp(`code 1[\\s\\S]*${path} is damaged at byte \\d+: .*\\(ENTRY_LOG_DAMAGED\\)`),
    );
  });

  test('a payload in a sealed segment, read: its queue stands still and says so; it goes on when the byte is right again', async () => {
    await copy();
    const path = (await segments())[1] as string;
    const whole = await readFile(path);
    await flipByte(path, lastPayload);
    const damaged = await readFile(path);
    const broker = await start();
    const history = new History([QUEUE]);
    consumer = new Consumer('some', 5, QUEUE.name, broker.mqtt, history);
    const says = await until('readiness to fail', performance.now() + WAIT_MS, async () => {
      const { status, body } = await broker.rest('anonymous').get('/readyz');
      return status === 503 && JSON.stringify(body);
    });
    expect(says).toContain(`queue /${QUEUE.name}`);
    expect(says).toMatch(new RegExp(`${path} is damaged at byte \\d+`));
    expect(broker.log).toMatch(/this queue stands still rather than skip it/);
    const { body } = await broker.rest().get('/metrics');
    expect(String(body)).toMatch(new RegExp(`sluice_storage_corruptions_total\\{file="${path}"\\} [1-9]`));
    // Nothing behind the damage came, and nothing came twice.
    const ids = history.deliveries.map(({ id }) => id);
    expect(ids).toEqual(Array.from({ length: ids.length }, (_, n) => `m${n}`));
    expect(ids.length).toBeLessThan(MESSAGES);
    // The rest of the broker works.
    publisher = connect('publisher', 5, broker.mqtt);
    await publisher.publishAsync('kept/a', makePayload('later', 100), { qos: 1 });
    publisher.end(true);
    expect((await readFile(path)).equals(damaged)).toBe(true);
    await writeFile(path, whole);
    await until('all messages', performance.now() + WAIT_MS, async () => history.deliveries.length === MESSAGES + 1);
    expect(history.deliveries.map(({ id }) => id).slice(0, MESSAGES)).toEqual(
      Array.from({ length: MESSAGES }, (_, n) => `m${n}`),
    );
    await until('readiness', performance.now() + WAIT_MS, async () => {
      return (await broker.rest('anonymous').get('/readyz')).status === 200;
    });
  });

  test('a segment index is a cache: damaged or gone, it is made again', async () => {
    await copy();
    const names = (await readdir(join(data, 'log'))).filter((name) => name.endsWith('.idx')).sort();
    expect(names.length).toBeGreaterThan(2);
    await flipByte(join(data, 'log', names[0] as string), middle);
    await flipByte(join(data, 'log', names[1] as string), () => 3);
    await rm(join(data, 'log', names[2] as string));
    await expectEverything(await start());
  });
});

describe('damage in the derived state', () => {
  test('the whole of it gone: it is made again from the log', async () => {
    await copy();
    await rm(join(data, 'state'), { recursive: true });
    await expectEverything(await start());
  });

  test('gone while the log is damaged as well: what cannot be proved is not served, and the rest is', async () => {
    await copy();
    await rm(join(data, 'state'), { recursive: true });
    const path = (await segments())[1] as string;
    const whole = await readFile(path);
    await flipByte(path, lastPayload);
    const broker = await start();
    const says = await until('readiness to fail', performance.now() + WAIT_MS, async () => {
      const { status, body } = await broker.rest('anonymous').get('/readyz');
      return status === 503 && JSON.stringify(body);
    });
    expect(says).toMatch(new RegExp(`group \\d+ stopped: ${path} is damaged at byte \\d+`));
    publisher = connect('publisher', 5, broker.mqtt);
    await expect(publisher.publishAsync('kept/a', 'more', { qos: 1 })).rejects.toThrow('Unspecified error');
    // Queues are spread over the partitions; those of the others are served.
    let stored = 0;
    for (let n = 0; n < 16; n++) {
      const topic = `other/${n}`;
      await broker.rest().post(API, { topic_filter: topic, is_lastvalue: false });
      await publisher.publishAsync(topic, 'x', { qos: 1 }).catch(() => {});
      const { body } = await broker.rest().get(`${API}/${encodeURIComponent(`/${topic}`)}/stats`);
      if ((body as { statistics?: { depth_messages: number } }).statistics?.depth_messages === 1) stored++;
    }
    expect(stored).toBeGreaterThan(8);
    publisher.end(true);
    await writeFile(path, whole);
    await broker.restart();
    await expectEverything(broker);
  });

  test('any file of it: all messages are there, at once or after the restart that it asks for', async () => {
    await copy();
    const names = (await readdir(join(data, 'state'))).filter((name) => /^MANIFEST|^CURRENT$|\.(sst|log)$/.test(name));
    expect(names.some((name) => name.endsWith('.sst'))).toBe(true);
    for (const name of names) {
      await rm(data, { recursive: true });
      await cp(original, data, { recursive: true });
      const path = join(data, 'state', name);
      if ((await readFile(path)).length === 0) continue;
      await flipByte(path, middle);
      const broker = await start();
      await expectEverything(broker).catch(async () => {
        consumer?.end();
        const { status, body } = await broker.rest('anonymous').get('/readyz');
        expect(status).toBe(503);
        expect(JSON.stringify(body)).toMatch(/the state in .* is damaged.*a restart makes it again/);
        await broker.restart();
        expect(broker.log).toMatch(/rebuilding it from the entry log/);
        await expectEverything(broker);
      });
      consumer?.end();
      await broker.dispose();
    }
  }, 90_000);
});
