import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsFiles } from '../../src/grpc/tls-files.ts';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const DAYS = 30;

/** Who signs the nodes' certificates. */
export class Authority {
  readonly #directory = mkdtempSync(join(tmpdir(), 'sluice-tls-'));

  constructor() {
    const files = ['-keyout', 'ca.key', '-out', 'ca.pem'];
    this.#openssl('req', '-x509', ...KEY, ...files, '-subj', '/CN=authority', '-days', String(DAYS));
  }

  /** `names` as OpenSSL writes subject alternative names; a certificate of less than no days has expired. */
  issue({ cn = 'node', names = 'IP:127.0.0.1,DNS:localhost', days = DAYS } = {}): TlsFiles {
    this.#openssl('req', ...KEY, '-keyout', 'node.key', '-out', 'node.csr', '-subj', `/CN=${cn}`);
    writeFileSync(join(this.#directory, 'ext'), `subjectAltName=${names}`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'ext', '-days', String(days)];
    this.#openssl('x509', '-req', '-in', 'node.csr', '-out', 'node.pem', ...signed);
    const read = (name: string): Buffer => readFileSync(join(this.#directory, name));
    return { ca: read('ca.pem'), cert: read('node.pem'), key: read('node.key') };
  }

  /** What was issued goes on to be good. */
  close(): void {
    rmSync(this.#directory, { recursive: true });
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#directory, stdio: 'pipe' });
  }
}
