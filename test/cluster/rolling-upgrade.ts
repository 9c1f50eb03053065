import { type ClusterUnderTest, patiently } from './cluster-under-test.ts';
import type { FaultKind } from './fault.ts';

const MOVE_MS_MAX = 120_000;
const RISE_MS_MAX = 30_000;

/** Nodes of a former build that become nodes of this tree's one after the other, while clients work. */
export function rollingUpgrade(options: {
  /** The build that a node has been started with last, and is started with from now on. */
  formerBin: string;
  bins: Map<string, string>;
  bin: string;
  /** Where the level must be in the end. */
  levelMax: number;
  say(text: string): void;
}): FaultKind {
  const { formerBin, bins, bin, levelMax, say } = options;
  return {
    id: 'upgrade',
    title: 'rolling upgrade of all nodes (SIGTERM, then the other build), one after the other',
    cluster: { layout: 'compact', binOf: (name) => bins.get(name) ?? formerBin },
    async strike({ cluster, beyond }) {
      const first = await levelsOf(cluster);
      const before = Math.max(...first.values());
      say(`all nodes are of the former build, at level ${before}`);
      for (const { name } of cluster.nodes) {
        const { code } = await cluster.node(name).stop();
        if (code !== 0) beyond(`${name} ended with ${code}`);
        const tooEarly = [...(await levelsOf(cluster))].filter(([, level]) => level !== before);
        if (tooEarly.length > 0) beyond(`${name} is of the former build still, and the level is ${tooEarly.join()}`);
        bins.set(name, bin);
        await cluster.restart(name);
        await cluster.atRest(MOVE_MS_MAX);
        say(`${name} is upgraded; levels ${[...(await levelsOf(cluster))].map((pair) => pair.join(' ')).join(', ')}`);
      }
      await patiently(`level ${levelMax} on every node`, performance.now() + RISE_MS_MAX, async () =>
        [...(await levelsOf(cluster)).values()].every((level) => level === levelMax),
      );
      return `all nodes upgraded, the level rose from ${before} to ${levelMax}`;
    },
    // A node that starts is trusted to lead after ten seconds.
    bounds: { gapWorstMs: 5_000, resumeMs: 3_000, restMs: 30_000 },
  };
}

/** As each node that runs has it; those that know of none have the first. */
async function levelsOf(cluster: ClusterUnderTest): Promise<Map<string, number>> {
  const levels = new Map<string, number>();
  for (const { name, isRunning } of cluster.nodes) {
    const view = isRunning ? await cluster.view(name) : undefined;
    if (view !== undefined) levels.set(name, view.feature_level ?? 1);
  }
  return levels;
}
