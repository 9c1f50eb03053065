import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { RestClient } from '../harness/rest.ts';
import { parseReadyLine } from '../harness/server-process.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { type Page, parsePage, seriesValue, sumPages } from './support/prometheus-text.ts';
import { Queues } from './support/queues.ts';
import { type Run, sluice } from './support/sluice.ts';
import { numbered, until } from './support/until.ts';

let folder: string;
let server: Broker;
let queues: Queues;
let publisher: Client;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-operations-'));
  server = await startBroker();
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt);
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** Of all nodes together, as a dashboard sees them. */
async function metrics(): Promise<Page> {
  const pages: Page[] = [];
  for (const rest of server.rests('anonymous')) {
    const { headers, body } = await rest.get('/metrics');
    expect(headers.get('content-type')).toContain('text/plain; version=0.0.4');
    pages.push(parsePage(body as string));
  }
  return sumPages(pages);
}

describe('looking at a queue', () => {
  test('peek shows what is stored and consumes nothing', async () => {
    await queues.create({ name: 'peeked', topic_filter: 'peeked', local_max_inflight: 1 });
    await publisher.publishAll('peeked', numbered(3));
    for (let i = 0; i < 2; i++) {
      const peeked = await queues.peek('peeked');
      expect(peeked.map(({ payload_text, delivery_count }) => [payload_text, delivery_count])).toEqual([
        ['1', 0],
        ['2', 0],
        ['3', 0],
      ]);
    }
    const worker = await HandClient.connect(server.mqtt);
    await worker.subscribe('$queue/peeked');
    await worker.received(1);
    expect((await queues.peek('peeked')).map(({ state }) => state)).toEqual(['inflight', 'ready', 'ready']);
    worker.ack(0);
    expect(await worker.received(2)).toEqual(['1', '2']);
    worker.destroy();
  });

  test('purge removes everything, also what a worker holds; what comes after stays', async () => {
    await queues.create({ name: 'purged', topic_filter: 'purged' });
    await publisher.publishAll('purged', numbered(50));
    const worker = await HandClient.connect(server.mqtt);
    await worker.subscribe('$queue/purged');
    await worker.received(10);
    expect(await queues.purge('purged')).toEqual({ purged: 50 });
    await publisher.publish('purged', 'after');
    for (let n = 0; n < 10; n++) worker.ack(n);
    expect((await worker.received(11))[10]).toBe('after');
    worker.ack(10);
    await queues.depth('purged', 0);
    expect(await queues.statistics('purged')).toMatchObject({ purged_total: 50, accepted_total: 1 });
    worker.destroy();
  });

  test('figures are the truth, in the API and on the metrics page alike', async () => {
    await queues.create({ name: 'truth', topic_filter: 'truth', limits: { max_message_count: 40 } });
    const beganMs = performance.now();
    await publisher.publishAll('truth', numbered(40));
    await expect(publisher.publish('truth', 'too many')).rejects.toMatchObject({ code: 0x97 });
    const worker = await HandClient.connect(server.mqtt);
    await worker.subscribe('$queue/truth');
    await worker.received(10);
    for (let n = 0; n < 4; n++) worker.ack(n);
    await worker.received(14);
    worker.ack(13, 0x83);
    await worker.received(15);
    await queues.depth('truth', 36);
    // What was given back is in the log some milliseconds after it was given to somebody again.
    await until(async () => (await queues.statistics('truth')).returned_total === 1, 'the return is counted');
    const figures = await queues.statistics('truth');
    expect(figures).toMatchObject({
      depth_messages: 36,
      inflight_messages: 10,
      ready_messages: 26,
      lag_messages: 36,
      consumers: 1,
      published_total: 40,
      accepted_total: 4,
      returned_total: 1,
      refused_total: 1,
    });
    expect(figures.lag_seconds).toBeGreaterThan(0);
    expect(figures.lag_seconds * 1_000).toBeLessThan(performance.now() - beganMs);
    const page = await metrics();
    const series: [string, number, Record<string, string>?][] = [
      ['sluice_queue_depth_messages', 36],
      ['sluice_queue_depth_bytes', figures.depth_bytes],
      ['sluice_queue_ready_messages', 26],
      ['sluice_queue_inflight_messages', 10],
      ['sluice_queue_published_total', 40],
      ['sluice_queue_rejected_total', 1, { reason: 'full' }],
      ['sluice_queue_expired_total', 0],
      ['sluice_queue_overwritten_total', 0],
      ['sluice_queue_keys', 0],
      ['sluice_queue_limit_ratio', 0.9, { limit: 'messages' }],
      ['sluice_queue_info', 1, { type: 'task', strategy: 'random' }],
      ['sluice_consumer_lag_messages', 36],
      ['sluice_consumer_members', 1],
      ['sluice_consumer_delivered_total', 15],
      ['sluice_consumer_acked_total', 4],
      ['sluice_consumer_returned_total', 1],
    ];
    for (const [name, value, labels] of series) {
      expect([name, seriesValue(page, name, { queue: 'truth', ...labels })]).toEqual([name, value]);
    }
    const age = seriesValue(page, 'sluice_queue_oldest_message_age_seconds', { queue: 'truth' }) as number;
    expect(age).toBeGreaterThanOrEqual(figures.lag_seconds);
    expect(seriesValue(page, 'sluice_consumer_lag_seconds', { queue: 'truth' })).toBeGreaterThan(0);
    worker.destroy();
    await queues.remove('truth');
    expect(seriesValue(await metrics(), 'sluice_queue_depth_messages', { queue: 'truth' })).toBeUndefined();
  });
});

