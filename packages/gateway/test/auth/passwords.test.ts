import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { AuthenticationChain } from '../../src/auth/authentication-chain.ts';
import type { AuthenticationOutcome, AuthenticationRequest } from '../../src/auth/authenticator.ts';
import { PasswordGate } from '../../src/auth/password-gate.ts';
import { hashPassword, isPassword, parsePasswordHash } from '../../src/auth/password-hash.ts';
import { PasswordMethod } from '../../src/auth/password-method.ts';
import { PasswordTable, parseKeptSecret } from '../../src/auth/password-table.ts';
import { makeScramVerifier, parseScramVerifier } from '../../src/auth/scram-verifier.ts';

const request = (username?: string, password?: string): AuthenticationRequest => ({
  clientId: 'c',
  username,
  password: password === undefined ? undefined : Buffer.from(password),
  peerHost: '127.0.0.1',
});

/** As cheap as the format allows: what is tested is not the cost. */
async function cheapHash(password: string): Promise<string> {
  const { scryptSync } = await import('node:crypto');
  const salt = Buffer.alloc(16, 7);
  const hash = scryptSync(password, salt, 32, { N: 2, r: 1, p: 1 });
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
  return `$scrypt$ln=1,r=1,p=1$${text(salt)}$${text(hash)}`;
}

function tableOf(users: Record<string, string>, gate = new PasswordGate()): PasswordTable {
  const secrets = Object.entries(users).map(([name, text]) => {
    const secret = parseKeptSecret(text);
    if (secret === undefined) throw new Error(`not a secret: ${text}`);
    return { username: name, secret };
  });
  return new PasswordTable(secrets, gate);
}

describe('a kept password', () => {
  test('is right for itself and for nothing else', async () => {
    const kept = parsePasswordHash(await hashPassword('hunter2'));
    if (kept === undefined) throw new Error('not read again');
    expect(await isPassword(Buffer.from('hunter2'), kept)).toBe(true);
    for (const wrong of ['', 'hunter', 'hunter2\0', 'Hunter2']) {
      expect(await isPassword(Buffer.from(wrong), kept)).toBe(false);
    }
    expect(await hashPassword('hunter2')).not.toBe(await hashPassword('hunter2'));
  });

  test.each([
    ['$scrypt$ln=30,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
    ['$scrypt$ln=14,r=64,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
    ['$scrypt$ln=14,r=8,p=1$$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
    ['$scrypt$ln=14,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$'],
    ['$scrypt$'],
    ['$scram-sha-256$i=4096$AA==$AA==$AA=='],
  ])('%s is refused, and not taken for a password', (text) => {
    expect(parsePasswordHash(text)).toBeUndefined();
    expect(parseKeptSecret(text)).toBeUndefined();
  });

  test('its SCRAM verifier is what RFC 5802 derives from it', async () => {
    const verifier = parseScramVerifier(await makeScramVerifier('pencil'));
    if (verifier === undefined) throw new Error('not read again');
    const salted = pbkdf2Sync('pencil', verifier.salt, verifier.iterations, 32, 'sha256');
    const clientKey = createHmac('sha256', salted).update('Client Key').digest();
    expect(verifier.storedKey).toEqual(createHash('sha256').update(clientKey).digest());
    expect(verifier.serverKey).toEqual(createHmac('sha256', salted).update('Server Key').digest());
  });

  test('both stand on one line', async () => {
    const table = tableOf({ ann: `${await cheapHash('a')} ${await makeScramVerifier('a')}`, bob: 'plain' });
    expect(table.scramVerifier('ann')?.iterations).toBe(4096);
    expect(table.scramVerifier('bob')).toBeUndefined();
    expect(table.scramVerifier('__proto__')).toBeUndefined();
  });
});

describe('the chain', () => {
  const decide = async (chain: AuthenticationChain, ...who: [string?, string?]): Promise<AuthenticationOutcome> =>
    chain.authenticate(request(...who));

  test('what the first does not know goes to the next; what it knows and finds wrong is refused', async () => {
    const gate = new PasswordGate();
    const first = new PasswordMethod('first', tableOf({ ann: await cheapHash('1'), both: 'one' }, gate), gate);
    const second = new PasswordMethod('second', tableOf({ bob: '2', both: 'two' }, gate), gate);
    const chain = new AuthenticationChain([first, second], { anonymous: false });
    expect(await decide(chain, 'ann', '1')).toMatchObject({ reasonCode: 0, identity: 'ann', method: 'first' });
    expect(await decide(chain, 'ann', '2')).toMatchObject({ reasonCode: 0x86, method: 'first' });
    expect(await decide(chain, 'bob', '2')).toMatchObject({ reasonCode: 0, identity: 'bob', method: 'second' });
    expect(await decide(chain, 'both', 'two')).toMatchObject({ reasonCode: 0x86, method: 'first' });
    expect(await decide(chain, 'eve', '1')).toMatchObject({ reasonCode: 0x86, identity: undefined });
    expect(await decide(chain)).toMatchObject({ reasonCode: 0x86 });
    expect(await decide(chain, 'ann')).toMatchObject({ reasonCode: 0x86 });
  });

  test('anonymous clients come last, have no name, and a known name still needs its password', async () => {
    const gate = new PasswordGate();
    const chain = new AuthenticationChain([new PasswordMethod('p', tableOf({ ann: 'a' }, gate), gate)], {
      anonymous: true,
    });
    expect(await decide(chain, 'eve', 'x')).toMatchObject({ reasonCode: 0, identity: undefined, method: 'none' });
    expect(await decide(chain, 'ann', 'x')).toMatchObject({ reasonCode: 0x86 });
    expect(await decide(chain, 'ann', 'a')).toMatchObject({ reasonCode: 0, identity: 'ann' });
  });

  test('a name nobody has costs a hash where names have hashes', async () => {
    const gate = new PasswordGate();
    const hashed = new PasswordMethod('p', tableOf({ ann: await cheapHash('a') }, gate), gate);
    expect(hashed.decoy(request('eve', 'x'))).toBeInstanceOf(Promise);
    await hashed.decoy(request('eve', 'x'));
    expect(new PasswordMethod('p', tableOf({ ann: 'a' }, gate), gate).decoy(request('eve', 'x'))).toBeUndefined();
  });
});

describe('a flood of CONNECTs', () => {
  test('waits in line up to a bound, and is told that the server is busy beyond it', async () => {
    const gate = new PasswordGate();
    const method = new PasswordMethod('p', tableOf({ ann: await cheapHash('a') }, gate), gate);
    const bound = PasswordGate.AT_ONCE + PasswordGate.WAITING_MAX;
    const asked = Array.from({ length: bound + 3 }, () => method.authenticate(request('ann', 'wrong')));
    expect(gate.waiting).toBe(PasswordGate.WAITING_MAX);
    const answers = (await Promise.all(asked)).map((one) => (one as AuthenticationOutcome).reasonCode);
    expect(answers.filter((code) => code === 0x89)).toHaveLength(3);
    expect(answers.filter((code) => code === 0x86)).toHaveLength(bound);
    expect(gate.waiting).toBe(0);
  });

  test('a password that was right is right at once the next time', async () => {
    const gate = new PasswordGate();
    const method = new PasswordMethod('p', tableOf({ ann: await cheapHash('a') }, gate), gate);
    expect(await method.authenticate(request('ann', 'a'))).toMatchObject({ reasonCode: 0 });
    expect(method.authenticate(request('ann', 'a'))).toMatchObject({ reasonCode: 0 });
    expect(await method.authenticate(request('ann', 'b'))).toMatchObject({ reasonCode: 0x86 });
  });
});
