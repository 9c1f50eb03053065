import { AuthenticationChain, type AuthenticationMethod } from '@sluice/gateway/auth/authentication-chain';
import { type Authenticator, anonymousAuthenticator } from '@sluice/gateway/auth/authenticator';
import { type Authorizer, openAuthorizer } from '@sluice/gateway/auth/authorizer';
import { CertificateMethod } from '@sluice/gateway/auth/certificate-method';
import { PasswordGate } from '@sluice/gateway/auth/password-gate';
import { PasswordMethod } from '@sluice/gateway/auth/password-method';
import { PasswordTable } from '@sluice/gateway/auth/password-table';
import { RuleAuthorizer } from '@sluice/gateway/auth/rule-authorizer';
import { FileRules } from '@sluice/gateway/auth/scoped-rules';
import type { ServerConfig } from '../config/config.ts';

/** Who may come in, and what they may do there. */
export interface Door {
  authenticator: Authenticator;
  authorizer: Authorizer;
}

/** The methods and rules that the configuration names, in the order in which they are asked. */
export function doorOf({ auth, authorization }: ServerConfig): Door {
  const gate = new PasswordGate();
  const methods: AuthenticationMethod[] = [];
  if (auth.certificate !== null) methods.push(new CertificateMethod(auth.certificate));
  if (auth.users.length > 0) {
    const table = new PasswordTable(
      auth.users.map(({ username, secret }) => [username, secret]),
      gate,
    );
    methods.push(new PasswordMethod('password', table, gate));
  }
  const isOpen = authorization.rules.length === 0 && authorization.noMatch === 'allow';
  return {
    authenticator:
      methods.length === 0 && auth.anonymous ? anonymousAuthenticator : new AuthenticationChain(methods, auth),
    authorizer: isOpen
      ? openAuthorizer
      : new RuleAuthorizer({ sources: [new FileRules(authorization.rules)], noMatch: authorization.noMatch }),
  };
}
