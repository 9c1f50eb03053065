import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { refuse } from '@sluice/rpc/contract/queue-management';
import { type ApiFixture, createFixture, listen } from '../../../api/test/api-fixture.ts';
import { registerQueueCommands } from '../../src/queues/queue-commands.ts';
import { type Ran, type RunOptions, runCommand } from '../run-command.ts';

function sluice(line: string | string[], options: RunOptions = {}): Promise<Ran> {
  return runCommand(registerQueueCommands, ['queues', ...(typeof line === 'string' ? line.split(' ') : line)], options);
}

let fixture: ApiFixture;
let at: { env: Record<string, string> };

async function serve(options: Parameters<typeof createFixture>[0] = {}) {
  fixture = createFixture(options);
  const port = await listen(fixture.api);
  at = { env: { SLUICE_URL: `http://127.0.0.1:${port}` } };
}

beforeEach(() => serve());

describe('create, list, describe', () => {
  it('go together', async () => {
    expect(await sluice('list', at)).toMatchObject({
      code: 0,
      out: expect.stringContaining('No queues. Create one: sluice queues create'),
    });
    expect(
      await sluice(
        'create orders --topic-filter orders/# --regular --max-message-bytes 1MB --max-message-count 1000 --overflow drop_oldest',
        at,
      ),
    ).toMatchObject({
      code: 0,
      out: 'Created orders. Consumers subscribe to $queue/orders\n',
    });
    expect(await sluice('create -f sensors/+/t --last-value --key-expression message.topic', at)).toMatchObject({
      out: 'Created /sensors/+/t. Consumers subscribe to $q/sensors/+/t\n',
    });
    for (let i = 0; i < 1_200; i++) fixture.queues.store('orders', 'x'.repeat(1_000));
    fixture.queues.silent.add('/sensors/+/t');
    expect((await sluice('list', at)).out).toBe(
      [
        'NAME          FILTER       KIND        DEPTH     SIZE  READY  INFLIGHT  CONSUMERS  OLDEST',
        'orders        orders/#     regular     1,200  1.14 MB  1,200         0          2      1m',
        '/sensors/+/t  sensors/+/t  last-value      ?        ?      ?         ?          ?       ?',
        '',
      ].join('\n'),
    );
    expect((await sluice('describe orders', at)).out).toBe(
      [
        'Name:           orders',
        'Topic filter:   orders/#',
        'Subscribe to:   $queue/orders',
        'Kind:           regular',
        'Dispatch:       random, at most 10 in flight per consumer',
        'Retention:      7d',
        'Lag objective:  5m, as configured',
        'Messages:       at most 1,000, then drop_oldest',
        'Bytes:          at most 1 MB, then drop_oldest',
        'Partitions:     1',
        'Created:        2027-01-15T08:00:00.000Z',
        '',
        'Depth:      1,200 messages, 1.14 MB',
        'Ready:      1,200',
        'In flight:  0 with 2 consumers',
        'Oldest:     1m',
        'Totals:     1,200 published',
        '',
        'PARTITION  HEAD   TAIL  DEPTH  LEADER',
        '        0     0  1,200  1,200  n1',
        '',
      ].join('\n'),
    );
    expect((await sluice('describe sensors/+/t', at)).out).toMatch(
      /Subscribe to: {3}\$q\/sensors[\s\S]*Its figures are not known/,
    );
  });

  it('pass every option on', async () => {
    await sluice(
      'create q -f t --last-value --key-expression a --dispatch-strategy round_robin --data-retention-period 1h --local-max-inflight 3 --redispatch-interval 5s --lag-objective 30s --partitions 2',
      at,
    );
    expect(fixture.queues.queues.get('q')).toMatchObject({
      keyExpression: 'a',
      dispatchStrategy: 'round_robin',
      dataRetentionMs: 3_600_000,
      localMaxInflight: 3,
      redispatchIntervalMs: 5_000,
      lagObjectiveMs: 30_000,
      partitions: [0, 1],
    });
  });

  it('update changes what is given and nothing else', async () => {
    await sluice('create orders -f orders/# --regular --overflow drop_oldest --max-message-count 7', at);
    expect(await sluice('update orders --lag-objective 30s --max-message-count 9', at)).toMatchObject({
      code: 0,
      out: 'Changed orders: lag_objective, limits\n',
    });
    expect(fixture.queues.queues.get('orders')).toMatchObject({
      lagObjectiveMs: 30_000,
      limits: { countMax: 9, overflow: 'drop_oldest' },
    });
    expect((await sluice('describe orders', at)).out).toContain('Lag objective:  30s\n');
    expect((await sluice('update orders --lag-objective default', at)).code).toBe(0);
    expect((await sluice('describe orders', at)).out).toContain('Lag objective:  5m, as configured\n');
    expect(await sluice('update orders', at)).toMatchObject({ code: 2 });
    expect(await sluice('update gone --lag-objective 1m', at)).toMatchObject({ code: 3 });
  });

  it('print JSON for programs', async () => {
    const created = JSON.parse((await sluice('create q -f t --regular --json', at)).out);
    expect(created).toMatchObject({ name: 'q', is_lastvalue: false });
    expect(JSON.parse((await sluice('list --json', at)).out)).toEqual([
      { ...created, statistics: expect.objectContaining({ depth_messages: 0 }) },
    ]);
    expect(JSON.parse((await sluice('describe q --json', at)).out)).toEqual({
      ...created,
      statistics: expect.objectContaining({ consumers: 2 }),
    });
  });

  it('list gathers all pages', async () => {
    await sluice('create q -f t --regular', at);
    const first = fixture.queues.queues.get('q');
    if (first === undefined) throw new Error('not created');
    for (let i = 1; i < 1_005; i++) {
      await fixture.queues.create({ ...first, name: `q${i}`, topicFilter: `t/${i}`, partitionCount: 1 });
    }
    expect(JSON.parse((await sluice('list --json', at)).out)).toHaveLength(1_005);
  });
});

