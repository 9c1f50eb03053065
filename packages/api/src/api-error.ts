import type { Refusal, RefusalCode } from '@sluice/rpc/contract/queue-management';
import type { FieldProblem } from './field/field.ts';

/** Every answer that is not a success has this shape: `{"code", "message"}` as in EMQX, and a hint where there is one. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, message: string, hint = '') {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }

  body(): { code: string; message: string; hint?: string } {
    const { code, message, hint } = this;
    return hint === '' ? { code, message } : { code, message, hint };
  }
}

export const ERROR_SCHEMA = {
  $id: 'Error',
  type: 'object',
  required: ['code', 'message'],
  properties: {
    code: { type: 'string', description: 'Stable, for programs.', example: 'BAD_REQUEST' },
    message: {
      type: 'string',
      description: 'What is wrong, for people. Names the field and what is allowed.',
      example: '"local_max_inflight" must be a whole number between 1 and 65535, not 0',
    },
    hint: { type: 'string', description: 'What to do next, where there is something to say.' },
  },
};

export function badRequest(message: string, hint = ''): ApiError {
  return new ApiError(400, 'BAD_REQUEST', message, hint);
}

/** All that is wrong with a body in one message. */
export function badFields(problems: readonly FieldProblem[]): ApiError {
  const sentences = problems.map(({ path, message, standsAlone }) => {
    if (standsAlone) return message;
    return path === '' ? `The body ${message}` : `"${path}" ${message}`;
  });
  const hints = [...new Set(problems.map(({ hint }) => hint).filter((hint) => hint !== ''))];
  return badRequest(sentences.join('; '), hints.join('; '));
}

const STATUS_OF_REFUSAL: Readonly<Record<RefusalCode, [status: number, code: string]>> = {
  NOT_FOUND: [404, 'NOT_FOUND'],
  ALREADY_EXISTS: [400, 'ALREADY_EXISTS'],
  MAX_QUEUE_COUNT_REACHED: [400, 'MAX_QUEUE_COUNT_REACHED'],
  BAD_REQUEST: [400, 'BAD_REQUEST'],
  NOT_ENABLED: [503, 'SERVICE_UNAVAILABLE'],
  NOT_READY: [503, 'SERVICE_UNAVAILABLE'],
  TIMEOUT: [503, 'SERVICE_UNAVAILABLE'],
  UNAVAILABLE: [503, 'SERVICE_UNAVAILABLE'],
};

/** In the words of the owner; what is there already is a conflict, as in EMQX's calls about users and rules. */
export function ownRefusalError({ code, message, hint }: Refusal): ApiError {
  if (code === 'ALREADY_EXISTS') return new ApiError(409, code, message, hint);
  const [status, name] = STATUS_OF_REFUSAL[code];
  return new ApiError(status, name, message, hint);
}

/** Sentences that clients of EMQX compare with; the owner's own words go where there is no such sentence. */
const MESSAGE_OF_REFUSAL: Readonly<Partial<Record<RefusalCode, string>>> = {
  NOT_FOUND: 'Message queue not found',
  ALREADY_EXISTS: 'Message queue already exists',
  MAX_QUEUE_COUNT_REACHED: 'Max queue count reached',
  NOT_ENABLED: 'Not enabled',
  NOT_READY: 'Not ready',
};

export function refusalError(refusal: Refusal): ApiError {
  const [status, code] = STATUS_OF_REFUSAL[refusal.code];
  const message = MESSAGE_OF_REFUSAL[refusal.code] ?? refusal.message;
  const detail = message === refusal.message || refusal.message === '' ? '' : refusal.message;
  return new ApiError(status, code, message, [detail, refusal.hint].filter((text) => text !== '').join('. '));
}
