/**
 * Microseconds of the machine's monotonic clock: processes on one machine agree on it, so a message may be stamped in
 * one and read in another. `performance.now()` starts anew in every process and `hrtime` makes an object a call, so the
 * difference of the two is taken once. A process that loses its turn between the two readings would find it too small,
 * by milliseconds on a busy machine; of many readings the largest is right.
 */
const READINGS = 200;

function difference(): number {
  let largestUs = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < READINGS; i++) {
    const first = Number(process.hrtime.bigint()) / 1000;
    largestUs = Math.max(largestUs, first - performance.now() * 1000);
  }
  return largestUs;
}

const ORIGIN_US = difference();

export function nowUs(): number {
  return ORIGIN_US + performance.now() * 1000;
}
