import { describe, expect, test } from '@jest/globals';
import type { AuthenticationRequest } from '../../src/auth/authenticator.ts';
import { type CertificateMapping, CertificateMethod } from '../../src/auth/certificate-method.ts';

const LAMP = { commonName: 'lamp', dns: ['lamp.example'], emails: ['a@x', 'b@x'], uris: [] };

function decide(mapping: Partial<CertificateMapping>, request: Partial<AuthenticationRequest>): unknown {
  const method = new CertificateMethod({ as: 'username', name: 'commonName', withPassword: false, ...mapping });
  const all = { clientId: 'c', username: undefined, password: undefined, peerHost: '', certificate: LAMP, ...request };
  return method.authenticate(all);
}
const REFUSED = { reasonCode: 0x87, identity: undefined };

describe('as user name', () => {
  test('the certificate says it; a name in CONNECT must be the same', () => {
    expect(decide({}, {})).toMatchObject({ reasonCode: 0, identity: 'lamp', user: 'lamp' });
    expect(decide({}, { username: 'lamp' })).toMatchObject({ reasonCode: 0, identity: 'lamp' });
    expect(decide({}, { username: 'other' })).toEqual(REFUSED);
    expect(decide({}, { username: '' })).toEqual(REFUSED);
    expect(decide({ name: 'dns' }, {})).toMatchObject({ user: 'lamp.example' });
  });

  test('B28: of several names, or none, nobody is taken', () => {
    expect(decide({ name: 'email' }, {})).toEqual(REFUSED);
    expect(decide({ name: 'uri' }, {})).toEqual(REFUSED);
    expect(decide({}, { certificate: { ...LAMP, commonName: undefined } })).toEqual(REFUSED);
  });

  test('with a password: the next methods decide, for that name alone', () => {
    expect(decide({ withPassword: true }, { username: 'lamp' })).toBe('unknown');
    expect(decide({ withPassword: true }, { username: 'other' })).toEqual(REFUSED);
    expect(decide({ withPassword: true }, {})).toEqual(REFUSED);
  });
});

test('as client id: that one and no other, and no user name is proved', () => {
  expect(decide({ as: 'clientId' }, { clientId: 'lamp', username: 'admin' })).toMatchObject({
    reasonCode: 0,
    user: null,
  });
  expect(decide({ as: 'clientId' }, { clientId: 'other' })).toEqual(REFUSED);
  expect(decide({ as: 'clientId', withPassword: true }, { clientId: 'lamp' })).toBe('unknown');
});

test('without a certificate the next method is asked', () => {
  expect(decide({}, { certificate: undefined })).toBe('unknown');
});

test('as a guard of other proofs: it admits nobody, and refuses whom the certificate does not name', () => {
  const guard = (mapping: Partial<CertificateMapping>, request: Partial<AuthenticationRequest>): unknown => {
    const method = new CertificateMethod({ as: 'username', name: 'commonName', withPassword: false, ...mapping });
    const all = { clientId: 'c', username: 'lamp', password: undefined, peerHost: '', certificate: LAMP, ...request };
    return method.guard.authenticate(all);
  };
  for (const withPassword of [false, true]) {
    expect(guard({ withPassword }, {})).toBe('unknown');
    expect(guard({ withPassword }, { username: 'admin' })).toEqual(REFUSED);
    expect(guard({ withPassword, as: 'clientId' }, { clientId: 'lamp' })).toBe('unknown');
    expect(guard({ withPassword, as: 'clientId' }, { clientId: 'other' })).toEqual(REFUSED);
  }
  expect(guard({}, { certificate: undefined })).toBe('unknown');
});
