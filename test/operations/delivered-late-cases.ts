import { type AlertCase, HOUR, rising, steady } from './alert-case.ts';

const ALERT = 'SluiceDeliveredLate';
const MINUTES = 10 * HOUR;
const SECOND_HOUR = 2 * HOUR;

/** A queue that delivers so many each minute; of those in some minutes so many came after five of them. */
function queue(
  name: string,
  { perMinute = 100, lateEach, from, to, objective = 300, bucket = '300' }: LateQueue,
): Record<string, string> {
  const labels = `job="sluice",instance="n1",queue="${name}"`;
  const inTime = Array.from(
    { length: MINUTES },
    (_, minute) => minute * perMinute - Math.max(0, Math.min(minute, to) - from) * lateEach,
  );
  return {
    [`sluice_consumer_wait_seconds_count{${labels}}`]: rising(0, perMinute, MINUTES),
    [`sluice_consumer_wait_seconds_bucket{${labels},le="${bucket}"}`]: inTime.join(' '),
    [`sluice_queue_objective_seconds{${labels}}`]: steady(objective, MINUTES),
  };
}

interface LateQueue {
  perMinute?: number;
  lateEach: number;
  from: number;
  to: number;
  objective?: number;
  /** As Prometheus calls it. */
  bucket?: string;
}

/** One message at each of some minutes, and each is late. */
function singles(name: string, minutes: readonly number[]): Record<string, string> {
  const labels = `job="sluice",instance="n1",queue="${name}"`;
  const count = Array.from({ length: MINUTES }, (_, minute) => minutes.filter((at) => at <= minute).length);
  return {
    [`sluice_consumer_wait_seconds_count{${labels}}`]: count.join(' '),
    [`sluice_consumer_wait_seconds_bucket{${labels},le="300"}`]: steady(0, MINUTES),
    [`sluice_queue_objective_seconds{${labels}}`]: steady(300, MINUTES),
  };
}

export const DELIVERED_LATE_CASES: readonly AlertCase[] = [
  {
    alert: ALERT,
    story: 'every second message for 25 minutes, after six hours without one: too few of six hours',
    series: {
      ...queue('images', { lateEach: 50, from: 7 * HOUR, to: 7 * HOUR + 25 }),
      // This one may.
      ...queue('reports', { lateEach: 100, from: 0, to: MINUTES, objective: 3_600 }),
    },
    silentAt: [7 * HOUR - 1, 7 * HOUR + 15, 7 * HOUR + 35],
    firesAt: [7 * HOUR + 22, 7 * HOUR + 25],
  },
  {
    alert: ALERT,
    story: 'nine of a hundred for six hours: too few of any one',
    series: queue('images', { lateEach: 9, from: SECOND_HOUR, to: 8 * HOUR, bucket: '300.0' }),
    silentAt: [SECOND_HOUR - 1, 5 * HOUR, 8 * HOUR + 20],
    firesAt: [6 * HOUR + 10, 8 * HOUR],
  },
  {
    alert: ALERT,
    story: 'all of them, and these are few',
    series: {
      ...singles('one', [200]),
      ...singles('one-an-hour', [30, 90, 150, 210, 270, 330, 390, 450]),
    },
    silentAt: Array.from({ length: 70 }, (_, i) => 195 + i),
    firesAt: [],
  },
  {
    alert: ALERT,
    story: 'all of them, and these are ten',
    series: singles('alarms', [200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211]),
    silentAt: [206, 250],
    firesAt: [214],
  },
];
