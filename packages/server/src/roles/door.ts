import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { AuthenticationChain, type AuthenticationMethod } from '@sluice/gateway/auth/authentication-chain';
import type { Authenticator } from '@sluice/gateway/auth/authenticator';
import { CertificateMethod } from '@sluice/gateway/auth/certificate-method';
import { Bans, ClusterRules, ClusterUsers } from '@sluice/gateway/auth/cluster-access';
import type { EnhancedMethod } from '@sluice/gateway/auth/enhanced-method';
import { FlappingWatch } from '@sluice/gateway/auth/flapping-watch';
import { JwksClient } from '@sluice/gateway/auth/jwks-client';
import type { JwtKey } from '@sluice/gateway/auth/jwt-keys';
import { type JwtKeySource, JwtMethod } from '@sluice/gateway/auth/jwt-method';
import { PasswordGate } from '@sluice/gateway/auth/password-gate';
import { PasswordMethod } from '@sluice/gateway/auth/password-method';
import { PasswordTable } from '@sluice/gateway/auth/password-table';
import { RuleAuthorizer } from '@sluice/gateway/auth/rule-authorizer';
import { FileRules } from '@sluice/gateway/auth/scoped-rules';
import { ScramMethod, type ScramSource } from '@sluice/gateway/auth/scram-method';
import type { AccessTable } from '@sluice/meta/access/access-table';
import type { Access } from '../config/access-files.ts';
import type { ServerConfig } from '../config/config.ts';

/** Who may come in, and what they may do there. */
export interface Door {
  authenticator: Authenticator;
  enhanced: EnhancedMethod[];
  authorizer: RuleAuthorizer;
  /** What the files have now; who is connected is looked at again. */
  replace(access: Access): void;
  close(): void;
}

/**
 * The methods and rules that the configuration names, and what the cluster shares, in the order in which they are asked:
 * bans, certificate, users of the configuration, users of the cluster, tokens; rules of the cluster, then those of the file.
 */
export function doorOf(
  { auth, jwt, authorization, mqtt }: ServerConfig,
  access: AccessTable,
  parts: { clock: Clock; logger: Logger; ban: (clientId: string, reason: string, forMs: number) => void },
): Door {
  const gate = new PasswordGate();
  const bans = new Bans(access, parts.clock);
  const methods: AuthenticationMethod[] = [bans];
  const scram: ScramSource[] = [];
  const guards: AuthenticationMethod[] = [bans];
  if (auth.certificate !== null) {
    const certificate = new CertificateMethod(auth.certificate);
    methods.push(certificate);
    guards.push(certificate.guard);
  }
  // Users come and go with their file; whether there are any at all is decided by the configuration.
  const table = new PasswordTable(auth.users, gate);
  if (auth.users.length > 0) {
    methods.push(new PasswordMethod('password', table, gate));
    scram.push({ name: 'password', users: table });
  }
  if (auth.database) {
    const users = new ClusterUsers(access);
    methods.push(new PasswordMethod('database', users, gate));
    scram.push({ name: 'database', users });
  }
  const issuer =
    jwt === null || jwt.jwksUrl === null ? undefined : new JwksClient({ ...parts, ...jwt, url: jwt.jwksUrl });
  const tokenKeys = new TokenKeys(jwt?.keys ?? [], issuer);
  if (jwt !== null) methods.push(new JwtMethod(jwt, tokenKeys, parts));
  const rules = new FileRules(authorization.rules);
  const authorizer = new RuleAuthorizer({
    sources: [new ClusterRules(access), rules],
    noMatch: authorization.noMatch,
  });
  const chain = new AuthenticationChain(methods, { anonymous: auth.anonymous, guards });
  const { connectsMax, windowMs, banMs } = mqtt.flapping;
  const ban = (clientId: string): void => parts.ban(clientId, 'it came and went too often', banMs);
  return {
    authenticator:
      connectsMax === 0 ? chain : new FlappingWatch(chain, { connectsMax, windowMs, clock: parts.clock, ban }),
    enhanced: scram.length === 0 ? [] : [new ScramMethod(scram, guards)],
    authorizer,
    replace: (renewed) => {
      table.replace(renewed.users);
      tokenKeys.ofFiles = renewed.jwtKeys;
      rules.replace(renewed.rules);
      authorizer.changed();
    },
    close: () => issuer?.close(),
  };
}

/** Those of files, and those that an issuer publishes. */
class TokenKeys implements JwtKeySource {
  ofFiles: readonly JwtKey[];
  readonly #issuer: JwksClient | undefined;

  constructor(ofFiles: readonly JwtKey[], issuer: JwksClient | undefined) {
    this.ofFiles = ofFiles;
    this.#issuer = issuer;
  }

  get keys(): readonly JwtKey[] | undefined {
    if (this.#issuer === undefined) return this.ofFiles;
    if (this.ofFiles.length === 0) return this.#issuer.keys;
    return this.#issuer.keys === undefined ? this.ofFiles : [...this.ofFiles, ...this.#issuer.keys];
  }

  wanted(): void {
    this.#issuer?.wanted();
  }
}
