import { simulateCluster } from './cluster/cluster-history.ts';
import { withClocks, withJobs, withLimits, withUpgrade } from './cluster/cluster-knobs.ts';
import { simulateLog } from './log/log-history.ts';
import { simulateRaft } from './raft/raft-history.ts';
import { withRetained } from './retained/retained-knobs.ts';
import { withClears, withSessions, withWills } from './sessions/session-knobs.ts';
import type { Verdict } from './simulation.ts';

export interface ScenarioOptions {
  safetyMs: number;
  onLine?: ((line: string) => void) | undefined;
}

/** What a seed can be run through; each is a function of the seed alone. */
export const SCENARIOS: ReadonlyMap<string, (seed: number, options: ScenarioOptions) => Promise<Verdict>> = new Map([
  [
    'raft',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateRaft(seed, {
        safetyMs,
        onLine,
      }),
  ],
  ['cluster', (seed: number, { safetyMs, onLine }: ScenarioOptions) => simulateCluster(seed, { safetyMs, onLine })],
  [
    'jobs',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'jobs', adjust: withJobs }),
  ],
  [
    'upgrade',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'upgrade', adjust: withUpgrade }),
  ],
  [
    'clocks',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'clocks', adjust: withClocks }),
  ],
  [
    'limits',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'limits', adjust: withLimits }),
  ],
  [
    'sessions',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'sessions', adjust: withSessions }),
  ],
  [
    'wills',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'wills', adjust: withWills }),
  ],
  [
    'clears',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'clears', adjust: withClears }),
  ],
  [
    'retained',
    (seed: number, { safetyMs, onLine }: ScenarioOptions) =>
      simulateCluster(seed, { safetyMs, onLine, scenario: 'retained', adjust: withRetained }),
  ],
  ['log', (seed: number, { onLine }: ScenarioOptions) => simulateLog(seed, { onLine })],
]);
