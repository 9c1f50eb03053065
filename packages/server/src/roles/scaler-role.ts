import { systemClock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { QueueManagement } from '@sluice/rpc/contract/queue-management';
import type { ScalerTls } from '@sluice/scaler/scaler-listener';
import { type CertificateWording, readCertificate, WatchedCertificates } from '../certificates/watched-certificates.ts';
import type { Address } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';

/** The port an autoscaler asks, with the address it got. */
export interface ScalerRole {
  readonly address: Address;
  stop(): Promise<void>;
}

/** Undefined when the listener is off. Any node may have it: what it says comes from the leaders of the queues. */
export async function openScaler(
  config: ServerConfig,
  parts: { queues: QueueManagement; metrics: Metrics; logger: Logger },
): Promise<ScalerRole | undefined> {
  const { listeners, scaler } = config;
  if (listeners.scaler === null) return undefined;
  const certificates = scaler.tls ? await openCertificates(config, parts) : undefined;
  // gRPC's server is loaded only where it is used.
  const { ScalerListener } = await import('@sluice/scaler/scaler-listener');
  const { queues, metrics } = parts;
  const listener = new ScalerListener({ queues, metrics, clock: systemClock, tls: certificates?.current });
  certificates?.watch((renewed) => listener.setTls(renewed));
  const { host } = listeners.scaler;
  const port = await listener.listen(host, listeners.scaler.port);
  return {
    address: { host, port },
    stop: async () => {
      certificates?.close();
      await listener.close();
    },
  };
}

async function openCertificates(
  { tls }: ServerConfig,
  { metrics, logger }: { metrics: Metrics; logger: Logger },
): Promise<WatchedCertificates<ScalerTls> | undefined> {
  const { certificateFile, keyFile, clientCaFile, clientRevocationFile } = tls;
  // The configuration was refused otherwise.
  if (certificateFile === null || keyFile === null) return undefined;
  const [caFile, crlFile] = [clientCaFile ?? undefined, clientRevocationFile ?? undefined];
  const files = { certificateFile, keyFile, caFile, crlFile };
  const pem = await readCertificate(files, WORDING);
  return new WatchedCertificates(files, WORDING, (read) => read, pem, { clock: systemClock, logger, metrics });
}

const WORDING: CertificateWording = {
  code: 'LISTENER_TLS',
  certificateKey: 'tls.certificateFile',
  keyKey: 'tls.keyFile',
  caKey: 'tls.clientCaFile',
  crlKey: 'tls.clientRevocationFile',
  purpose: 'of the autoscaler’s port',
  whenExpired: 'it is not asked any more',
  metric: 'sluice_scaler_certificate_not_after_seconds',
  metricHelp: 'When the certificate of the autoscaler’s port expires, as seconds since 1970.',
  refusedMetric: 'sluice_scaler_certificate_refused',
  refusedHelp:
    '1 while renewed files of the certificate of the autoscaler’s port cannot be used, and those of before stay in force.',
};
