import { join } from 'node:path';
import Sequencer from '@jest/test-sequencer';

/**
 * The suites that last longest, the longest first. Where jest has no times of its own, as after a fresh clone, it starts
 * with the largest file; a suite that lasts a minute then comes at the end by chance, and runs alone. Suites that wait for
 * processes stand beside those that work, so that a core is not left idle, nor fought for.
 */
export const LONGEST = [
  'test/cluster/faults.test.ts',
  'packages/sim/test/retained.test.ts',
  'test/e2e/wills-cluster.test.ts',
  'packages/sim/test/regressions.test.ts',
  'packages/multiraft/test/disk/segment-reclaimer.test.ts',
  'test/e2e/sessions-cluster.test.ts',
  'packages/sim/test/raft-history.test.ts',
  'packages/bench/test/peers.test.ts',
  'test/faults/damage.test.ts',
  'test/cluster/forming.test.ts',
  'test/conformance/suite.test.ts',
  'packages/multiraft/test/cluster-faults.test.ts',
  'packages/sim/test/sessions.test.ts',
  'packages/coordinator/test/coordinators.test.ts',
  'test/helm/chart.test.ts',
  'test/e2e/demos.test.ts',
  'packages/sim/test/cluster-history.test.ts',
  'test/hostile/memory.test.ts',
  'packages/sim/test/entry-log.test.ts',
  'test/operations/dashboards.test.ts',
];

/** As jest orders; what it has never seen run, by `LONGEST`. */
export default class LongFirstSequencer extends Sequencer {
  sort(tests) {
    const placeOf = ({ path, context, duration }) => {
      const place =
        duration === undefined ? LONGEST.findIndex((one) => path === join(context.config.rootDir, one)) : -1;
      return place < 0 ? LONGEST.length : place;
    };
    return super.sort(tests).sort((a, b) => placeOf(a) - placeOf(b));
  }
}
