import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '@sluice/rpc/address-book';
import type { TlsFiles } from '@sluice/rpc/grpc/tls-files';
import { NodeTransport } from '@sluice/rpc/node-transport';
import { Authority } from '../../../rpc/test/support/certificates.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { checkBroker } from '../../src/doctor/check-broker.ts';
import { checkCertificates } from '../../src/doctor/check-certificates.ts';
import { checkDisk, judgeSyncs } from '../../src/doctor/check-disk.ts';
import { checkPeers } from '../../src/doctor/check-peers.ts';
import { checkRuntime } from '../../src/doctor/check-runtime.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-doctor-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function configOf(settings: string[]) {
  const loaded = loadConfig({ flags: { set: settings }, env: {}, readFile: () => '' });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

describe('the runtime', () => {
  const check = (more: object) =>
    checkRuntime(configOf([]), { nodeVersion: '22.1.0', platform: 'linux', openFiles: 1_000_000, ...more });
  const severities = (more: object) => check(more).map(({ severity }) => severity);

  test.each([
    [{}, ['ok', 'ok']],
    [{ nodeVersion: '18.20.0' }, ['failure', 'ok']],
    [{ nodeVersion: '23.0.0' }, ['warning', 'ok']],
    [{ platform: 'darwin' }, ['warning', 'ok']],
    [{ openFiles: 1_024 }, ['ok', 'note']],
    [{ openFiles: undefined }, ['ok', 'ok']],
  ])('%j', (more, expected) => {
    expect(severities(more)).toEqual(expected);
  });

  test('a node without clients needs no files for them', () => {
    const config = configOf(['node.roles=store,coordinator', 'listeners.grpc=127.0.0.1:5370', 'node.join=127.0.0.1:1']);
    expect(checkRuntime(config, { nodeVersion: '22.1.0', platform: 'linux', openFiles: 10 })).toHaveLength(1);
  });
});

