import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { ScramMethod, type ScramSource } from '../../src/auth/scram-method.ts';
import type { ScramVerifier } from '../../src/auth/scram-verifier.ts';

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

function verifierOf(password: string, salt: Buffer, iterations: number): ScramVerifier {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
  return { iterations, salt, storedKey, serverKey: hmac(salted, 'Server Key') };
}

const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const known = new Map([
  ['user', verifierOf('pencil', SALT, 4096)],
  ['a,b=c', verifierOf('pencil', SALT, 4096)],
]);
const source: ScramSource = {
  name: 'database',
  users: {
    find: (name) => (known.has(name) || name === 'plain' ? {} : undefined),
    scramVerifier: (name) => known.get(name),
  },
};
const NONCE = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const method = new ScramMethod([source], [], () => NONCE);
const request = { clientId: 'c', username: undefined, password: undefined, peerHost: '127.0.0.1' };
const bytes = (text: string): Buffer => Buffer.from(text);

/** What a client sends last, made from what it was sent. */
function finalOf(first: string, serverFirst: string, password: string): string {
  const [, nonce, salt, iterations] = /^r=(.*),s=(.*),i=(\d+)$/.exec(serverFirst) as unknown as string[];
  const salted = pbkdf2Sync(password, Buffer.from(salt as string, 'base64'), Number(iterations), 32, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  const bare = first.slice(3);
  const withoutProof = `c=${Buffer.from(first.slice(0, 3)).toString('base64')},r=${nonce}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), `${bare},${serverFirst},${withoutProof}`);
  const proof = clientKey.map((byte, i) => byte ^ (signature[i] as number));
  return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
}

function run(
  first: string,
  password: string,
): { step: ReturnType<ReturnType<ScramMethod['begin']>['next']>; asked: string } {
  const exchange = method.begin(request);
  const challenge = exchange.next(bytes(first));
  if (challenge.kind !== 'challenge') return { step: challenge, asked: '' };
  const asked = Buffer.from(challenge.data).toString();
  return { step: exchange.next(bytes(finalOf(first, asked, password))), asked };
}

describe('SCRAM-SHA-256', () => {
  test('the example of RFC 7677, byte for byte', () => {
    const exchange = method.begin(request);
    const challenge = exchange.next(bytes('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'));
    expect(challenge.kind === 'challenge' && Buffer.from(challenge.data).toString()).toBe(
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    );
    const final =
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
    const step = exchange.next(bytes(final));
    expect(step).toMatchObject({ kind: 'decided', outcome: { reasonCode: 0, identity: 'user', method: 'database' } });
    expect(step.kind === 'decided' && Buffer.from(step.data ?? []).toString()).toBe(
      'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    );
    // It is over: the same proof again proves nothing.
    expect(exchange.next(bytes(final))).toMatchObject({ outcome: { reasonCode: 0x87 } });
  });

  test('commas and equals signs in a name', () => {
    expect(run('y,,n=a=2Cb=3Dc,r=abc', 'pencil').step).toMatchObject({ outcome: { reasonCode: 0, identity: 'a,b=c' } });
  });

  test('a wrong password is refused, without our proof', () => {
    expect(run('n,,n=user,r=abc', 'pen').step).toMatchObject({ outcome: { reasonCode: 0x87 }, data: undefined });
  });

  test('whoever is unknown, or known without a verifier, is asked like others, the same each time, and fails', () => {
    for (const name of ['nobody', 'plain']) {
      const { step, asked } = run(`n,,n=${name},r=abc`, 'pencil');
      expect(step).toMatchObject({ outcome: { reasonCode: 0x87 } });
      expect(asked).toMatch(/^r=abc.*,s=[A-Za-z0-9+/]{22}==,i=4096$/);
      expect(run(`n,,n=${name},r=abc`, 'pencil').asked).toBe(asked);
    }
    expect(run('n,,n=nobody,r=abc', '').asked).not.toBe(run('n,,n=noone,r=abc', '').asked);
  });

  test.each([
    ['nothing', ''],
    ['channel binding', 'p=tls-unique,,n=user,r=abc'],
    ['somebody who would act for somebody else', 'n,a=admin,n=user,r=abc'],
    ['no name', 'n,,n=,r=abc'],
    ['no nonce', 'n,,n=user,r='],
    ['an escape that is none', 'n,,n=us=2Der,r=abc'],
    ['an extension that must be understood', 'n,,m=1,n=user,r=abc'],
    ['no SCRAM', '\u0000user\u0000pencil'],
    ['5,000 bytes', `n,,n=${'u'.repeat(5_000)},r=abc`],
  ])('a first message with %s is refused', (_, first) => {
    expect(method.begin(request).next(bytes(first))).toMatchObject({ outcome: { reasonCode: 0x87 } });
  });

  test.each([
    ['another nonce', (final: string) => final.replace('r=abc', 'r=abd')],
    ['another header', (final: string) => final.replace('c=biws', 'c=eSws')],
    ['a short proof', (final: string) => final.replace(/p=.*/, 'p=AAAA')],
    ['no proof', (final: string) => final.replace(/,p=.*/, '')],
    ['nothing', () => ''],
  ])('a final message with %s is refused', (_, change) => {
    const exchange = method.begin(request);
    const challenge = exchange.next(bytes('n,,n=user,r=abc'));
    const asked = challenge.kind === 'challenge' ? Buffer.from(challenge.data).toString() : '';
    const final = finalOf('n,,n=user,r=abc', asked, 'pencil');
    expect(exchange.next(bytes(change(final)))).toMatchObject({ outcome: { reasonCode: 0x87 } });
  });

  test('whoever is banned is refused in spite of its password', () => {
    const banned = { reasonCode: 0x8a, identity: undefined };
    const guard = {
      name: 'ban',
      authenticate: ({ username }: { username: string | undefined }) =>
        username === 'user' ? banned : ('unknown' as const),
    };
    const guarded = new ScramMethod([source], [guard], () => NONCE);
    const exchange = guarded.begin(request);
    const challenge = exchange.next(bytes('n,,n=user,r=abc'));
    const asked = challenge.kind === 'challenge' ? Buffer.from(challenge.data).toString() : '';
    expect(exchange.next(bytes(finalOf('n,,n=user,r=abc', asked, 'pencil')))).toMatchObject({ outcome: banned });
  });
});
