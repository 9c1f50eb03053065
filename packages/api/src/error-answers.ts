import type { Logger } from '@sluice/common/logger';
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError, badRequest } from './api-error.ts';
import { BODY_BYTES_MAX } from './request-body.ts';

/** Whatever goes wrong becomes `{"code", "message"}`; what is our fault is logged and not shown. */
export function addErrorHandlers(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error, request, reply) => {
    const answer = errorAnswer(error, request);
    if (answer === undefined) {
      logger.error({ err: error, method: request.method, path: request.url }, 'request failed');
      return reply.code(500).send({ code: 'INTERNAL_ERROR', message: 'The server failed to answer; its log says why' });
    }
    if (answer.status === 401) reply.header('www-authenticate', 'Basic realm="Sluice"');
    return reply.code(answer.status).send(answer.body());
  });
}

export function errorAnswer(error: unknown, request: FastifyRequest): ApiError | undefined {
  if (error instanceof ApiError) return error;
  const { code, statusCode } = error as FastifyError;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ApiError(413, 'BODY_TOO_LARGE', `The body is larger than ${BODY_BYTES_MAX} bytes`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ApiError(
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        `The body must be sent as "application/json", not "${String(request.headers['content-type'] ?? 'unnamed').slice(0, 80)}"`,
        "With curl: -H 'content-type: application/json'",
      );
    case 'FST_ERR_BAD_URL':
      return badRequest(
        'The path is not a valid URL',
        'Percent-encode names and filters: # is %23, / is %2F, + is %2B',
      );
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return badRequest('The body’s size does not match its Content-Length');
    default:
      return statusCode !== undefined && statusCode >= 400 && statusCode < 500
        ? new ApiError(statusCode, 'BAD_REQUEST', 'The request cannot be read')
        : undefined;
  }
}
