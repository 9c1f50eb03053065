import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsFiles } from '../../src/grpc/tls-files.ts';

/** An authority of its own, and a certificate of it for 127.0.0.1. */
export function makeCertificates(): TlsFiles {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority', '-days', '30');
  openssl('req', ...key, '-keyout', 'node.key', '-out', 'node.csr', '-subj', '/CN=node');
  writeFileSync(join(directory, 'ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost');
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'ext', '-days', '30'];
  openssl('x509', '-req', '-in', 'node.csr', '-out', 'node.pem', ...signed);
  const read = (name: string): Buffer => readFileSync(join(directory, name));
  const files = { ca: read('ca.pem'), cert: read('node.pem'), key: read('node.key') };
  rmSync(directory, { recursive: true });
  return files;
}