describe('apply', () => {
  const orders = { name: 'orders', topic_filter: 'orders/#', is_lastvalue: false };
  const apply = (list: unknown, options: RunOptions = {}) =>
    sluice('apply q.json', { ...at, files: { 'q.json': JSON.stringify(list) }, ...options });

  it('makes what is missing, changes what differs and leaves the rest, as often as it is run', async () => {
    const state = { topic_filter: 'state/+', is_lastvalue: true };
    expect(await apply([orders, state])).toMatchObject({
      code: 0,
      out: 'created    orders\ncreated    /state/+\n',
    });
    expect((await apply([orders, state])).out).toBe('unchanged  orders\nunchanged  /state/+\n');
    expect((await apply([{ ...orders, local_max_inflight: 3 }])).out).toBe('changed    orders\n');
    expect(JSON.parse((await sluice('list --json', at)).out)).toMatchObject([
      { name: 'orders', local_max_inflight: 3 },
      { name: '/state/+' },
    ]);
  });

  it('takes what list --json prints', async () => {
    await apply([orders]);
    const { out } = await sluice('list --json', at);
    expect((await apply(JSON.parse(out))).out).toBe('unchanged  orders\n');
    await sluice('delete orders --yes', at);
    expect((await apply(JSON.parse(out))).out).toBe('created    orders\n');
  });

  it('says what cannot be changed, and what is wrong with the file', async () => {
    await apply([orders]);
    expect(await apply([{ ...orders, topic_filter: 'other/#' }])).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot be changed'),
    });
    for (const [list, said] of [
      [{}, 'holds no list'],
      [[{ name: 'a', is_lastvalue: false }], 'queue 1 has no topic_filter'],
      [[orders, { topic_filter: 'b' }], 'queue 2 does not say is_lastvalue'],
      [[orders, orders], 'queue 2 repeats orders'],
    ] as const) {
      expect(await apply(list)).toMatchObject({ code: 2, err: expect.stringContaining(said) });
    }
    expect(await sluice('apply none.json', at)).toMatchObject({
      code: 2,
      err: expect.stringContaining('no such file'),
    });
  });

  it('says which of the queues was refused, and how far it came', async () => {
    await apply([orders]);
    const wrong = { name: 'wrong', topic_filter: 'a/#/b', is_lastvalue: false };
    const { code, err } = await apply([orders, { ...orders, name: 'more' }, wrong, { ...orders, name: 'last' }]);
    expect(code).toBe(1);
    expect(err).toContain('wrong: "topic_filter" is not a valid topic filter');
    expect(err).toContain('before it: orders unchanged, more created; nothing behind it was looked at');
    expect((await apply([wrong])).err).toContain('before it: none');
  });

  it('waits for a server that is not there yet, and for one that has no leader', async () => {
    fixture.queues.down = refuse('UNAVAILABLE', 'nobody leads');
    const options = { files: { 'q.json': JSON.stringify([orders]) }, ...at };
    expect((await sluice('apply q.json', options)).code).toBe(1);
    let looks = 0;
    const late = await sluice('apply q.json --wait 5m', {
      ...options,
      pausing: () => {
        if (++looks === 3) fixture.queues.down = undefined;
      },
    });
    expect([late.code, late.out, looks]).toEqual([0, 'created    orders\n', 3]);
  });
});

