import type { SessionsRequest } from '@sluice/rpc/contract/sessions';

/**
 * Opens that are over here, and of which a copy may be on its way still: nobody answered in time, or two stores were asked. A
 * store whose connection stood still may apply one long after the client has gone, for a connection that nobody has: it would
 * take the session from whoever has it, and leave a will that fires although its client has taken it back. Only the answer
 * that comes then tells, so what is needed to undo it is remembered until the oldest of too many.
 */
export class LateOpens {
  readonly #byRequest = new Map<number, LateOpen>();

  /** Some hundred bytes each, and the client id. */
  static readonly REMEMBERED_MAX = 4_096;

  get size(): number {
    return this.#byRequest.size;
  }

  /** `epoch`: of the answer that counted; 0: there was none, or nothing is kept. */
  remember({ requestId, partition, clientId, expiryS }: OpenRequest, epoch: number): void {
    this.#byRequest.set(requestId, { partition, clientId, expiryS, epoch });
    if (this.#byRequest.size <= LateOpens.REMEMBERED_MAX) return;
    const [oldest] = this.#byRequest.keys();
    this.#byRequest.delete(oldest as number);
  }

  /** What such an answer has begun, and nobody has; undefined: nothing. */
  begunBy(requestId: number, epoch: number): LateOpen | undefined {
    const late = this.#byRequest.get(requestId);
    if (late === undefined || epoch === 0 || epoch === late.epoch) return undefined;
    return { ...late, epoch };
  }
}

export type OpenRequest = Extract<SessionsRequest, { type: 'open' }>;

export interface LateOpen {
  readonly partition: number;
  readonly clientId: string;
  readonly expiryS: number;
  readonly epoch: number;
}
