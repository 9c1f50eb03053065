import type { TlsMaterial } from '@sluice/gateway/listener/tls-material';
import type { ServerConfig } from '../config/config.ts';
import {
  type CertificateParts,
  type CertificatePem,
  type CertificateWording,
  readCertificate,
  WatchedCertificates,
} from './watched-certificates.ts';

/** The certificate that MQTT clients see on the TLS listeners, and whose certificates are asked of them. */
export type ListenerCertificates = WatchedCertificates<TlsMaterial>;

/** Undefined when no listener needs it. */
export async function openListenerCertificates(
  { node, listeners, tls }: ServerConfig,
  parts: CertificateParts,
): Promise<ListenerCertificates | undefined> {
  if (!node.roles.has('gateway') || (listeners.mqtts === null && listeners.wss === null)) return undefined;
  const { certificateFile, keyFile, clientCaFile, clientRevocationFile } = tls;
  // The configuration was refused otherwise.
  if (certificateFile === null || keyFile === null) return undefined;
  const [caFile, crlFile] = [clientCaFile ?? undefined, clientRevocationFile ?? undefined];
  const files = { certificateFile, keyFile, caFile, crlFile };
  return new WatchedCertificates(files, WORDING, materialOf, await readCertificate(files, WORDING), parts);
}

const WORDING: CertificateWording = {
  code: 'LISTENER_TLS',
  certificateKey: 'tls.certificateFile',
  keyKey: 'tls.keyFile',
  caKey: 'tls.clientCaFile',
  crlKey: 'tls.clientRevocationFile',
  purpose: 'of the MQTT listeners',
  whenExpired: 'clients refuse to connect',
  metric: 'sluice_gateway_certificate_not_after_seconds',
  metricHelp: 'When the certificate of the TLS listeners for MQTT expires, as seconds since 1970.',
  refusedMetric: 'sluice_gateway_certificate_refused',
  refusedHelp:
    '1 while renewed files of the certificate of the TLS listeners for MQTT, authorities and revocations included, cannot be used, and those of before stay in force.',
};

function materialOf({ cert, key, ca, crl }: CertificatePem): TlsMaterial {
  return { certificate: cert, key, clientCa: ca, clientRevocations: crl };
}
