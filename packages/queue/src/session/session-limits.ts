/** A session's row is rewritten with each change of its subscriptions; beyond these it takes no more. */
export const KEPT_SUBSCRIPTIONS_MAX = 1_000;
export const KEPT_FILTER_BYTES_MAX = 128 * 1024;