describe('the metrics page', () => {
  test('is valid text with the families that dashboards are built on', async () => {
    await queues.create({ name: 'odd-name_1.x', topic_filter: 'a "quoted\\ one' });
    const page = await metrics();
    const wanted = [
      'sluice_storage_fsync_seconds',
      'sluice_storage_disk_bytes',
      'sluice_gateway_connections',
      'sluice_gateway_packets_total',
      'sluice_gateway_bytes_total',
      'sluice_gateway_publish_ack_seconds',
      'sluice_gateway_delivery_dropped_total',
      'sluice_gateway_subscriptions',
      'sluice_raft_groups',
      'sluice_raft_apply_seconds',
      'sluice_build_info',
      'sluice_process_event_loop_lag_seconds',
    ];
    expect([...page.types.keys()]).toEqual(expect.arrayContaining(wanted));
    for (const name of page.types.keys()) expect(name).toMatch(/^(sluice|process|nodejs)_/);
    expect(seriesValue(page, 'sluice_storage_fsync_seconds_count')).toBeGreaterThan(0);
    expect(seriesValue(page, 'sluice_raft_groups', { role: 'leader' })).toBe(17);
  });

  test('names no client and no topic of publishers', async () => {
    const marked = await Client.connect(server.mqtt, { clientId: 'secret-client-id' });
    await marked.publish('secret/topic', 'x');
    for (const rest of server.rests('anonymous')) {
      const text = (await rest.get('/metrics')).body as string;
      expect(text).not.toMatch(/secret-client-id|secret\/topic/);
    }
    await marked.close();
  });
});

test.each(['/healthz', '/readyz'])('%s answers without a key', async (path) => {
  const { status, body } = await server.rest('anonymous').get(path);
  expect([status, (body as { status: string }).status]).toEqual([200, 'ok']);
});

