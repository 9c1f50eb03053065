import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Clock } from '@sluice/common/clock';
import { SluiceError, withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Gauge, Metrics } from '@sluice/common/metrics';

/** Files are looked at this often: a Kubernetes secret or a renewing agent replaces them while the node runs. */
const LOOK_MS = 10_000;
const DAY_MS = 24 * 3_600_000;
/** From then on it is said once a day. */
const EXPIRES_SOON_MS = 7 * DAY_MS;

export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Authorities of the other side; undefined asks it for nothing. */
  readonly caFile: string | undefined;
  /** What they have taken back. */
  readonly crlFile?: string | undefined;
}

/** What messages and metrics call it. */
export interface CertificateWording {
  readonly code: string;
  readonly certificateKey: string;
  readonly keyKey: string;
  readonly caKey: string;
  readonly crlKey?: string;
  /** Behind "the certificate ". */
  readonly purpose: string;
  readonly whenExpired: string;
  readonly metric: string;
  readonly metricHelp: string;
  /** 1 while renewed files cannot be used. */
  readonly refusedMetric: string;
  readonly refusedHelp: string;
}

/** PEM, as read from the files. */
export interface CertificatePem {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
  readonly crl: Buffer | undefined;
}

export interface CertificateParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * A certificate, its key and the authority of the other side, in files. What could not work is refused at the start, where
 * somebody looks. Renewed files are taken for new connections without a restart; those that cannot be used leave the old
 * ones in force, and the log says why. Whoever uses them has them in the shape it needs.
 */
export class WatchedCertificates<T> {
  readonly #files: CertificateFiles;
  readonly #wording: CertificateWording;
  readonly #shape: (pem: CertificatePem) => T;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #notAfter: Gauge;
  readonly #isRefused: Gauge;
  #pem: CertificatePem;
  #timer: NodeJS.Timeout | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;
  #refused = '';

  /** @param pem `readCertificate` of the same files. */
  constructor(
    files: CertificateFiles,
    wording: CertificateWording,
    shape: (pem: CertificatePem) => T,
    pem: CertificatePem,
    { clock, logger, metrics }: CertificateParts,
  ) {
    this.#files = files;
    this.#wording = wording;
    this.#shape = shape;
    this.#pem = pem;
    this.#clock = clock;
    this.#logger = logger;
    this.#notAfter = metrics.gauge(wording.metric, wording.metricHelp);
    this.#isRefused = metrics.gauge(wording.refusedMetric, wording.refusedHelp);
    this.#lookAtAge();
  }

  get current(): T {
    return this.#shape(this.#pem);
  }

  /** `renewed` is called with what connections from then on use. */
  watch(renewed: (now: T) => void): void {
    this.#timer = setInterval(() => void this.look(renewed), LOOK_MS);
    this.#timer.unref();
  }

  async look(renewed: (now: T) => void): Promise<void> {
    try {
      const pem = await readCertificate(this.#files, this.#wording);
      if (!isSame(pem, this.#pem)) {
        renewed(this.#shape(pem));
        this.#pem = pem;
        this.#toldMs = Number.NEGATIVE_INFINITY;
        const notAfter = new Date(expiresAtMs(pem)).toISOString();
        this.#logger.info({ notAfter }, `the certificate ${this.#wording.purpose} was renewed`);
      }
      this.#refused = '';
      this.#isRefused.set(0);
    } catch (cause) {
      const reason = withHint(cause as Error);
      // Said once for each reason: files are replaced one after the other, and the next look finds them all.
      if (reason !== this.#refused)
        this.#logger.warn({ reason }, 'a renewed certificate cannot be used: the old one stays');
      this.#refused = reason;
      this.#isRefused.set(1);
    }
    this.#lookAtAge();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #lookAtAge(): void {
    const untilMs = expiresAtMs(this.#pem);
    this.#notAfter.set(Math.floor(untilMs / 1_000));
    const nowMs = this.#clock.nowMs();
    if (untilMs - nowMs > EXPIRES_SOON_MS || nowMs - this.#toldMs < DAY_MS) return;
    this.#toldMs = nowMs;
    const fields = {
      notAfter: new Date(untilMs).toISOString(),
      hint: `renew ${this.#files.certificateFile}: it is read again while the node runs`,
    };
    const { purpose, whenExpired } = this.#wording;
    if (untilMs > nowMs) this.#logger.warn(fields, `the certificate ${purpose} expires soon`);
    else this.#logger.error(fields, `the certificate ${purpose} has expired: ${whenExpired}`);
  }
}

/** @throws SluiceError with the wording's code when the files do not belong together, or one cannot be read. */
export async function readCertificate(files: CertificateFiles, wording: CertificateWording): Promise<CertificatePem> {
  const { caFile, certificateFile, crlFile, keyFile } = files;
  const { code, caKey, certificateKey, crlKey = '', keyKey } = wording;
  const ca = caFile === undefined ? undefined : await readPem(caFile, caKey, code);
  const crl = crlFile === undefined ? undefined : await readPem(crlFile, crlKey, code);
  const cert = await readPem(certificateFile, certificateKey, code);
  const key = await readPem(keyFile, keyKey, code);
  if (ca !== undefined) usable(code, () => new X509Certificate(ca), `${caKey} = "${caFile}" holds no certificate`);
  usable(code, () => new X509Certificate(cert), `${certificateKey} = "${certificateFile}" holds no certificate`);
  usable(
    code,
    () => createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) }),
    `${keyKey} = "${keyFile}" is not the key of "${certificateFile}"`,
  );
  if (crl !== undefined) usable(code, () => mustHoldLists(crl), `${crlKey} = "${crlFile}" holds no revocation list`);
  return { cert, key, ca, crl };
}

/** An empty file would revoke nothing. */
function mustHoldLists(crl: Buffer): void {
  if (!crl.includes('-----BEGIN X509 CRL-----')) throw new Error('not PEM');
  createSecureContext({ crl });
}

async function readPem(path: string, key: string, code: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new SluiceError(code, `${key} = "${path}" cannot be read: ${(cause as Error).message}`, {
      hint: 'name a PEM file that this user may read',
      cause,
    });
  }
}

function usable(code: string, attempt: () => unknown, message: string): void {
  try {
    attempt();
  } catch (cause) {
    throw new SluiceError(code, `${message}: ${(cause as Error).message}`, {
      hint: 'name PEM files that belong together',
      cause,
    });
  }
}

function expiresAtMs({ cert }: CertificatePem): number {
  return Date.parse(new X509Certificate(cert).validTo);
}

function isSame(a: CertificatePem, b: CertificatePem): boolean {
  return isEqual(a.ca, b.ca) && isEqual(a.crl, b.crl) && a.cert.equals(b.cert) && a.key.equals(b.key);
}

function isEqual(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}
