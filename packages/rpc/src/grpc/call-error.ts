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
export function errorFrom(failure: ServiceError | StatusObject, what: string): SluiceError {
  const code = failure.metadata?.get(CODE)[0];
  if (typeof code === 'string') {
    return new SluiceError(code, `${what}: ${failure.details}`, {
      retriable: failure.metadata.get(RETRIABLE).length > 0,
    });
  }
  if (failure.code === status.UNKNOWN) return new SluiceError('PEER_FAILED', `${what}: ${failure.details}`);
  return peerUnavailable(`${what}: ${failure.details}`);
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
