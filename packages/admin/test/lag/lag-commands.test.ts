import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { registerLagCommands } from '../../src/lag/lag-commands.ts';
import { type RunOptions, runCommand } from '../run-command.ts';

const figures = (more: Record<string, unknown> = {}) => ({
  depth_messages: 0,
  depth_bytes: 0,
  ready_messages: 0,
  inflight_messages: 0,
  lag_messages: 0,
  oldest_message_age_seconds: 0,
  lag_objective_seconds: 300,
  consumers: 2,
  status: 'ok',
  published_per_second: 1.25,
  settled_per_second: 1.25,
  drain_seconds: 0,
  delivered_total: 0,
  redelivered_total: 0,
  returned_total: 0,
  ...more,
});

/** Answers like the API, with what the test says. */
let api: Server;
let rows: { name: string; statistics: unknown }[];
let fails = false;

beforeEach(async () => {
  fails = false;
  rows = [
    { name: 'idle', statistics: figures() },
    {
      name: 'late',
      statistics: figures({
        lag_messages: 12_345,
        inflight_messages: 20,
        oldest_message_age_seconds: 303,
        status: 'falling_behind',
        published_per_second: 120,
        settled_per_second: 99.6,
        drain_seconds: null,
        delivered_total: 1_000,
        redelivered_total: 25,
        returned_total: 3,
      }),
    },
    {
      name: 'alone',
      statistics: figures({
        lag_messages: 1,
        oldest_message_age_seconds: 7,
        consumers: 0,
        status: 'no_consumers',
        drain_seconds: 125,
      }),
    },
  ];
  api = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    if (fails) {
      response.statusCode = 503;
      response.end(JSON.stringify({ code: 'SERVICE_UNAVAILABLE', message: 'The node is starting', hint: '' }));
      return;
    }
    expect(request.url).toContain('/api/v5/message_queues/stats');
    response.end(JSON.stringify({ data: rows, meta: { hasnext: false } }));
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
});

afterEach(() => new Promise((resolve) => api.close(resolve)));

const sluice = (line: string, options: RunOptions = {}) => {
  const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  return runCommand(registerLagCommands, [...line.split(' '), '--url', url], options);
};

describe('sluice lag', () => {
  test('says first what is worst', async () => {
    const { out, code } = await sluice('lag');
    expect(code).toBe(0);
    expect(out).toBe(
      [
        '3 queues, 1 behind its objective, 1 without consumers, 1 falling behind, 12,346 messages waiting or in work',
        '',
        'QUEUE  STATUS             LAG  OLDEST  OBJECTIVE  BEHIND  IN/S  OUT/S  DONE IN  INFLIGHT  CONSUMERS',
        'late   FALLING BEHIND  12,345   5m 3s         5m      3s   120    100    never        20          2',
        'alone  NO CONSUMERS         1      7s         5m       -   1.3    1.3    2m 5s         0          0',
        'idle   ok                   0       -         5m       -   1.3    1.3        -         0          2',
        '',
      ].join('\n'),
    );
  });

  test('workers that keep up are not told that they never will', async () => {
    rows = [
      { name: 'new', statistics: figures({ lag_messages: 7, oldest_message_age_seconds: 0.3, drain_seconds: null }) },
    ];
    const { out } = await sluice('lag');
    expect(out).not.toContain('never');
  });

  test('goes by the objective of each queue', async () => {
    const waiting = (seconds: number, objective: number) =>
      figures({ lag_messages: 5, oldest_message_age_seconds: seconds, lag_objective_seconds: objective });
    rows = [
      { name: 'reports', statistics: waiting(3_000, 3_600) },
      { name: 'payments', statistics: waiting(40, 10) },
      { name: 'mails', statistics: waiting(600, 300) },
    ];
    const { out } = await sluice('lag');
    const [summary, , , ...lines] = out.split('\n');
    expect(summary).toBe('3 queues, 2 behind their objective, 15 messages waiting or in work');
    expect(lines.map((line) => line.split(/ {2,}/).slice(0, 6))).toEqual([
      ['payments', 'ok', '5', '40s', '10s', '30s'],
      ['mails', 'ok', '5', '10m', '5m', '5m'],
      ['reports', 'ok', '5', '50m', '1h', '-'],
      [''],
    ]);
  });

  test('a server that does not know objectives has its figures shown', async () => {
    rows = [{ name: 'late', statistics: figures({ lag_messages: 1, lag_objective_seconds: undefined }) }];
    expect((await sluice('lag')).out.split('\n')[3]).toMatch(/^late +ok +1 +0ms +\? +- /);
  });

  test('a queue without a leader is worse than anything that is known', async () => {
    rows.push({ name: 'lost', statistics: null });
    const { out } = await sluice('lag');
    expect(out).toContain('4 queues, 1 without a leader, 1 behind its objective, 1 without consumers');
    expect(out.split('\n')[3]).toMatch(/^lost +NO LEADER +\? /);
  });

  test('shows some of many', async () => {
    const { out } = await sluice('lag --match la');
    expect(out).toContain('1 queue, 1 behind its objective, 1 falling behind');
    expect(out).not.toContain('alone');
  });

  test('is JSON for programs', async () => {
    const { out } = await sluice('lag --json');
    expect(JSON.parse(out)).toEqual(rows);
  });

  test('no queues', async () => {
    rows = [];
    expect((await sluice('lag')).out).toBe('No queues.\n');
  });
});

