import { join } from 'node:path';
import Sequencer from '@jest/test-sequencer';

/**
 * The suites that last longest, the longest first. Where jest has no times of its own, as after a fresh clone, it starts
 * with the largest file; a suite that lasts a minute then comes at the end by chance, and runs alone. Suites that wait for
 * processes stand beside those that work, so that a core is not left idle, nor fought for.
 */
export const LONGEST = [
  'test/cluster/faults.test.ts',
  'packages/sim/test/upgrade.test.ts',
  'test/e2e/sessions-cluster.test.ts',
  'test/e2e/wills-cluster.test.ts',
  'test/planted/planted-bugs.test.ts',
  'packages/sim/test/retained.test.ts',
  'packages/multiraft/test/disk/segment-reclaimer.test.ts',
  'packages/sim/test/regressions.test.ts',
  'packages/bench/test/remote-command.test.ts',
  'packages/bench/test/peers.test.ts',
  'packages/sim/test/retention.test.ts',
  'packages/coordinator/test/coordinators.test.ts',
  'test/cluster/forming.test.ts',
  'packages/store/test/cluster.test.ts',
  'packages/multiraft/test/cluster-faults.test.ts',
  'test/conformance/suite.test.ts',
  'packages/sim/test/endings.test.ts',
  'test/e2e/demos.test.ts',
  'test/hostile/memory.test.ts',
  'packages/sim/test/clocks.test.ts',
  'packages/multiraft/test/snapshot/snapshot-transfer.test.ts',
  'test/cluster/gateway-kills.test.ts',
  'packages/sim/test/backups.test.ts',
  'test/cluster/stopping.test.ts',
  'test/operations/dashboards.test.ts',
  'packages/sim/test/workers.test.ts',
  'test/e2e/cluster.test.ts',
  'test/faults/kill-rounds.test.ts',
  'packages/mqtt/test/codec/decoder-bounds.test.ts',
  'test/e2e/drain.test.ts',
  'test/faults/damage.test.ts',
  'packages/sim/test/wills.test.ts',
  'packages/rpc/test/hostile-port.test.ts',
  'test/helm/chart.test.ts',
  'test/operations/lag.test.ts',
  'packages/sim/test/raft-history.test.ts',
  'test/e2e/held-jobs.test.ts',
  'test/e2e/restart.test.ts',
  'test/load/backlog.test.ts',
  'packages/sim/test/sessions.test.ts',
  'test/faults/power-loss.test.ts',
  'packages/sim/test/cluster-history.test.ts',
  'packages/sim/test/entry-log.test.ts',
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
