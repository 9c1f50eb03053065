import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { SluiceError } from '@sluice/common/errors';

const CODE = 'sluice-error';
const RETRIABLE = 'sluice-retriable';
const HINT_BYTES_MAX = 256;
const DETAILS_BYTES_MAX = 512;

/** A failure on its way to who asked. Its code travels beside the status, whose codes are gRPC's. */
export function statusOf(error: unknown, grpcCode: status): { code: status; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  if (error instanceof SluiceError) {
    metadata.set(CODE, ascii(error.code, HINT_BYTES_MAX));
    if (error.retriable) metadata.set(RETRIABLE, '1');
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: grpcCode, details: ascii(message, DETAILS_BYTES_MAX), metadata };
}

/** What gRPC reports, as the one kind of error that callers of a transport know. */
export function errorFrom(failure: ServiceError | StatusObject, what: string, usesTls = false): SluiceError {
  const code = failure.metadata?.get(CODE)[0];
  if (typeof code === 'string') {
    return new SluiceError(code, `${what}: ${failure.details}`, {
      retriable: failure.metadata.get(RETRIABLE).length > 0,
    });
  }
  if (failure.code === status.UNKNOWN) return new SluiceError('PEER_FAILED', `${what}: ${failure.details}`);
  const cause = causeOf(failure.details);
  if (CERTIFICATE.test(cause)) {
    return new SluiceError('PEER_CERTIFICATE', `${what}: its certificate is not accepted: ${cause}`, {
      retriable: true,
      hint: 'give that node a certificate of the authority in cluster.caFile that has not expired and names the host of its address',
    });
  }
  const message = WORDS.find(([pattern]) => pattern.test(cause))?.[1] ?? cause;
  if (usesTls && message === CLOSED) {
    return new SluiceError(HANDSHAKE_CLOSED, `${what}: ${message}: it may not accept the certificate of this node`, {
      retriable: true,
      hint: 'the log of that node says whether it does',
    });
  }
  return peerUnavailable(`${what}: ${message}`);
}

/**
 * With TLS 1.3 whoever connects is told of a certificate that is refused by the end of the connection alone, which may
 * as well be that of the process.
 */
export const HANDSHAKE_CLOSED = 'HANDSHAKE_CLOSED';

/** In words what gRPC wraps in its own, or in those of the system and of OpenSSL. */
const CLOSED = 'it closed the connection while it was made';
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'connection refused'],
  [/Name resolution failed|ENOTFOUND/, 'no such host'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no route to the host'],
  [/ETIMEDOUT|Deadline exceeded/i, 'no answer in time'],
  [/^Failed to connect/, CLOSED],
  [/before secure TLS connection/, 'it closed the connection during the TLS handshake: it may be without TLS'],
];
const CERTIFICATE = /certificate|altnames|self.signed/i;

function causeOf(details: string): string {
  return /Last error: (?:Error(?: \[\w+\])?: )?(.*?)\.? Resolution note:/s.exec(details)?.[1] ?? details;
}

export function peerUnavailable(message: string): SluiceError {
  return new SluiceError('PEER_UNAVAILABLE', message, {
    retriable: true,
    hint: 'the node is down, cut off, or starting',
  });
}

/** gRPC percent-encodes details and throws over half a surrogate pair; metadata must be ASCII. */
function ascii(text: string, lengthMax: number): string {
  return text.slice(0, lengthMax).replace(/[^\x20-\x7e]/g, '?');
}
