/**
 * Microseconds of the machine's monotonic clock: processes on one machine agree on it, so a message may be stamped in
 * one and read in another. `performance.now()` starts anew in every process and `hrtime` makes an object a call; the
 * difference of the two is taken once.
 */
const ORIGIN_US = Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000;

export function nowUs(): number {
  return ORIGIN_US + performance.now() * 1000;
}
