import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sluiceOf } from '@sluice/bench/peers/sluice';
import { PeerUnderTest, SMALL_FLOW } from './support/small-load.ts';

const SLUICE = fileURLToPath(new URL('../../server/dist/bin.js', import.meta.url));

interface Ended {
  code: number;
  out: string;
  errors: string;
}

/** The command as people type it. */
async function sluice(...args: string[]): Promise<Ended> {
  return await sluiceWith({}, ...args);
}

async function sluiceWith(variables: Record<string, string>, ...args: string[]): Promise<Ended> {
  const env = { ...process.env, ...variables };
  return await new Promise((resolve) => {
    execFile(process.execPath, [SLUICE, 'bench', ...args], { env }, (error, out, errors) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, errors });
    });
  });
}

describe('sluice bench', () => {
  let server: PeerUnderTest;
  let mqtt: string;
  let url: string;
  beforeAll(async () => {
    server = await PeerUnderTest.start(sluiceOf('sluice-1'));
    const channel = await server.running.open({ ...SMALL_FLOW, kind: 'fan-out', name: 'any' });
    const [address] = channel?.consume.addresses ?? [];
    mqtt = `${address?.host}:${address?.port}`;
    url = server.running.manage as string;
  });
  afterAll(() => server.dispose());

  test('puts load on a running broker, checks every message, and leaves no queue behind', async () => {
    const load = ['--publishers', '2', '--consumers', '2', '--rate', '300', '--warm-up', '0', '--seconds', '1'];
    const pid = String(server.running.pids[0]);
    const { code, out, errors } = await sluice('--mqtt', mqtt, '--url', url, '--pid', pid, '--json', ...load);
    expect([errors, code]).toEqual(['', 0]);
    const { figures, sequences } = JSON.parse(out);
    expect(sequences).toEqual({ lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 });
    expect(figures.rate).toBeGreaterThan(0);
    expect(figures.cpuUs).toBeGreaterThan(0);
    const queues = await (await fetch(`${url}/api/v5/message_queues/queues`)).json();
    expect((queues as { data: unknown[] }).data).toEqual([]);
  });

  test('says it in words', async () => {
    const { code, out } = await sluice(
      '--mqtt',
      mqtt,
      '--fan-out',
      '--qos',
      '0',
      '--rate',
      '100',
      '--warm-up',
      '0',
      '--seconds',
      '1',
    );
    expect(code).toBe(0);
    expect(out).toMatch(/^delivered: .* msg\/s$/m);
    expect(out).toMatch(/^checked: .* lost 0, duplicated 0, out of order 0$/m);
  });

  const slow = ['--publishers', '1', '--consumers', '1', '--prefetch', '1', '--warm-up', '0', '--seconds', '1'];

  test('says how far it has come while consumers take their time, and waits for all of it', async () => {
    const work = ['--work', '50', '--window', '20'];
    const { code, out, errors } = await sluice('--mqtt', mqtt, '--url', url, ...slow, ...work);
    expect(code).toBe(0);
    expect(out).toMatch(/^checked: .* lost 0,/m);
    expect(errors).toMatch(/^(draining: \d+ of \d+ messages have come, about \d+ s left\n)+$/);
  });

  test('does not take for lost what a consumer is at', async () => {
    const { out } = await sluice('--mqtt', mqtt, '--url', url, ...slow, '--rate', '2', '--work', '6000');
    expect(out).toMatch(/^checked: .* lost 0,/m);
  });

  test('finds the REST API where other commands find it', async () => {
    const { code, errors } = await sluiceWith({ SLUICE_URL: 'http://127.0.0.1:2' });
    expect([code, errors]).toEqual([5, expect.stringContaining('no answer from http://127.0.0.1:2')]);
  });

  test.each([
    [['--rate', 'fast'], 2, '--rate must be a whole number'],
    [['--qos', '2'], 2, '--qos must be a whole number from 0 to 1'],
    [['--qos', '0'], 2, 'QoS 0 goes with --fan-out'],
    [['--mqtt', 'here'], 2, '"here" is not HOST:PORT'],
    [['--url', 'http://127.0.0.1:1'], 5, 'no answer from http://127.0.0.1:1'],
    [
      ['--fan-out', '--mqtt', '127.0.0.1:1'],
      5,
      'nobody listens at 127.0.0.1:1: start the broker, or name its gateways with --mqtt',
    ],
  ])('%j ends with %d and says why', async (args, code, message) => {
    const ended = await sluice(...args);
    expect(ended.code).toBe(code);
    expect(ended.errors).toContain(message);
  });
});