describe('sluice queues', () => {
  const call = async (...args: string[]): Promise<Run> => {
    const { host, port } = server.address('http');
    return await sluice(['queues', ...args], {
      SLUICE_URL: `http://${host}:${port}`,
      SLUICE_API_KEY: 'harness:harness-secret',
    });
  };

  test('creates, lists, describes, peeks, purges and deletes, for people and for programs', async () => {
    expect(await call('create', 'cli', '--topic-filter', 'cli/#', '--regular')).toMatchObject({
      code: 0,
      out: 'Created cli. Consumers subscribe to $queue/cli\n',
    });
    await publisher.publishAll('cli/x', numbered(3));
    const list = await call('list');
    expect(list.out).toMatch(/^NAME .*FILTER .*DEPTH/);
    expect(list.out).toMatch(/^cli +cli\/# +regular +3 /m);
    const machine = JSON.parse((await call('list', '--json')).out) as { name: string; statistics: object }[];
    expect(machine.find(({ name }) => name === 'cli')?.statistics).toMatchObject({ depth_messages: 3 });
    expect((await call('describe', 'cli')).out).toContain('$queue/cli');
    const peeked = JSON.parse((await call('peek', 'cli', '--limit', '2', '--json')).out) as { data: object[] };
    expect(peeked.data).toMatchObject([{ payload_text: '1' }, { payload_text: '2' }]);
    expect(await call('purge', 'cli')).toMatchObject({ code: 2, errors: expect.stringContaining('--yes') });
    expect((await call('purge', 'cli', '--yes')).out).toBe('Removed 3 messages from cli\n');
    expect((await call('delete', 'cli', '--yes')).code).toBe(0);
    expect((await call('describe', 'cli')).code).toBe(3);
  });

  test('tells by its exit code what went wrong, and says what to do', async () => {
    expect((await call('create')).code).toBe(2);
    expect((await call('frobnicate')).code).toBe(2);
    const wrongKey = await call('list', '--api-key', 'harness:wrong');
    expect([wrongKey.code, wrongKey.errors]).toEqual([4, expect.stringMatching(/key/i)]);
    const nobody = await call('list', '--url', 'http://127.0.0.1:1');
    expect([nobody.code, nobody.errors]).toEqual([5, expect.stringMatching(/127\.0\.0\.1:1/)]);
  });
});

describe('who may come in', () => {
  const somewhere = () => [
    'server',
    '--data',
    join(folder, `data-${Math.random()}`),
    '--mqtt',
    '127.0.0.1:0',
    '--ws',
    'none',
    '--http',
    '127.0.0.1:0',
  ];

  test('to bind elsewhere than loopback without credentials is refused, naming the way out', async () => {
    for (const flag of ['--mqtt', '--http']) {
      const run = await sluice([...somewhere(), flag, '0.0.0.0:0']);
      expect(run.code).toBe(2);
      expect(run.errors).toContain(`listeners.${flag.slice(2)}`);
      expect(run.errors).toContain('--allow-anonymous');
    }
    const open = await sluice([...somewhere(), '--mqtt', '0.0.0.0:0', '--http', '0.0.0.0:0', '--allow-anonymous']);
    expect([open.code, open.out]).toEqual([0, expect.stringContaining('ready ')]);
  });

  test('keys of a bootstrap file, also under its EMQX name', async () => {
    const file = join(folder, 'keys');
    await writeFile(file, 'first:secret1\n\nviewer:secret2:viewer\n');
    for (const name of ['EMQX_API_KEY__BOOTSTRAP_FILE', 'SLUICE_API__KEYS_FILE']) {
      const statuses: number[] = [];
      const run = await sluice(somewhere(), { [name]: file }, async (line) => {
        const { host, port } = parseReadyLine(line).get('http') as { host: string; port: number };
        const at = `http://${host}:${port}`;
        const path = '/api/v5/message_queues/queues';
        const queue = { topic_filter: 'x', is_lastvalue: false };
        statuses.push((await new RestClient(at, 'first', 'secret1').post(path, queue)).status);
        statuses.push((await new RestClient(at, 'viewer', 'secret2').get(path)).status);
        statuses.push((await new RestClient(at, 'viewer', 'secret2').post(path, queue)).status);
        statuses.push((await new RestClient(at, 'first', 'wrong').get(path)).status);
        statuses.push((await new RestClient(at).get(path)).status);
      });
      expect([run.code, statuses]).toEqual([0, [200, 200, 403, 401, 401]]);
    }
  });

  test('MQTT users of a password file; all others are refused', async () => {
    const passwords = join(folder, 'passwords');
    await writeFile(passwords, 'ada:lovelace\n');
    const outcome: unknown[] = [];
    const users = ['--set', `auth.passwordFile=${passwords}`, '--set', 'authorization.noMatch=allow'];
    const run = await sluice([...somewhere(), ...users], {}, async (line) => {
      const address = parseReadyLine(line).get('mqtt') as { host: string; port: number };
      for (const version of [4, 5] as const) {
        const ada = await Client.connect(address, { version, username: 'ada', password: 'lovelace' });
        await ada.publish('t', 'x');
        await ada.close();
        const refused = [{ username: 'ada', password: 'wrong' }, { username: 'eve', password: 'lovelace' }, {}];
        for (const credentials of refused) {
          outcome.push(
            await Client.connect(address, { version, ...credentials }).then(
              () => 'let in',
              (error: { code?: number }) => error.code,
            ),
          );
        }
      }
    });
    expect([run.code, run.errors.includes('Error')]).toEqual([0, false]);
    // 4 bad user name or password and 5 not authorised are MQTT 3.1.1's; 0x86 and 0x87 those of MQTT 5.
    for (const code of outcome.slice(0, 3)) expect([4, 5]).toContain(code);
    for (const code of outcome.slice(3)) expect([0x86, 0x87]).toContain(code);
  });

  test('sluice config says what would be run with, and where from; it can be given back', async () => {
    const first = await sluice(['config', '--mqtt', '127.0.0.1:1999'], { SLUICE_LOG__LEVEL: 'warn' });
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/mqtt: 127\.0\.0\.1:1999 +# flag --mqtt/);
    expect(first.out).toMatch(/level: warn +# environment variable SLUICE_LOG__LEVEL/);
    const file = join(folder, 'again.yaml');
    await writeFile(file, first.out);
    const again = await sluice(['config', '--config', file]);
    expect([again.code, again.errors]).toEqual([0, '']);
    expect(again.out).toMatch(/level: warn +# .*again\.yaml/);
    await writeFile(file, (await sluice(['config', '--sample'])).out);
    expect((await sluice(['config', '--config', file])).code).toBe(0);
    const wrong = await sluice(['config', '--set', 'log.level=loud']);
    expect([wrong.code, wrong.errors]).toEqual([2, expect.stringContaining('log.level')]);
  });
});