describe('delete and purge', () => {
  beforeEach(async () => {
    await sluice('create q -f t --regular', at);
    for (let i = 0; i < 3; i++) fixture.queues.store('q', 'x');
  });

  it('ask at a terminal, saying what is at stake', async () => {
    expect(await sluice('purge q', { ...at, interactive: true, answer: 'n' })).toMatchObject({
      code: 1,
      err: 'error: Nothing was done\n',
      asked: ['Purge q with 3 messages (3 B)? This cannot be undone. [y/N] '],
    });
    expect(fixture.queues.messages.get('q')).toHaveLength(3);
    expect(await sluice('purge q', { ...at, interactive: true, answer: 'y' })).toMatchObject({
      code: 0,
      out: 'Removed 3 messages from q\n',
    });
    expect(await sluice('delete q', { ...at, interactive: true, answer: 'YES' })).toMatchObject({
      code: 0,
      out: 'Deleted q\n',
    });
    expect(fixture.queues.queues.size).toBe(0);
  });

  it.each(['delete q', 'purge q'])('%s without a terminal needs --yes', async (line) => {
    expect(await sluice(line, at)).toMatchObject({ code: 2, err: expect.stringContaining('Add --yes if you mean it') });
    expect(fixture.queues.messages.get('q')).toHaveLength(3);
    expect((await sluice(`${line} --yes --json`, at)).code).toBe(0);
    expect(fixture.queues.messages.get('q')).toBeUndefined();
  });
});

