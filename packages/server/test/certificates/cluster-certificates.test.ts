import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { LogFields, Logger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { TlsFiles } from '@sluice/rpc/grpc/tls-files';
import { Authority } from '../../../rpc/test/support/certificates.ts';
import { ClusterCertificates } from '../../src/certificates/cluster-certificates.ts';

const DAY_MS = 24 * 3_600_000;
const authority = new Authority();
const folder = mkdtempSync(join(tmpdir(), 'sluice-certificates-'));
const FILES = {
  caFile: join(folder, 'ca.pem'),
  certificateFile: join(folder, 'node.pem'),
  keyFile: join(folder, 'node.key'),
};
const metrics = new PlainMetrics();
const said: string[] = [];
let nowMs = Date.now();

const say =
  (level: string) =>
  (_: LogFields, message: string): void =>
    void said.push(`${level}: ${message}`);
const logger: Logger = {
  debug: say('debug'),
  info: say('info'),
  warn: say('warn'),
  error: say('error'),
  child: () => logger,
};
const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };

afterAll(() => {
  authority.close();
  rmSync(folder, { recursive: true });
});

function write({ ca, cert, key }: TlsFiles): TlsFiles {
  writeFileSync(FILES.caFile, ca);
  writeFileSync(FILES.certificateFile, cert);
  writeFileSync(FILES.keyFile, key);
  return { ca, cert, key };
}

const open = () => ClusterCertificates.open(FILES, { clock, logger, metrics });

describe('the certificate of a node', () => {
  test('what cannot work is a sentence at the start', async () => {
    write({ ...authority.issue(), key: authority.issue().key });
    await expect(open()).rejects.toMatchObject({
      code: 'CLUSTER_TLS',
      message: expect.stringContaining('cluster.keyFile'),
    });
    write({ ...authority.issue(), ca: Buffer.from('not PEM') });
    await expect(open()).rejects.toMatchObject({ message: expect.stringContaining('cluster.caFile') });
    await expect(
      ClusterCertificates.open({ ...FILES, caFile: '/nowhere.pem' }, { clock, logger, metrics }),
    ).rejects.toMatchObject({ code: 'CLUSTER_TLS', message: expect.stringContaining('cannot be read') });
  });

  test('has to name the host at which others reach the node', async () => {
    write(authority.issue({ names: 'IP:10.0.0.1,DNS:one.example,IP:fd00:0:0:0:0:0:0:1' }));
    const certificates = await open();
    for (const address of ['10.0.0.1:18830', 'one.example:1', '[fd00::1]:1'])
      certificates.mustName({ address, name: '' });
    expect(() => certificates.mustName({ address: 'two.example:1', name: 'two' })).toThrow(
      expect.objectContaining({ code: 'CLUSTER_TLS', message: expect.stringContaining('does not name two.example') }),
    );
  });

  test('or the name by which others know the node, wherever it is', async () => {
    write(authority.issue({ cn: 'tier', names: 'DNS:*.gateway.sluice' }));
    const certificates = await open();
    certificates.mustName({ address: '10.0.0.7:5370', name: 'pod-7.gateway.sluice' });
    expect(() => certificates.mustName({ address: '10.0.0.7:5370', name: 'pod-7' })).toThrow(
      expect.objectContaining({ code: 'CLUSTER_TLS' }),
    );
  });

  test('is renewed while the node runs; one that cannot be used leaves the old one, and is told once', async () => {
    write(authority.issue());
    const certificates = await open();
    const renewed: TlsFiles[] = [];
    said.length = 0;
    const refused = (): number => metrics.gauge('sluice_rpc_certificate_refused', '').value;
    const look = () => certificates.look((tls) => renewed.push(tls));
    await look();
    expect(renewed).toEqual([]);
    const next = authority.issue();
    // One file after the other.
    writeFileSync(FILES.certificateFile, next.cert);
    await look();
    await look();
    expect(renewed).toEqual([]);
    expect(said).toEqual(['warn: a renewed certificate cannot be used: the old one stays']);
    expect(refused()).toBe(1);
    write(next);
    await look();
    expect(refused()).toBe(0);
    expect(renewed).toEqual([next]);
    expect(certificates.current).toEqual(next);
    expect(said.at(-1)).toBe('info: the certificate for traffic between nodes was renewed');
  });

  test('one that whoever uses it cannot take is not in force, and tried again', async () => {
    const before = write(authority.issue({ names: 'DNS:localhost' }));
    const certificates = await open();
    const renewed = write(authority.issue({ names: 'DNS:localhost' }));
    const refused = metrics.gauge('sluice_rpc_certificate_refused', '');
    await certificates.look(() => {
      throw new Error('of a test');
    });
    expect(certificates.current.cert.toString()).toBe(before.cert.toString());
    expect(refused.value).toBe(1);
    let taken: TlsFiles | undefined;
    await certificates.look((now) => {
      taken = now;
    });
    expect(taken?.cert.toString()).toBe(renewed.cert.toString());
    expect(refused.value).toBe(0);
  });

  test('its end is announced a week before, once a day, and is in the metrics', async () => {
    write(authority.issue({ days: 30 }));
    said.length = 0;
    const certificates = await open();
    const notAfterS = metrics.gauge('sluice_rpc_certificate_not_after_seconds', '').value;
    expect(notAfterS * 1_000 - nowMs).toBeGreaterThan(29 * DAY_MS);
    expect(said).toEqual([]);
    const look = () => certificates.look(() => {});
    for (const days of [24, 24.5, 25]) {
      nowMs = notAfterS * 1_000 - 30 * DAY_MS + days * DAY_MS;
      await look();
    }
    expect(said).toEqual(Array(2).fill('warn: the certificate for traffic between nodes expires soon'));
    nowMs = notAfterS * 1_000 + 1;
    await look();
    expect(said.at(-1)).toBe(
      'error: the certificate for traffic between nodes has expired: other nodes refuse this one',
    );
  });
});
