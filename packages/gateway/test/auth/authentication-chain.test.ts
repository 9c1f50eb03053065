import { describe, expect, test } from '@jest/globals';
import { AuthenticationChain, type AuthenticationMethod } from '../../src/auth/authentication-chain.ts';
import type { AuthenticationOutcome, AuthenticationRequest } from '../../src/auth/authenticator.ts';
import { CertificateMethod } from '../../src/auth/certificate-method.ts';

const REQUEST: AuthenticationRequest = {
  clientId: 'c',
  username: undefined,
  password: Buffer.from('a token'),
  peerHost: '10.0.0.1',
};

/** As a token proves a name that CONNECT need not say. */
const tokenOf = (identity: string): AuthenticationMethod => ({
  name: 'jwt',
  authenticate: async () => ({ reasonCode: 0, identity }),
});

/** As `Bans` does: by the name that it is shown. */
const banOf = (banned: string): AuthenticationMethod => ({
  name: 'ban',
  authenticate: ({ username }) => (username === banned ? { reasonCode: 0x8a, identity: undefined } : 'unknown'),
});

const decide = (
  methods: readonly AuthenticationMethod[],
  guards: readonly AuthenticationMethod[],
  request: Partial<AuthenticationRequest> = {},
): AuthenticationOutcome | Promise<AuthenticationOutcome> =>
  new AuthenticationChain(methods, { anonymous: false, guards }).authenticate({ ...REQUEST, ...request });

describe('a name that another proof than CONNECT says', () => {
  test('is refused when it is banned, whatever CONNECT calls it', async () => {
    const bans = banOf('ann');
    for (const username of [undefined, 'somebody']) {
      const outcome = await decide([bans, tokenOf('ann')], [bans], { username });
      expect(outcome).toMatchObject({ reasonCode: 0x8a, identity: undefined });
    }
    expect(await decide([bans, tokenOf('bob')], [bans])).toMatchObject({ reasonCode: 0, identity: 'bob' });
  });

  test('must be the one that the certificate names', async () => {
    const certificate = new CertificateMethod({ as: 'username', name: 'commonName', withPassword: true });
    const shown = { username: 'bob', certificate: { commonName: 'bob', dns: [], emails: [], uris: [] } };
    const asked = (user: string) => decide([certificate, tokenOf(user)], [certificate.guard], shown);
    expect(await asked('ann')).toMatchObject({ reasonCode: 0x87, identity: undefined });
    expect(await asked('bob')).toMatchObject({ reasonCode: 0, identity: 'bob', method: 'jwt' });
  });

  test('of a certificate is asked about like one of CONNECT', () => {
    const bans = banOf('bob');
    const certificate = new CertificateMethod({ as: 'username', name: 'commonName', withPassword: false });
    const shown = { certificate: { commonName: 'bob', dns: [], emails: [], uris: [] } };
    expect(decide([bans, certificate], [bans, certificate.guard], shown)).toMatchObject({ reasonCode: 0x8a });
  });

  test('of nobody is nothing to ask about', () => {
    const bans = banOf('bob');
    const certificate = new CertificateMethod({ as: 'clientId', name: 'commonName', withPassword: false });
    const shown = { clientId: 'bob', certificate: { commonName: 'bob', dns: [], emails: [], uris: [] } };
    expect(decide([bans, certificate], [bans, certificate.guard], shown)).toMatchObject({ reasonCode: 0, user: null });
  });
});
