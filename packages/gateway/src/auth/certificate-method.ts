import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { PeerCertificate } from '../connection/byte-channel.ts';
import type { AuthenticationMethod, MethodOutcome } from './authentication-chain.ts';
import type { AuthenticationOutcome, AuthenticationRequest } from './authenticator.ts';

export interface CertificateMapping {
  /** What the certificate proves: its holder's user name, or the client id that it may use and no other. */
  readonly as: 'username' | 'clientId';
  /** Which of its names is meant. */
  readonly name: 'commonName' | 'dns' | 'email' | 'uri';
  /** It pins the name, and the next methods are asked as well. */
  readonly withPassword: boolean;
}

/**
 * Who somebody is by the certificate that TLS has verified. A connection without one (of another listener) is left to
 * the next method. Of several names of the kind that is asked for, none is taken.
 */
export class CertificateMethod implements AuthenticationMethod {
  readonly name = 'certificate';
  readonly #mapping: CertificateMapping;

  constructor(mapping: CertificateMapping) {
    this.#mapping = mapping;
  }

  authenticate({ certificate, username, clientId }: AuthenticationRequest): MethodOutcome {
    if (certificate === undefined) return 'unknown';
    const { as, withPassword } = this.#mapping;
    const name = this.#nameIn(certificate);
    if (name === undefined) return REFUSED;
    // No user name has a NUL: who is known by a client id is no user's other self.
    if (as === 'clientId') {
      if (clientId !== name) return REFUSED;
      return withPassword ? 'unknown' : { ...ADMITTED, identity: `\0certificate of ${name}`, user: null };
    }
    if (username !== undefined && username !== name) return REFUSED;
    if (withPassword) return username === undefined ? REFUSED : 'unknown';
    return { ...ADMITTED, identity: name, user: name };
  }

  /** For proofs that are no methods of the chain: whoever they admit must be whom the certificate names, too. */
  get guard(): AuthenticationMethod {
    return {
      name: this.name,
      authenticate: (request) => {
        const outcome = this.authenticate(request);
        return outcome !== 'unknown' && outcome.reasonCode === ReasonCode.SUCCESS ? 'unknown' : outcome;
      },
    };
  }

  #nameIn({ commonName, dns, emails, uris }: PeerCertificate): string | undefined {
    switch (this.#mapping.name) {
      case 'commonName':
        return commonName;
      case 'dns':
        return only(dns);
      case 'email':
        return only(emails);
      case 'uri':
        return only(uris);
    }
  }
}

const ADMITTED = { reasonCode: ReasonCode.SUCCESS };
const REFUSED: AuthenticationOutcome = { reasonCode: ReasonCode.NOT_AUTHORIZED, identity: undefined };

function only(names: readonly string[]): string | undefined {
  return names.length === 1 ? names[0] : undefined;
}
