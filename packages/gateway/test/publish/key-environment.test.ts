import { describe, expect, test } from '@jest/globals';
import { NodeKeyEnvironment } from '@sluice/gateway/publish/key-environment';
import { DIGEST_ALGORITHMS } from '@sluice/queue/key-expression/environment';

const environment = new NodeKeyEnvironment(
  { nowMs: () => 1_700_000_000_123, monotonicMs: () => 0 },
  { SLUICEVAR_SITE: 'north', PATH: '/bin', SLUICEVAR_EMPTY: '', SITE: 'wrong' },
);

describe('the environment of key expressions', () => {
  test('shows the variables that were set for it, and no other', () => {
    expect(environment.getenv('SITE')).toBe('north');
    expect(environment.getenv('EMPTY')).toBe('');
    for (const name of ['PATH', 'SLUICEVAR_SITE', '__proto__', 'constructor', '']) {
      expect(environment.getenv(name)).toBeUndefined();
    }
  });

  test('knows every digest that expressions may ask for', () => {
    for (const algorithm of DIGEST_ALGORITHMS) {
      expect(environment.digest(algorithm, Buffer.from('x')).length).toBeGreaterThanOrEqual(16);
    }
    const md5 = Buffer.from(environment.digest('md5', Buffer.from('some val'))).toString('hex');
    expect(md5).toBe('1b68352b3e9c2de52ffd322e30bffcc4');
  });

  test('draws within the bound', () => {
    for (let i = 0; i < 100; i++) expect([0, 1, 2]).toContain(environment.randomBelow(3));
    expect(environment.randomBelow(1)).toBe(0);
  });

  test('encodes a view without its neighbours', () => {
    const whole = Buffer.from('xxabcxx');
    expect(environment.base64Encode(whole.subarray(2, 5))).toBe('YWJj');
    expect(Buffer.from(environment.base64Decode('YWJj')).toString()).toBe('abc');
  });

  test('reads the clock it was given', () => expect(environment.nowMs()).toBe(1_700_000_000_123));
});
