import { X509Certificate } from 'node:crypto';
import { checkServerIdentity } from 'node:tls';
import { SluiceError } from '@sluice/common/errors';
import { CertificateNames, hostOf } from '@sluice/rpc/grpc/certificate-names';
import type { TlsFiles } from '@sluice/rpc/grpc/tls-files';
import type { ClusterTlsFiles } from '../config/config.ts';
import {
  type CertificateParts,
  type CertificatePem,
  type CertificateWording,
  readCertificate,
  WatchedCertificates,
} from './watched-certificates.ts';

/**
 * The certificate this node shows to others, and the authority whose certificates it accepts. What others would refuse
 * anyway is refused here, at start.
 */
export class ClusterCertificates extends WatchedCertificates<TlsFiles> {
  readonly #certificateFile: string;

  static async open(files: ClusterTlsFiles, parts: CertificateParts): Promise<ClusterCertificates> {
    return new ClusterCertificates(files, await readCertificate(files, WORDING), parts);
  }

  private constructor(files: ClusterTlsFiles, pem: CertificatePem, parts: CertificateParts) {
    super(files, WORDING, tlsFilesOf, pem, parts);
    this.#certificateFile = files.certificateFile;
  }

  /** Others connect to that address, and compare the certificate with its host, or with the name they know the node by. */
  mustName({ address, name }: { address: string; name: string }): void {
    const host = hostOf(address);
    const certificate = new X509Certificate(this.current.cert).toLegacyObject();
    const problem = checkServerIdentity(host, certificate);
    if (problem === undefined || new CertificateNames(certificate).speaksFor({ address: '', name })) return;
    throw new SluiceError(
      WORDING.code,
      `cluster.certificateFile = "${this.#certificateFile}" does not name ${host}, where others reach this node: ${problem.message}`,
      {
        hint: 'issue it with that host, or with node.name, as a subject alternative name (DNS or IP), or correct node.advertise',
      },
    );
  }
}

const WORDING: CertificateWording = {
  code: 'CLUSTER_TLS',
  certificateKey: 'cluster.certificateFile',
  keyKey: 'cluster.keyFile',
  caKey: 'cluster.caFile',
  purpose: 'for traffic between nodes',
  whenExpired: 'other nodes refuse this one',
  metric: 'sluice_rpc_certificate_not_after_seconds',
  metricHelp: 'When the certificate of this node for traffic between nodes expires, as seconds since 1970.',
  refusedMetric: 'sluice_rpc_certificate_refused',
  refusedHelp:
    '1 while renewed files of the certificate for traffic between nodes cannot be used, and those of before stay in force.',
};

/** Between nodes there is always an authority. */
function tlsFilesOf({ cert, key, ca }: CertificatePem): TlsFiles {
  return { cert, key, ca: ca ?? cert };
}
