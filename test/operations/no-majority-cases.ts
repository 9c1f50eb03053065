import { type AlertCase, HOUR, steady } from './alert-case.ts';

const ALERT = 'SluiceNoMajority';
const MINUTES = 8 * HOUR;
/** That a tier was larger is remembered for so long, five minutes more when nobody is left; what was not there for five minutes is not. */
const REMEMBERED = 6 * HOUR;

/** A pod answers from one minute on, until another one; before and after it there is nothing of it, not even `up`. */
function pod(instance: string, from: number, to = MINUTES, tier = 'store'): Record<string, string> {
  const labels = `job="mq/mq-sluice",instance="${instance}",app_kubernetes_io_component="${tier}"`;
  const there = (value: number): string =>
    [
      ...(from > 0 ? [steady('_', from)] : []),
      steady(value, to - from),
      ...(to < MINUTES ? ['stale', steady('_', MINUTES - to - 1)] : []),
    ].join(' ');
  return { [`up{${labels}}`]: there(1), [`sluice_raft_fenced{${labels}}`]: there(0) };
}

export const NO_MAJORITY_CASES: readonly AlertCase[] = [
  {
    alert: ALERT,
    story: 'targets that stay the same',
    series: {
      // A node that is alone has no majority to lose: that it is down is told by another alert.
      'up{job="alone",instance="n1"}': `${steady(1, 10)} ${steady(0, 90)}`,
      'sluice_raft_fenced{job="alone",instance="n1"}': `${steady(0, 10)} stale`,
      ...Object.fromEntries(
        // One of three is down, then two, of which one answers and is fenced; then one again. A gateway keeps nothing.
        [
          ['n1', `${steady(1, 10)} ${steady(0, 90)}`, `${steady(0, 10)} stale ${steady('_', 89)}`],
          ['n2', steady(1, 100), `${steady(0, 20)} ${steady(1, 40)} ${steady(0, 40)}`],
          ['n3', steady(1, 100), steady(0, 100)],
          ['gateway', `${steady(1, 5)} ${steady(0, 95)}`, steady('_', 100)],
        ].flatMap(([instance, up, fenced]) => [
          [`up{job="sluice",instance="${instance}"}`, up],
          [`sluice_raft_fenced{job="sluice",instance="${instance}"}`, fenced],
        ]),
      ),
    },
    silentAt: [9, 18, 20, 61],
    firesAt: [23, 59],
  },
  {
    alert: ALERT,
    story: 'two of three are evicted, and one comes back at another address; the coordinators are all there',
    series: {
      ...pod('10.0.0.1:18083', 0, 10),
      ...pod('10.0.0.2:18083', 0, 20),
      ...pod('10.0.0.3:18083', 0),
      ...pod('10.0.0.4:18083', 100),
      ...pod('10.0.1.1:18083', 0, MINUTES, 'coordinator'),
      ...pod('10.0.1.2:18083', 0, MINUTES, 'coordinator'),
      ...pod('10.0.1.3:18083', 0, MINUTES, 'coordinator'),
    },
    silentAt: [9, 18, 20, 101, 300],
    firesAt: [22, 60, 99],
  },
  {
    alert: ALERT,
    story: 'nobody is left',
    series: { ...pod('10.0.0.1:18083', 0, 30), ...pod('10.0.0.2:18083', 0, 30), ...pod('10.0.0.3:18083', 0, 30) },
    silentAt: [29, 30, 35 + REMEMBERED],
    firesAt: [32, 25 + REMEMBERED],
  },
  {
    alert: ALERT,
    story: 'each pod is replaced, and for some minutes both it and the next are seen',
    series: {
      ...pod('10.0.0.1:18083', 0, 30),
      ...pod('10.0.0.4:18083', 27),
      ...pod('10.0.0.2:18083', 0, 50),
      ...pod('10.0.0.5:18083', 60),
      ...pod('10.0.0.3:18083', 0, 80),
      ...pod('10.0.0.6:18083', 90),
    },
    silentAt: Array.from({ length: 100 }, (_, minute) => minute),
    firesAt: [],
  },
  {
    alert: ALERT,
    story: 'three are made one on purpose: told of until it is forgotten that they were three',
    series: { ...pod('10.0.0.1:18083', 0), ...pod('10.0.0.2:18083', 0, 20), ...pod('10.0.0.3:18083', 0, 10) },
    silentAt: [15, 20 + REMEMBERED + 1],
    firesAt: [25, 5 + REMEMBERED],
  },
];
