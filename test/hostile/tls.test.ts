import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type ConnectPacket, PacketType } from '@sluice/mqtt/codec/packet';
import mqtt, { type IClientOptions } from 'mqtt';
import { type ListenerName, ServerProcess } from '../harness/server-process.ts';

/** Every listener at once: whatever holds for one must hold for all, and a certificate is proof only when it is one. */
let folder = '';
let server: ServerProcess;

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const openssl = (...args: string[]): void => {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
};
const file = (name: string): Buffer => readFileSync(join(folder, name));

function authority(name: string): void {
  openssl(
    'req',
    '-x509',
    ...KEY,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.pem`,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
  );
}

function issue(name: string, { subject = `/CN=${name}`, by = 'ca', days = 2 } = {}): void {
  openssl('req', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject);
  writeFileSync(join(folder, 'ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  const signed = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial', '-days', `${days}`, '-extfile', 'ext'];
  openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signed);
}

/** The list of what an authority takes back. */
function revoke(name: string): void {
  writeFileSync(join(folder, 'index.txt'), '');
  writeFileSync(join(folder, 'crlnumber'), '01\n');
  writeFileSync(
    join(folder, 'ca.cnf'),
    '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=2\n',
  );
  const ca = ['-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key'];
  openssl('ca', ...ca, '-revoke', `${name}.pem`);
  openssl('ca', ...ca, '-gencrl', '-out', 'taken-back.pem');
}

const SETTINGS = (): string[] => [
  `tls.certificateFile=${join(folder, 'broker.pem')}`,
  `tls.keyFile=${join(folder, 'broker.key')}`,
  `tls.clientCaFile=${join(folder, 'ca.pem')}`,
  `tls.clientRevocationFile=${join(folder, 'taken-back.pem')}`,
  'auth.certificateAs=username',
  'auth.certificateWithPassword=true',
  `auth.passwordFile=${join(folder, 'passwords')}`,
  'authorization.noMatch=allow',
];
const FLAGS = ['--ws', '127.0.0.1:0', '--mqtts', '127.0.0.1:0', '--wss', '127.0.0.1:0'];
const flagsOf = (settings: string[]): string[] => [...FLAGS, ...settings.flatMap((one) => ['--set', one])];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-hostile-tls-'));
  for (const name of ['ca', 'stranger']) authority(name);
  for (const name of ['broker', 'lamp', 'revoked']) issue(name);
  issue('expired', { subject: '/CN=lamp', days: -1 });
  issue('foreign', { subject: '/CN=lamp', by: 'stranger' });
  issue('double', { subject: '/CN=lamp/CN=admin' });
  issue('part', { subject: '/O=lamp/OU=lamp/CN=other' });
  issue('dressed', { subject: '/CN=lamp, CN=admin' });
  revoke('revoked');
  writeFileSync(join(folder, 'passwords'), 'lamp:pw\nadmin:pw\nother:pw\nrevoked:pw\n');
  server = await ServerProcess.start({ flags: flagsOf(SETTINGS()) });
});
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

type Listener = Extract<ListenerName, 'mqtt' | 'mqtts' | 'ws' | 'wss'>;
const ALL: Listener[] = ['mqtt', 'mqtts', 'ws', 'wss'];
const SECURE: Listener[] = ['mqtts', 'wss'];

/** Whether anything is said to whoever shows this certificate. In TLS 1.3 a client is connected before it is refused. */
function answered(listener: Listener, certificate: string | undefined): Promise<boolean> {
  const shown = certificate === undefined ? {} : { cert: file(`${certificate}.pem`), key: file(`${certificate}.key`) };
  return new Promise((resolve) => {
    const { port } = server.address(listener);
    const socket = connectTls({ host: 'localhost', port, ca: file('ca.pem'), ...shown }, () =>
      socket.write(listener === 'wss' ? 'GET /mqtt HTTP/1.1\r\nhost: x\r\n\r\n' : encode(HELLO, 5)),
    );
    socket.on('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

const HELLO: ConnectPacket = {
  type: PacketType.CONNECT,
  protocolVersion: 5,
  clientId: 'hello',
  cleanStart: true,
  keepAliveS: 0,
};

/** 0 when it was let in, else the reason code of the refusal. */
async function attempt(listener: Listener, certificate: string | undefined, more: IClientOptions): Promise<unknown> {
  const { port } = server.address(listener);
  const url = `${listener}://localhost:${port}${listener.startsWith('ws') ? '/mqtt' : ''}`;
  const shown = certificate === undefined ? {} : { cert: file(`${certificate}.pem`), key: file(`${certificate}.key`) };
  const options = {
    ca: file('ca.pem'),
    ...shown,
    reconnectPeriod: 0,
    connectTimeout: 5_000,
    protocolVersion: 5 as const,
  };
  try {
    const client = await mqtt.connectAsync(url, { ...options, ...more });
    client.end(true);
    return 0;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

const lamp: IClientOptions = { username: 'lamp', password: 'pw' };

describe('B27: what is configured holds on every listener', () => {
  test.each(ALL)('%s: no credentials, no entrance', async (listener) => {
    const certificate = SECURE.includes(listener) ? 'lamp' : undefined;
    // A certificate that does not stand for its holder alone needs the name as well.
    expect(await attempt(listener, certificate, {})).toBe(SECURE.includes(listener) ? 0x87 : 0x86);
    expect(await attempt(listener, certificate, { ...lamp, password: 'wrong' })).toBe(0x86);
    expect(await attempt(listener, certificate, lamp)).toBe(0);
  });

  test.each(SECURE)('%s: nobody without a certificate, whatever they know', async (listener) => {
    expect(await answered(listener, undefined)).toBe(false);
  });

  test.each(SECURE)('%s: no older TLS', async (listener) => {
    const { port } = server.address(listener);
    const old = { minVersion: 'TLSv1' as const, maxVersion: 'TLSv1.1' as const, ciphers: 'DEFAULT@SECLEVEL=0' };
    const options = { host: 'localhost', port, ...old, rejectUnauthorized: false };
    const outcome = await new Promise((resolve) => {
      const socket = connectTls({ ...options, cert: file('lamp.pem'), key: file('lamp.key') }, () =>
        resolve('connected'),
      );
      socket.on('error', () => resolve('refused'));
    });
    expect(outcome).toBe('refused');
  });
});

describe('B28: a certificate proves one name, or nothing', () => {
  test.each(SECURE)('%s: expired, revoked, of another authority: no connection', async (listener) => {
    for (const certificate of ['expired', 'revoked', 'foreign', 'stranger']) {
      expect([certificate, await answered(listener, certificate)]).toEqual([certificate, false]);
    }
    expect(await answered(listener, 'lamp')).toBe(true);
  });

  test('a part of the subject, two names, or a name that looks like two are not the name', async () => {
    for (const certificate of ['part', 'double', 'dressed']) {
      for (const username of ['lamp', 'admin']) {
        const code = await attempt('mqtts', certificate, { username, password: 'pw' });
        expect([certificate, username, code]).toEqual([certificate, username, 0x87]);
      }
    }
    expect(await attempt('mqtts', 'part', { username: 'other', password: 'pw' })).toBe(0);
  });

  test.each([
    ['authorities', 'tls.clientCaFile', 'empty.pem', ''],
    ['authorities', 'tls.clientCaFile', 'no-pem.pem', 'not PEM'],
    ['authorities', 'tls.clientCaFile', 'missing.pem', undefined],
    ['a revocation list', 'tls.clientRevocationFile', 'empty-list.pem', ''],
  ])('a file of %s that has none ends the start (%s = %s)', async (_, key, name, text) => {
    if (text !== undefined) writeFileSync(join(folder, name), text);
    const settings = SETTINGS().map((one) => (one.startsWith(`${key}=`) ? `${key}=${join(folder, name)}` : one));
    await expect(ServerProcess.start({ flags: flagsOf(settings) })).rejects.toThrow(key);
  });
});
