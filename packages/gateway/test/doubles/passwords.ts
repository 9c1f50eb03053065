import { AuthenticationChain } from '../../src/auth/authentication-chain.ts';
import type { Authenticator } from '../../src/auth/authenticator.ts';
import { PasswordGate } from '../../src/auth/password-gate.ts';
import { PasswordMethod } from '../../src/auth/password-method.ts';
import { type KeptSecret, PasswordTable, parseKeptSecret } from '../../src/auth/password-table.ts';

/** As a configuration has them: passwords, or what `sluice passwd` made of them. */
export function passwordsOf(users: ReadonlyMap<string, string>, { anonymous = false } = {}): Authenticator {
  const gate = new PasswordGate();
  const secrets = [...users].map(([username, text]) => ({ username, secret: parseKeptSecret(text) as KeptSecret }));
  return new AuthenticationChain([new PasswordMethod('password', new PasswordTable(secrets, gate), gate)], {
    anonymous,
  });
}
