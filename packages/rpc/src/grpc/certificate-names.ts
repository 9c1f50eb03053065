import { checkServerIdentity, type PeerCertificate } from 'node:tls';

/**
 * Who a certificate speaks for. An authority says that somebody is of this installation; it does not say which node, and
 * one that may speak for any other could vote twice, or take over another's copies.
 *
 * Node ids are given out by the cluster, after certificates are made, so a certificate names what is known before: the
 * host of the node's address, as a server's certificate has to anyway (a subject alternative name, DNS or IP), or the
 * node's name (its common name, or another DNS name). A name stays when the node moves to another host.
 */
export class CertificateNames {
  readonly #certificate: PeerCertificate;

  constructor(certificate: PeerCertificate) {
    this.#certificate = certificate;
  }

  speaksFor({ address, name }: { address: string; name: string }): boolean {
    return this.#names(hostOf(address)) || this.#names(name);
  }

  toString(): string {
    const { subject, subjectaltname } = this.#certificate;
    return [subject?.CN, subjectaltname].filter((text) => text !== undefined).join(', ');
  }

  #names(host: string): boolean {
    if (host === '') return false;
    return this.#certificate.subject?.CN === host || checkServerIdentity(host, this.#certificate) === undefined;
  }
}

/** Of `host:port`, without the brackets of IPv6. */
export function hostOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf(':'))).replace(/^\[|\]$/g, '');
}
