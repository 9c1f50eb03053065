import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { until } from '../e2e/support/until.ts';
import { ServerProcess } from '../harness/server-process.ts';
import { RawClient } from './raw-client.ts';

/**
 * B39: who asks somebody else who its clients are lets nobody in while that one is away, slow, or talks rubbish. The only
 * such back end is the issuer that publishes the keys of tokens.
 */
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const KEYS = {
  keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }],
};
const RUBBISH: [string, (response: ServerResponse) => void][] = [
  ['an error', (response) => response.writeHead(500).end('no')],
  ['no JSON', (response) => response.end('<html>')],
  ['half a set', (response) => response.writeHead(200, { 'content-length': '1000' }).write('{"keys":[')],
  ['nothing', () => {}],
  ['a megabyte', (response) => response.end(Buffer.alloc(1024 * 1024, ' '))],
];

let answer: (response: ServerResponse) => void = () => {};
let asked = 0;
let issuer: Server;
let server: ServerProcess;
const clients: RawClient[] = [];

beforeAll(async () => {
  issuer = createServer((_request, response) => {
    asked++;
    answer(response);
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  issuer?.closeAllConnections();
  issuer?.close();
});
beforeEach(() => {
  asked = 0;
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await server?.dispose();
});

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const CLAIMS = part({ sub: 'ann', exp: Math.floor(Date.now() / 1000) + 600 });

function token(): string {
  const text = `${part({ alg: 'ES256', kid: 'k' })}.${CLAIMS}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** Signed by what everybody knows: the text of the public key. */
function forged(): string {
  const text = `${part({ alg: 'HS256', kid: 'k' })}.${CLAIMS}`;
  const secret = publicKey.export({ format: 'pem', type: 'spki' });
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
const unsigned = (): string => `${part({ alg: 'none' })}.${CLAIMS}.`;

async function start(): Promise<void> {
  const { port } = issuer.address() as AddressInfo;
  const settings = [`jwt.jwksUrl=http://127.0.0.1:${port}/keys`, 'authorization.noMatch=allow'];
  server = await ServerProcess.start({ flags: settings.flatMap((one) => ['--set', one]) });
}

/** Undefined: hung up on without one. */
async function connack(password: string, version: 4 | 5 = 5): Promise<number | undefined> {
  const client = await RawClient.open(server.mqtt);
  clients.push(client);
  client.greet(`c${clients.length}`, version, { username: 'ann', password: Buffer.from(password) });
  await client.until('an end or a CONNACK', () => client.closed || client.packets.length > 0);
  const [packet] = client.packets;
  return packet?.type === PacketType.CONNACK ? packet.reasonCode : undefined;
}

describe('B39: the issuer of tokens', () => {
  test.each(RUBBISH)('answers with %s: nobody is let in', async (_name, respond) => {
    answer = respond;
    await start();
    for (const each of [token(), forged(), unsigned()]) {
      for (const version of [4, 5] as const) expect(await connack(each, version)).not.toBe(0);
    }
    expect(await connack('no token')).toBeUndefined();
    expect(asked).toBeGreaterThan(0);
    expect(server.log).not.toMatch(/unhandled|uncaught|AssertionFailed/i);
  });

  test('goes away once its keys are known: they stay in force, and forgeries stay out', async () => {
    answer = (response) => response.end(JSON.stringify(KEYS));
    await start();
    await until(async () => (await connack(token())) === 0, 'the keys are known');
    answer = (response) => response.destroy();
    expect(await connack(token())).toBe(0);
    expect(await connack(forged())).toBe(0x86);
    expect(await connack(unsigned())).toBe(0x86);
  });
});
