import type { Prng } from '@sluice/common/prng';
import type { DeliveryRef } from './delivery-ref.ts';
import type { DispatchStrategyName } from './dispatch-strategy.ts';
import type { ReturnCause } from './inflight.ts';

/** Above what any sane set of consumers gives back at once; a record waiting costs some 300 bytes. */
export const REDELIVERY_MAX = 4096;
/** As many of fresh ones that no consumer with room takes; behind them a queue waits as behind what is rejected. */
export const SET_ASIDE_MAX = 4096;

export interface DispatcherOptions {
  strategy: DispatchStrategyName;
  prng: Prng;
  /** How long a record rests before a consumer that rejected it, and is alone, gets it again. */
  redispatchIntervalMs: number;
  /** From so many waiting on, no fresh record is assigned. */
  redeliveryMax?: number;
  /** From so many set aside on, a fresh record that nobody with room takes waits where it is, and all behind it. */
  setAsideMax?: number;
  /** From so many bytes held on, a consumer is assigned nothing more, whatever its window. Default: no bound. */
  consumerBytesMax?: number;
}

/** Who gets which record; the caller's until the next call. */
export interface Assignment {
  consumerId: number;
  ref: DeliveryRef;
  /** Why it is handed out once more. */
  cause: ReturnCause;
}