describe('peek', () => {
  it('shows messages, harmless to the terminal', async () => {
    await sluice('create q -f t --regular', at);
    fixture.queues.store('q', '{"n":1}\nsecond', {
      deliveryCount: 1,
      state: 'inflight',
      key: 'k',
      properties: { contentType: 'text/plain', userProperties: [['trace', '\u001b[2J']] },
    });
    fixture.queues.store('q', new Uint8Array([0, 255]), { topic: 'a\u009bb' });
    fixture.queues.store('q', '');
    fixture.queues.store('q', 'y'.repeat(10));
    expect((await sluice('peek q --max-payload-bytes 8', at)).out).toBe(
      [
        '#0 orders/1  (from p1, 1m ago, QoS 1, in flight, 1 delivery, key k, text/plain)',
        '  trace: \\x1b[2J',
        '  {"n":1}\\n… (14 B in all)',
        '',
        '#1 a\\x9bb  (from p1, 1m ago, QoS 1, ready, 0 deliveries)',
        '  base64 AP8=',
        '',
        '#2 orders/1  (from p1, 1m ago, QoS 1, ready, 0 deliveries)',
        '  (empty)',
        '',
        '#3 orders/1  (from p1, 1m ago, QoS 1, ready, 0 deliveries)',
        '  yyyyyyyy… (10 B in all)',
        '',
      ].join('\n'),
    );
    expect((await sluice('peek q -n 1 --from 1', at)).out).toMatch(/^#1 [\s\S]*More follow: --from 2\n$/);
    expect(JSON.parse((await sluice('peek q --json', at)).out).data).toHaveLength(4);
  });

  it('says when there is nothing', async () => {
    await sluice('create q -f t --regular', at);
    expect((await sluice('peek q', at)).out).toBe('No messages.\n');
  });
});

describe('what goes wrong has an exit code and a way out', () => {
  it.each<[string, number, string]>([
    ['create q -f t', 2, 'Say which kind of queue: --regular or --last-value'],
    ['create q -f t --regular --last-value', 2, 'Say which kind of queue'],
    ['create q --regular', 2, 'The queue needs a topic filter'],
    ['create q -f a/#/b --regular', 1, '"topic_filter" is not a valid topic filter'],
    ['create q -f t --regular --local-max-inflight ten', 1, '"local_max_inflight" must be a whole number'],
    [
      'create q -f t --regular --max-message-count 0',
      1,
      '"limits.max_message_count" must be a whole number of at least 1',
    ],
    ['describe gone', 3, 'Message queue not found'],
    ['delete gone --yes', 3, 'Message queue not found'],
    ['purge gone -y', 3, 'Message queue not found'],
    ['peek gone', 3, 'Message queue not found'],
    ['peek gone --limit 1000', 1, '"limit" must be a whole number between 1 and 100'],
    ['list --url nonsense', 2, '"nonsense" is not a URL'],
    ['list --url mqtt://127.0.0.1:1883', 2, 'is not an HTTP URL'],
    ['list --url http://a:hunter2@127.0.0.1', 2, 'The URL must not hold credentials'],
    ['list --api-key hunter2', 2, 'The API key must be key:secret'],
    ['list --url http://127.0.0.1:1', 5, 'No answer from http://127.0.0.1:1: '],
    ['list --url https://{at}', 5, 'it speaks plain HTTP'],
    ['lst', 2, "unknown command 'lst'"],
    ['list --jsn', 2, "unknown option '--jsn'"],
    ['describe', 2, "missing required argument 'NAME'"],
    ['describe a b', 2, 'too many arguments'],
  ])('%s: %d', async (line, code, message) => {
    const ran = await sluice(line.replace('https://{at}', at.env.SLUICE_URL?.replace('http:', 'https:') ?? ''), at);
    expect([ran.code, ran.out]).toEqual([code, '']);
    expect(ran.err).toContain(message);
    expect(ran.err).not.toContain('hunter2');
  });

  it('help is not a mistake', async () => {
    const ran = await sluice('create --help', at);
    expect(ran.code).toBe(0);
    expect(ran.out).toContain('--data-retention-period <DURATION>');
  });

  it('keys: from the variable or the option, and 4 when they do not open', async () => {
    await serve({
      keys: [
        { key: 'k', secret: 's3cret', role: 'administrator', scopes: null },
        { key: 'v', secret: 's', role: 'viewer', scopes: null },
      ],
    });
    const withKey = (key: string) => ({ env: { ...at.env, SLUICE_API_KEY: key } });
    expect(await sluice('list', at)).toMatchObject({
      code: 4,
      err: expect.stringContaining('Give one as SLUICE_API_KEY=key:secret'),
    });
    expect(await sluice('list', withKey('k:wrong'))).toMatchObject({
      code: 4,
      err: expect.stringContaining('Bad API key or secret'),
    });
    expect((await sluice('list', withKey('k:s3cret'))).code).toBe(0);
    expect((await sluice('list --api-key k:s3cret', withKey('k:wrong'))).code).toBe(0);
    expect(await sluice('create q -f t --regular', withKey('v:s'))).toMatchObject({
      code: 4,
      err: expect.stringContaining('The role viewer may not do this'),
    });
  });

  it('a server that is another one', async () => {
    const server = createServer((request, response) => {
      if (request.url?.includes('describe')) response.writeHead(302, { location: 'http://elsewhere.invalid/' }).end();
      else response.end('hello');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const other = { env: { SLUICE_URL: `http://127.0.0.1:${port}/`, SLUICE_API_KEY: 'k:s' } };
    try {
      expect(await sluice('list', other)).toMatchObject({
        code: 1,
        err: expect.stringContaining('something that is not JSON'),
      });
      expect(await sluice('describe describe', other)).toMatchObject({
        code: 5,
        err: expect.stringContaining('redirect'),
      });
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
