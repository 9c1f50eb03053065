import type { PeerCertificate as NodeCertificate, SecureContextOptions } from 'node:tls';
import type { PeerCertificate } from '../connection/byte-channel.ts';

/** What TLS listeners show and ask for; a newer one serves connections from then on. */
export interface TlsMaterial {
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** Authorities of client certificates; undefined asks for none. */
  readonly clientCa: Buffer | undefined;
  /** What those authorities have taken back; undefined: nobody asks. */
  readonly clientRevocations?: Buffer | undefined;
}

export function secureContextOptions(material: TlsMaterial): SecureContextOptions {
  const { certificate, key, clientCa, clientRevocations } = material;
  return {
    cert: certificate,
    key,
    ...(clientCa === undefined ? {} : { ca: clientCa }),
    ...(clientRevocations === undefined ? {} : { crl: clientRevocations }),
    minVersion: 'TLSv1.2',
  };
}

/**
 * The names in a client's certificate. A name is what somebody will be taken for, so whatever could be read in two ways
 * is not read: several common names, alternative names with quotes (how a comma within a name is written), NUL.
 */
export function namesOf(certificate: NodeCertificate): PeerCertificate {
  const { CN } = (certificate.subject ?? {}) as { CN?: unknown };
  const text = certificate.subjectaltname ?? '';
  const entries = text.includes('"') ? [] : text.split(', ');
  const of = (kind: string): string[] =>
    entries
      .filter((entry) => entry.startsWith(kind))
      .map((entry) => entry.slice(kind.length))
      .filter(isName);
  return {
    commonName: typeof CN === 'string' && isName(CN) ? CN : undefined,
    dns: of('DNS:'),
    emails: of('email:'),
    uris: of('URI:'),
  };
}

function isName(text: string): boolean {
  return text !== '' && !text.includes('\0');
}