describe('sluice lag --watch', () => {
  test('follows what changes, each look in the place of the one before, cut to what fits', async () => {
    let pauses = 0;
    const { out } = await sluice('lag --watch --looks 2', {
      rows: 8,
      pausing: () => {
        pauses++;
        rows = Array.from({ length: 50 }, (_, i) => ({ name: `q${i}`, statistics: figures({ lag_messages: 50 - i }) }));
      },
    });
    const [nothing, first, second] = out.split('\u001b[H');
    expect(nothing).toBe('');
    expect(pauses).toBe(1);
    expect(first).toContain('late   FALLING BEHIND');
    const lines = (second as string).replaceAll('\u001b[K', '').split('\n');
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d UTC$/);
    expect(lines[1]).toContain('50 queues, all are served in time');
    expect(lines[4]).toMatch(/^q0 +ok +50/);
    expect(lines[6]).toBe('and 48 more');
    // One line less than the terminal has: nothing scrolls.
    expect(lines).toHaveLength(8);
  });

  test('a server that does not answer is news and no end', async () => {
    const { out, code } = await sluice('lag --watch --looks 3 --interval 5s', {
      pausing: () => {
        fails = !fails;
      },
    });
    expect(code).toBe(0);
    expect(out.match(/The node is starting/g)).toHaveLength(1);
    expect(out.match(/FALLING BEHIND/g)).toHaveLength(2);
  });

  test.each([
    ['--interval soon', /--interval "soon"/],
    ['--interval 1ms', /--interval is 200ms to 1d/],
    // A timer that is given more than it knows is over at once.
    ['--interval 30d', /--interval is 200ms to 1d/],
    ['--looks 0', /--looks is a number from 1 on/],
  ])('%s is refused', async (option, message) => {
    const { err, code } = await sluice(`lag --watch ${option}`);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });

  test('in JSON, a document a look and nothing else', async () => {
    const { out } = await sluice('consumers --watch --looks 1 --json');
    expect(JSON.parse(out)).toHaveLength(3);
  });
});

test('sluice consumers says who works and what comes back', async () => {
  const { out } = await sluice('consumers --match late');
  expect(out.split('\n').slice(2, 4)).toEqual([
    'QUEUE  STATUS          CONSUMERS  INFLIGHT  READY  OUT/S  OUT/S EACH  DELIVERED  AGAIN  RETURNED',
    'late   FALLING BEHIND          2        20      0    100          50      1,000   2.5%         3',
  ]);
});
