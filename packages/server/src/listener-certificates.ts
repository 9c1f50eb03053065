import type { TlsMaterial } from '@sluice/gateway/listener/tls-material';
import type { ServerConfig } from './config/config.ts';
import {
  type CertificateParts,
  type CertificatePem,
  type CertificateWording,
  readCertificate,
  WatchedCertificates,
} from './watched-certificates.ts';

/** The certificate that MQTT clients see on the TLS listeners, and whose certificates are asked of them. */
export class ListenerCertificates {
  readonly #watched: WatchedCertificates;

  /** Undefined when no listener needs it. */
  static async open(config: ServerConfig, parts: CertificateParts): Promise<ListenerCertificates | undefined> {
    const { node, listeners, tls } = config;
    if (!node.roles.has('gateway') || (listeners.mqtts === null && listeners.wss === null)) return undefined;
    const { certificateFile, keyFile, clientCaFile } = tls;
    // The configuration was refused otherwise.
    if (certificateFile === null || keyFile === null) return undefined;
    const files = { certificateFile, keyFile, caFile: clientCaFile ?? undefined };
    return new ListenerCertificates(
      new WatchedCertificates(files, WORDING, await readCertificate(files, WORDING), parts),
    );
  }

  private constructor(watched: WatchedCertificates) {
    this.#watched = watched;
  }

  get material(): TlsMaterial {
    return materialOf(this.#watched.pem);
  }

  /** `renewed` is called with what connections from then on are served with. */
  watch(renewed: (tls: TlsMaterial) => void): void {
    this.#watched.watch((pem) => renewed(materialOf(pem)));
  }

  close(): void {
    this.#watched.close();
  }
}

const WORDING: CertificateWording = {
  code: 'LISTENER_TLS',
  certificateKey: 'tls.certificateFile',
  keyKey: 'tls.keyFile',
  caKey: 'tls.clientCaFile',
  purpose: 'of the MQTT listeners',
  whenExpired: 'clients refuse to connect',
  metric: 'sluice_gateway_certificate_not_after_seconds',
  metricHelp: 'When the certificate of the TLS listeners for MQTT expires, as seconds since 1970.',
};

function materialOf({ cert, key, ca }: CertificatePem): TlsMaterial {
  return { certificate: cert, key, clientCa: ca };
}