describe('the disk', () => {
  test('is looked at where the data would be, and nothing is left there', async () => {
    const config = configOf([`node.dataDirectory=${join(folder, 'not', 'there', 'yet')}`]);
    const findings = await checkDisk(config);
    expect(findings.map(({ about }) => about)).toEqual(['data', 'space', 'sync']);
    expect(findings[0]?.message).toContain(folder);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('memory is none', async () => {
    const findings = await checkDisk(configOf(['node.dataDirectory=/dev/shm/data']));
    expect(findings[0]).toMatchObject({ severity: 'failure', message: expect.stringContaining('tmpfs') });
  });

  test('not to sync is no way to keep anything', async () => {
    const findings = await checkDisk(configOf([`node.dataDirectory=${folder}`, 'storage.sync=false']));
    expect(findings.at(-1)).toMatchObject({ severity: 'warning', message: expect.stringContaining('with the power') });
  });

  test('a gateway keeps nothing', async () => {
    const config = configOf(['node.roles=gateway', 'listeners.grpc=127.0.0.1:5370', 'node.join=127.0.0.1:1']);
    expect(await checkDisk(config)).toEqual([]);
  });

  test.each([
    [[0.01, 0.01, 0.4], 'note'],
    [[0.2, 0.9, 30], 'ok'],
    [[10, 25, 30], 'warning'],
  ])('syncs of %j ms: %s', (tookMs, severity) => {
    expect(judgeSyncs(tookMs).severity).toBe(severity);
  });
});

describe('certificates', () => {
  function make(name: string, days: number): string[] {
    const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync(
      'openssl',
      ['req', '-x509', ...curve, '-keyout', key, '-out', cert, '-subj', '/CN=x', '-days', String(days)],
      { stdio: 'ignore' },
    );
    return [`tls.certificateFile=${cert}`, `tls.keyFile=${key}`];
  }

  test('none are configured, none are looked at', async () => {
    expect(await checkCertificates(configOf([]), Date.now())).toEqual([]);
  });

  test('valid, about to expire, expired, not valid yet', async () => {
    const config = configOf(make('good', 100));
    const at = async (days: number) => (await checkCertificates(config, Date.now() + days * 86_400_000))[0]?.severity;
    expect(await at(0)).toBe('ok');
    expect(await at(90)).toBe('warning');
    expect((await checkCertificates(config, Date.now() + 99.5 * 86_400_000))[0]?.message).toMatch(/ expires in 1[12]h/);
    expect(await at(101)).toBe('failure');
    expect(await at(-1)).toBe('failure');
  });

  test('a key of another certificate', async () => {
    const [certificate] = make('one', 100);
    const [, key] = make('other', 100);
    const findings = await checkCertificates(configOf([certificate as string, key as string]), Date.now());
    expect(findings).toMatchObject([{ severity: 'failure', message: expect.stringContaining('one.pem') }]);
  });
});

test('peers: one that is missing among those that answer is a note, nobody at all is a warning', async () => {
  const server = createHttp2Server();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const there = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const missing = `127.0.0.1:${(gone.address() as AddressInfo).port}`;
  await new Promise((resolve) => gone.close(resolve));
  const check = async (join: string) => {
    const findings = await checkPeers(configOf([`node.join=${join}`, 'listeners.grpc=127.0.0.1:5370']));
    return findings.map(({ severity }) => severity);
  };
  expect(await check(`${there},${missing}`)).toEqual(['ok', 'note']);
  expect(await check(missing)).toEqual(['warning']);
  await new Promise((resolve) => server.close(resolve));
});

test('peers: somebody else who listens there is a failure', async () => {
  const server = createHttpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const findings = await checkPeers(configOf([`node.join=${at}`, 'listeners.grpc=127.0.0.1:5370']));
  expect(findings).toMatchObject([{ severity: 'failure', message: expect.stringContaining(at) }]);
  await new Promise((resolve) => server.close(resolve));
});

describe('certificates between nodes', () => {
  const [authority, stranger] = [new Authority(), new Authority()];
  const [good, strange] = [authority.issue(), stranger.issue()];
  afterAll(() => {
    authority.close();
    stranger.close();
  });

  function settings(files: TlsFiles): string[] {
    const written = Object.entries(files).map(([part, pem]) => {
      const path = join(folder, `node-${part}.pem`);
      writeFileSync(path, pem);
      return path;
    });
    const [ca, cert, key] = written;
    return [`cluster.caFile=${ca}`, `cluster.certificateFile=${cert}`, `cluster.keyFile=${key}`];
  }

  test.each([
    ['of the authority', () => good, ['ok']],
    ['of another', () => ({ ...strange, ca: good.ca }), ['ok', 'failure']],
    ['of one of two authorities', () => ({ ...good, ca: Buffer.concat([strange.ca, good.ca]) }), ['ok']],
    ['of no authority that could be read', () => ({ ...good, ca: Buffer.from('nothing') }), ['ok', 'failure']],
  ])('%s', async (_, files, severities) => {
    const config = configOf([...settings(files()), 'listeners.grpc=127.0.0.1:5370']);
    expect((await checkCertificates(config, Date.now())).map(({ severity }) => severity)).toEqual(severities);
  });

  test.each([
    ['of the authority', (): TlsFiles => good, 'ok', /answers/],
    ['of another', (): TlsFiles => ({ ...strange, ca: good.ca }), 'failure', /certificate of this node/],
    ['that trusts another', (): TlsFiles => ({ ...good, ca: strange.ca }), 'failure', /certificate|signature/],
    ['that is missing', (): undefined => undefined, 'failure', /no certificate/],
  ] as const)('a node that is there, and one with a certificate %s', async (_, files, severity, said) => {
    const clock = systemClock;
    const parts = { addresses: new AddressBook(), logger: silentLogger, metrics: new PlainMetrics(), clock };
    const node = new NodeTransport({ ...parts, tls: good });
    const at = `127.0.0.1:${await node.listen('127.0.0.1', 0)}`;
    const own = files();
    const config = configOf([
      `node.join=${at}`,
      'listeners.grpc=127.0.0.1:5370',
      ...(own === undefined ? [] : settings(own)),
    ]);
    expect(await checkPeers(config)).toMatchObject([{ severity, message: expect.stringMatching(said) }]);
    await node.shutdown();
  });
});

describe('the broker that runs', () => {
  let http: HttpServer;
  let ready = true;
  let cluster: object;

  beforeAll(async () => {
    http = createHttpServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      if (request.url === '/readyz' && !ready) response.statusCode = 503;
      const checks = [{ ok: ready, reason: ready ? '' : 'the disk is full' }];
      response.end(JSON.stringify(request.url === '/readyz' ? { checks } : cluster));
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => new Promise((resolve) => http.close(resolve)));

  const check = async (nowMs = Date.now) => {
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    return (await checkBroker({ url, apiKey: undefined }, nowMs, { isNamed: true })).map(
      ({ about, severity }) => `${about} ${severity}`,
    );
  };

  test('well, and not', async () => {
    cluster = { nodes: [{ node: 'a', version: '0.1.0' }], problems: [] };
    expect(await check()).toEqual(['broker ok', 'clock ok', 'cluster ok']);
    ready = false;
    cluster = {
      nodes: [
        { node: 'a', version: '0.1.0' },
        { node: 'b', version: '0.2.0' },
      ],
      problems: [{ severity: 'degraded', message: 'b is away', hint: 'start it' }],
    };
    expect(await check()).toEqual(['broker failure', 'clock ok', 'cluster warning', 'versions warning']);
    ready = true;
  });

  test('clocks that differ', async () => {
    cluster = { nodes: [{ node: 'a', version: '0.1.0' }], problems: [] };
    expect(await check(() => Date.now() - 60_000)).toContain('clock warning');
    expect(await check(() => Date.now() + 60_000)).toContain('clock warning');
  });

  test.each([
    ['the usual one', false, 'note'],
    ['one that was named', true, 'failure'],
  ])('none answers at %s', async (_, isNamed, severity) => {
    const findings = await checkBroker({ url: 'http://127.0.0.1:1', apiKey: undefined }, Date.now, { isNamed });
    expect(findings).toMatchObject([{ about: 'broker', severity }]);
  });
});
