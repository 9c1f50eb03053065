// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders are written so.
import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { JwksClient } from '../../src/auth/jwks-client.ts';
import { verifyToken } from '../../src/auth/jwt.ts';
import { keySet, pemKey, secretKey } from '../../src/auth/jwt-keys.ts';
import { JwtMethod, type JwtRules } from '../../src/auth/jwt-method.ts';

const NOW_MS = 1_800_000_000_000;
const NOW_S = NOW_MS / 1000;
const SECRET = randomBytes(64);
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed = generateKeyPairSync('ed25519');
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(alg: string, signer: (signed: Buffer) => Buffer, claims: object, header: object = {}): string {
  const signed = `${part({ alg, typ: 'JWT', ...header })}.${part(claims)}`;
  return `${signed}.${signer(Buffer.from(signed)).toString('base64url')}`;
}
const hs256 = (claims: object, header = {}, secret = SECRET): string =>
  token('HS256', (signed) => createHmac('sha256', secret).update(signed).digest(), claims, header);
const es256 = (claims: object, header = {}): string =>
  token('ES256', (signed) => sign('sha256', signed, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }), claims, header);
const check = (text: string, keys = [secretKey(SECRET)], nowMs = NOW_MS) => verifyToken(text, keys, nowMs, 5_000);

describe('a token', () => {
  test.each([
    ['HS256', hs256({ sub: 'ann' }), [secretKey(SECRET)]],
    [
      'RS256',
      token('RS256', (signed) => sign('sha256', signed, rsa.privateKey), { sub: 'ann' }),
      [pemKey(pem(rsa.publicKey))],
    ],
    ['ES256', es256({ sub: 'ann' }), [pemKey(pem(ec.publicKey))]],
    [
      'EdDSA',
      token('EdDSA', (signed) => sign(null, signed, ed.privateKey), { sub: 'ann' }),
      [pemKey(pem(ed.publicKey))],
    ],
  ])('signed by %s counts, and with one bit changed it does not', async (_alg, text, keys) => {
    const verified = await check(text, keys);
    expect(verified.ok && verified.claims.get('sub')).toBe('ann');
    const [head, , signature] = text.split('.');
    expect(await check(`${head}.${part({ sub: 'eve' })}.${signature}`, keys)).toEqual({ ok: false, why: 'signature' });
    expect(await check(`${text.slice(0, -4)}AAAA`, keys)).toEqual({ ok: false, why: 'signature' });
  });

  test('an example of RFC 7515 A.1', async () => {
    const key = Buffer.from(
      'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
      'base64url',
    );
    const text =
      'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
    expect(await check(text, [secretKey(key)], 1_300_819_000_000)).toMatchObject({
      ok: true,
      expiresAtMs: 1_300_819_385_000,
    });
    expect(await check(text, [secretKey(key)], 1_300_819_385_000)).toEqual({ ok: false, why: 'expired' });
  });

  test('without a signature, or with the public key for a secret, is refused', async () => {
    const none = `${part({ alg: 'none' })}.${part({ sub: 'ann' })}.`;
    expect(await check(none)).toEqual({ ok: false, why: 'no-key' });
    const confused = hs256({ sub: 'ann' }, {}, Buffer.from(pem(rsa.publicKey)));
    expect(await check(confused, [pemKey(pem(rsa.publicKey))])).toEqual({ ok: false, why: 'no-key' });
    expect(await check(hs256({ sub: 'ann' }, { crit: ['exp'] }))).toEqual({ ok: false, why: 'malformed' });
  });

  test('counts for its time', async () => {
    expect(await check(hs256({ exp: NOW_S + 60 }))).toMatchObject({ ok: true, expiresAtMs: NOW_MS + 65_000 });
    expect(await check(hs256({ exp: NOW_S - 4 }))).toMatchObject({ ok: true });
    expect(await check(hs256({ exp: NOW_S - 5 }))).toEqual({ ok: false, why: 'expired' });
    expect(await check(hs256({ nbf: NOW_S + 6 }))).toEqual({ ok: false, why: 'not-yet' });
    expect(await check(hs256({ exp: 'soon' }))).toEqual({ ok: false, why: 'malformed' });
  });

  test.each([
    ['secret'],
    ['a.b'],
    ['a.b.c.d'],
    ['....'],
    [''],
    ['a+b.c.d'],
    ['e30.e30'],
    [`${'a'.repeat(9_000)}.${'a'.repeat(9_000)}.a`],
  ])('%.20s is none at all', async (text) => expect(await check(text)).toEqual({ ok: false, why: 'not-a-token' }));
});

