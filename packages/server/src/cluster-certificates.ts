import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import type { Clock } from '@sluice/common/clock';
import { SluiceError, withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Gauge, Metrics } from '@sluice/common/metrics';
import { hostOf } from '@sluice/rpc/grpc/certificate-names';
import type { TlsFiles } from '@sluice/rpc/grpc/tls-files';
import type { ClusterTlsFiles } from './config/config.ts';

/** Files are looked at this often: a Kubernetes secret or a renewing agent replaces them while the node runs. */
const LOOK_MS = 10_000;
const DAY_MS = 24 * 3_600_000;
/** From then on it is said once a day. */
const EXPIRES_SOON_MS = 7 * DAY_MS;

/**
 * The certificate this node shows to others, and the authority whose certificates it accepts. What others would refuse
 * anyway is refused here, at start, where somebody looks. Renewed files are taken for new connections without a restart;
 * those that cannot be used leave the old ones in force, and the log says why.
 */
export class ClusterCertificates {
  readonly #files: ClusterTlsFiles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #notAfter: Gauge;
  #tls: TlsFiles;
  #timer: NodeJS.Timeout | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;
  #refused = '';

  static async open(
    files: ClusterTlsFiles,
    parts: { clock: Clock; logger: Logger; metrics: Metrics },
  ): Promise<ClusterCertificates> {
    return new ClusterCertificates(files, await read(files), parts);
  }

  private constructor(
    files: ClusterTlsFiles,
    tls: TlsFiles,
    { clock, logger, metrics }: { clock: Clock; logger: Logger; metrics: Metrics },
  ) {
    this.#files = files;
    this.#tls = tls;
    this.#clock = clock;
    this.#logger = logger;
    this.#notAfter = metrics.gauge(
      'sluice_rpc_certificate_not_after_seconds',
      'When the certificate of this node for traffic between nodes expires, as seconds since 1970.',
    );
    this.#lookAtAge();
  }

  get tls(): TlsFiles {
    return this.#tls;
  }

  /** Others connect to that address, and compare the certificate with its host. */
  mustName(address: string): void {
    const host = hostOf(address);
    const problem = checkServerIdentity(host, new X509Certificate(this.#tls.cert).toLegacyObject());
    if (problem === undefined) return;
    throw new SluiceError(
      'CLUSTER_TLS',
      `cluster.certificateFile = "${this.#files.certificateFile}" does not name ${host}, where others reach this node: ${problem.message}`,
      { hint: 'issue it with that host as a subject alternative name (DNS or IP), or correct node.advertise' },
    );
  }

  /** `renewed` is called with what connections from then on use. */
  watch(renewed: (tls: TlsFiles) => void): void {
    this.#timer = setInterval(() => void this.look(renewed), LOOK_MS);
    this.#timer.unref();
  }

  async look(renewed: (tls: TlsFiles) => void): Promise<void> {
    try {
      const tls = await read(this.#files);
      if (!isSame(tls, this.#tls)) {
        this.#tls = tls;
        this.#toldMs = Number.NEGATIVE_INFINITY;
        renewed(tls);
        const notAfter = new Date(expiresAtMs(tls)).toISOString();
        this.#logger.info({ notAfter }, 'the certificate for traffic between nodes was renewed');
      }
      this.#refused = '';
    } catch (cause) {
      const reason = withHint(cause as Error);
      // Said once for each reason: files are replaced one after the other, and the next look finds them all.
      if (reason !== this.#refused)
        this.#logger.warn({ reason }, 'a renewed certificate cannot be used: the old one stays');
      this.#refused = reason;
    }
    this.#lookAtAge();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #lookAtAge(): void {
    const untilMs = expiresAtMs(this.#tls);
    this.#notAfter.set(Math.floor(untilMs / 1_000));
    const nowMs = this.#clock.nowMs();
    if (untilMs - nowMs > EXPIRES_SOON_MS || nowMs - this.#toldMs < DAY_MS) return;
    this.#toldMs = nowMs;
    const fields = {
      notAfter: new Date(untilMs).toISOString(),
      hint: `renew ${this.#files.certificateFile}: it is read again while the node runs`,
    };
    if (untilMs > nowMs) this.#logger.warn(fields, 'the certificate for traffic between nodes expires soon');
    else
      this.#logger.error(fields, 'the certificate for traffic between nodes has expired: other nodes refuse this one');
  }
}

async function read({ caFile, certificateFile, keyFile }: ClusterTlsFiles): Promise<TlsFiles> {
  const tls = {
    ca: await readPem(caFile, 'cluster.caFile'),
    cert: await readPem(certificateFile, 'cluster.certificateFile'),
    key: await readPem(keyFile, 'cluster.keyFile'),
  };
  for (const [path, key, pem] of [
    [caFile, 'cluster.caFile', tls.ca],
    [certificateFile, 'cluster.certificateFile', tls.cert],
  ] as const) {
    usable(() => new X509Certificate(pem), `${key} = "${path}" holds no certificate`);
  }
  usable(() => createSecureContext(tls), `cluster.keyFile = "${keyFile}" is not the key of "${certificateFile}"`);
  return tls;
}

async function readPem(path: string, key: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new SluiceError('CLUSTER_TLS', `${key} = "${path}" cannot be read: ${(cause as Error).message}`, {
      hint: 'name a PEM file that this user may read',
      cause,
    });
  }
}

function usable(attempt: () => unknown, message: string): void {
  try {
    attempt();
  } catch (cause) {
    throw new SluiceError('CLUSTER_TLS', `${message}: ${(cause as Error).message}`, {
      hint: 'name PEM files that belong together',
      cause,
    });
  }
}

function expiresAtMs({ cert }: TlsFiles): number {
  return Date.parse(new X509Certificate(cert).validTo);
}

function isSame(a: TlsFiles, b: TlsFiles): boolean {
  return a.ca.equals(b.ca) && a.cert.equals(b.cert) && a.key.equals(b.key);
}
