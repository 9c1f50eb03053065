import { type ClusterSimulationOptions, simulateCluster } from './cluster/cluster-history.ts';
import { withAstray, withBackups, withClocks, withJobs, withLimits, withRetention } from './cluster/cluster-knobs.ts';
import { simulateLog } from './log/log-history.ts';
import { simulateRaft } from './raft/raft-history.ts';
import { withRetained } from './retained/retained-knobs.ts';
import { withClears, withEndings, withSessions, withSizes, withWills, withWorkers } from './sessions/session-knobs.ts';
import { withUpgradeOfAll } from './sessions/upgrade-knobs.ts';
import type { Verdict } from './simulation.ts';

export interface ScenarioOptions {
  safetyMs: number;
  onLine?: ((line: string) => void) | undefined;
}

type Scenario = (seed: number, options: ScenarioOptions) => Promise<Verdict>;

/** What a seed can be run through; each is a function of the seed alone. */
export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map<string, Scenario>([
  ['raft', (seed, { safetyMs, onLine }) => simulateRaft(seed, { safetyMs, onLine })],
  ['cluster', (seed, { safetyMs, onLine }) => simulateCluster(seed, { safetyMs, onLine })],
  ofCluster('jobs', withJobs),
  ofCluster('workers', withWorkers),
  ofCluster('sizes', withSizes),
  ofCluster('upgrade', withUpgradeOfAll),
  ofCluster('clocks', withClocks),
  ofCluster('astray', withAstray),
  ofCluster('limits', withLimits),
  ofCluster('retention', withRetention),
  ofCluster('backups', withBackups),
  ofCluster('sessions', withSessions),
  ofCluster('endings', withEndings),
  ofCluster('wills', withWills),
  ofCluster('clears', withClears),
  ofCluster('retained', withRetained),
  ['log', (seed, { onLine }) => simulateLog(seed, { onLine })],
]);

/** The cluster's, with other knobs. */
function ofCluster(scenario: string, adjust: ClusterSimulationOptions['adjust']): [string, Scenario] {
  return [scenario, (seed, { safetyMs, onLine }) => simulateCluster(seed, { safetyMs, onLine, scenario, adjust })];
}