describe('a set of keys', () => {
  const jwk = (key: KeyObject, more: object): object => ({ ...key.export({ format: 'jwk' }), ...more });
  const text = JSON.stringify({
    keys: [
      jwk(ec.publicKey, { kid: 'e' }),
      jwk(rsa.publicKey, { kid: 'r', alg: 'RS256', use: 'sig' }),
      jwk(rsa.publicKey, { kid: 'x', use: 'enc' }),
      { kty: 'oct', k: SECRET.toString('base64url') },
      { kty: 'new' },
      null,
    ],
  });

  test('has those for signatures, each for its algorithms', async () => {
    expect(keySet(text).map(({ kid, algorithms }) => [kid, algorithms])).toEqual([
      ['e', ['ES256']],
      ['r', ['RS256']],
    ]);
    expect(await check(es256({}, { kid: 'e' }), keySet(text))).toMatchObject({ ok: true });
    expect(await check(es256({}, { kid: 'other' }), keySet(text))).toEqual({ ok: false, why: 'no-key' });
  });

  test.each([['no JSON'], ['{}'], ['{"keys":[]}'], ['{"keys":[{"kty":"oct","k":"AAAA"}]}']])(
    '%s is refused',
    (broken) => {
      expect(() => keySet(broken)).toThrow(/^holds no/);
    },
  );

  test('short secrets, private and small keys are refused', async () => {
    expect(() => secretKey(Buffer.from('short'))).toThrow('less than 32 bytes');
    expect(() => pemKey(ed.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())).toThrow('private key');
    expect(() => pemKey('x')).toThrow('no public key');
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
    expect(() => pemKey(pem(small.publicKey))).toThrow('less than 2048 bits');
  });
});

describe('in CONNECT', () => {
  const clock = { nowMs: () => NOW_MS, monotonicMs: () => 0 };
  let wanted = 0;
  const decide = (rules: Partial<JwtRules>, text: string, username?: string): Promise<unknown> => {
    const all: JwtRules = { from: 'password', userClaim: 'sub', claims: new Map(), leewayMs: 0, ...rules };
    const source = { keys: [secretKey(SECRET)], wanted: () => wanted++ };
    const method = new JwtMethod(all, source, { clock, logger: silentLogger });
    const isPassword = all.from === 'password';
    return method.authenticate({
      clientId: 'c1',
      username: isPassword ? username : text,
      password: isPassword ? Buffer.from(text) : undefined,
      peerHost: '',
    });
  };
  const REFUSED = { reasonCode: 0x86, identity: undefined };

  test('the claim is the user, until the token ends', async () => {
    const text = hs256({ sub: 'ann', exp: NOW_S + 1 });
    expect(await decide({}, text)).toMatchObject({ reasonCode: 0, identity: 'ann', expiresAtMs: NOW_MS + 1_000 });
    expect(await decide({ from: 'username' }, text)).toMatchObject({ reasonCode: 0, identity: 'ann', username: 'ann' });
    expect(await decide({}, hs256({}))).toEqual(REFUSED);
    expect(await decide({}, hs256({ sub: 7 }))).toEqual(REFUSED);
    expect(await decide({}, 'a password')).toBe('unknown');
  });

  test('claims are what was asked for', async () => {
    const claims = new Map([
      ['aud', 'sluice'],
      ['client_id', '${clientid}'],
      ['name', '${username}'],
    ]);
    const good = { sub: 'ann', aud: ['other', 'sluice'], client_id: 'c1', name: 'ann' };
    expect(await decide({ claims }, hs256(good), 'ann')).toMatchObject({ reasonCode: 0 });
    for (const wrong of [{ aud: 'other' }, { client_id: 'c2' }, { name: 'bob' }, { name: undefined }]) {
      expect(await decide({ claims }, hs256({ ...good, ...wrong }), 'ann')).toEqual(REFUSED);
    }
    expect(await decide({ claims }, hs256({ ...good, name: undefined }), undefined)).toEqual(REFUSED);
    expect(await decide({ claims: new Map([['__proto__', 'x']]) }, hs256(good))).toEqual(REFUSED);
  });

  test('a key that is not known asks for new ones', async () => {
    wanted = 0;
    expect(await decide({}, es256({ sub: 'ann' }))).toEqual(REFUSED);
    expect(wanted).toBe(1);
  });

  test('neither named nor signed by a key that is known it asks for new ones, and with a known one or a wrong time it does not', async () => {
    wanted = 0;
    expect(await decide({}, hs256({ sub: 'ann' }, {}, randomBytes(64)))).toEqual(REFUSED);
    expect(wanted).toBe(1);
    expect(await decide({}, hs256({ sub: 'ann', exp: NOW_S - 1 }))).toEqual(REFUSED);
    expect(await decide({}, hs256({ sub: 'ann' }, { crit: ['exp'] }))).toEqual(REFUSED);
    expect(await decide({}, hs256({ sub: 'ann' }))).toMatchObject({ reasonCode: 0 });
    expect(wanted).toBe(1);
  });
});

test('B39: published keys: nobody before the first, the old ones while the issuer fails, new ones at most every ten seconds', async () => {
  let nowMs = 0;
  let answer: string | Error = new Error('connection refused');
  let fetched = 0;
  const client = new JwksClient({
    url: 'https://issuer.example/keys',
    refreshMs: 60_000,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    fetch: async () => {
      fetched++;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  try {
    await client.refresh();
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.keys).toBeUndefined();
    answer = JSON.stringify({ keys: [{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'e' }] });
    await client.refresh();
    expect(client.keys?.map(({ kid }) => kid)).toEqual(['e']);
    answer = 'rubbish';
    await client.refresh();
    expect(client.keys?.map(({ kid }) => kid)).toEqual(['e']);
    const before = fetched;
    nowMs += JwksClient.WANTED_INTERVAL_MS - 1;
    for (let i = 0; i < 100; i++) client.wanted();
    expect(fetched).toBe(before);
    nowMs += 1;
    for (let i = 0; i < 100; i++) client.wanted();
    expect(fetched).toBe(before + 1);
  } finally {
    client.close();
  }
});
