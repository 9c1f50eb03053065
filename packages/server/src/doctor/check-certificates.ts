import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { humanizeDuration } from '@sluice/common/human-duration';
import type { ServerConfig } from '../config/config.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

const SOON_MS = 21 * 24 * 3_600_000;

/** The certificates that are configured: whether they can be read, go with their keys, are of the authority, and last. */
export async function checkCertificates({ tls, cluster }: ServerConfig, nowMs: number): Promise<Finding[]> {
  const pairs = [
    { about: 'tls', certificateFile: tls.certificateFile, keyFile: tls.keyFile },
    {
      about: 'cluster tls',
      certificateFile: cluster.tls?.certificateFile ?? null,
      keyFile: cluster.tls?.keyFile ?? null,
    },
  ];
  const findings: Finding[] = [];
  for (const { about, certificateFile, keyFile } of pairs) {
    if (certificateFile !== null && keyFile !== null)
      findings.push(await checkPair(about, certificateFile, keyFile, nowMs));
  }
  // Only where the files can be read at all.
  if (cluster.tls !== null && findings.at(-1)?.severity !== 'failure') {
    const { caFile, certificateFile } = cluster.tls;
    const problem = await authorityProblem(caFile, certificateFile);
    if (problem !== undefined)
      findings.push(
        failure('cluster tls', problem, 'Other nodes refuse it: issue it by the authority that all of them have'),
      );
  }
  return findings;
}

/** Whether whoever has these authorities accepts the certificate, over those that stand behind it in its file. */
async function authorityProblem(caFile: string, certificateFile: string): Promise<string | undefined> {
  try {
    const authorities = certificatesIn(await readFile(caFile, 'utf8'));
    if (authorities.length === 0) return `${caFile} holds no certificate`;
    const chain = certificatesIn(await readFile(certificateFile, 'utf8'));
    const isSigned = (by: X509Certificate, what: X509Certificate): boolean =>
      what.checkIssued(by) && what.verify(by.publicKey);
    let last = chain.shift() as X509Certificate;
    for (;;) {
      if (authorities.some((authority) => isSigned(authority, last))) return undefined;
      const next = chain.findIndex((link) => isSigned(link, last));
      if (next < 0) return `${certificateFile} is not of the authority in ${caFile}`;
      [last] = chain.splice(next, 1) as [X509Certificate];
    }
  } catch (cause) {
    return `${caFile} cannot be used: ${(cause as Error).message}`;
  }
}

function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (text) => new X509Certificate(text),
  );
}

async function checkPair(about: string, certificateFile: string, keyFile: string, nowMs: number): Promise<Finding> {
  try {
    const [cert, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)]);
    createSecureContext({ cert, key });
    const { validTo, validFrom } = new X509Certificate(cert);
    const leftMs = Date.parse(validTo) - nowMs;
    if (Date.parse(validFrom) > nowMs)
      return failure(about, `${certificateFile} is not valid before ${validFrom}`, 'Check the clock of this machine');
    if (leftMs < 0)
      return failure(about, `${certificateFile} expired on ${validTo}`, 'Renew it: a running node reads it again');
    // By the hour at the end: "in 0 days" would be any of 24.
    const left = humanizeDuration(leftMs);
    if (leftMs < SOON_MS)
      return warning(about, `${certificateFile} expires in ${left}`, 'Renew it: a running node reads it again');
    return ok(about, `${certificateFile} is valid for ${left}`);
  } catch (cause) {
    return failure(
      about,
      `${certificateFile} and ${keyFile} cannot be used: ${(cause as Error).message}`,
      'Name PEM files that belong together and that this user may read',
    );
  }
}
