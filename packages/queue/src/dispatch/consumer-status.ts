/**
 * How the consumers of a queue stand to its backlog, in the order of how bad it is. Said by pages of metrics, the API and
 * the command line alike, so it is decided in one place; whoever asks brings the figures.
 */
export const CONSUMER_STATUSES = ['ok', 'falling_behind', 'stalled', 'no_consumers'] as const;
export type ConsumerStatus = (typeof CONSUMER_STATUSES)[number];

/** Nothing acknowledged for so long, and for so many times what a job takes: nobody works. */
const STALLED_SECONDS = 60;
const STALLED_JOBS = 5;
/** Younger than this share of the objective, a backlog is no trouble, whatever its trend. */
const TROUBLE_SHARE = 0.1;

export interface Standing {
  readonly depth: number;
  readonly consumers: number;
  /** Of the oldest record that is not settled. */
  readonly ageSeconds: number;
  /** Since an acknowledgement was last seen, or since anybody looks. */
  readonly quietSeconds: number;
  /** From delivery to acknowledgement, in the mean; 0: unknown. */
  readonly jobSeconds: number;
  /** As `drainSeconds` says. */
  readonly drainSeconds: number;
  /** How old a record may become before its consumers are too slow. */
  readonly objectiveSeconds: number;
}

export function consumerStatus(standing: Standing): ConsumerStatus {
  const { depth, consumers, ageSeconds, quietSeconds, jobSeconds, objectiveSeconds } = standing;
  if (depth === 0) return 'ok';
  if (consumers === 0) return 'no_consumers';
  const stalledSeconds = Math.max(STALLED_SECONDS, STALLED_JOBS * jobSeconds);
  if (Math.min(quietSeconds, ageSeconds) >= stalledSeconds) return 'stalled';
  const isOld = ageSeconds >= objectiveSeconds * TROUBLE_SHARE;
  return isOld && standing.drainSeconds === Number.POSITIVE_INFINITY ? 'falling_behind' : 'ok';
}

/**
 * Until nothing is left, at the present pace in records a second; infinite when it does not shrink, NaN while either pace
 * is unknown.
 */
export function drainSeconds(depth: number, published: number | undefined, gone: number | undefined): number {
  if (depth === 0) return 0;
  if (published === undefined || gone === undefined) return Number.NaN;
  return gone > published ? depth / (gone - published) : Number.POSITIVE_INFINITY;
}
