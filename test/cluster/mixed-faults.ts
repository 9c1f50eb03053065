import { pause } from '../faults/kill-rounds.ts';
import { type Arena, type FaultKind, networksOf } from './fault.ts';
import { NETWORKS } from './node-networks.ts';

const BEGIN_WITHIN_MS = 4_000;
const LAST_MS_MIN = 2_000;
const LAST_MS_MAX = 8_000;

type Act = (arena: Arena, name: string, forMs: number) => Promise<string>;

/** What may be done to one node while other things are done to others. */
const ACTS: readonly Act[] = [
  async ({ cluster }, name, forMs) => {
    await cluster.node(name).kill();
    await pause(forMs);
    await cluster.restart(name);
    return `${name} killed, down for ${forMs} ms`;
  },
  async ({ cluster }, name, forMs) => {
    cluster.node(name).pause();
    await pause(forMs);
    cluster.node(name).resume();
    return `${name} frozen for ${forMs} ms`;
  },
  async ({ cluster }, name, forMs) => {
    const others = cluster.nodes.map((node) => node.name).filter((other) => other !== name);
    const networks = networksOf(cluster);
    networks.cut([name], others);
    await pause(forMs);
    networks.mend([name], others);
    return `${name} cut off for ${forMs} ms`;
  },
  async ({ cluster }, name, forMs) => {
    const others = cluster.nodes.map((node) => node.name).filter((other) => other !== name);
    const networks = networksOf(cluster);
    networks.cutOneWay([name], others);
    await pause(forMs);
    networks.mend([name], others);
    return `${name} heard by nobody for ${forMs} ms`;
  },
  async ({ cluster, load }, name, forMs) => {
    const untilMs = performance.now() + forMs;
    let connections = 0;
    while (performance.now() < untilMs) {
      const fromMs = performance.now();
      connections += await networksOf(cluster).reset(name);
      load.fault('reset', fromMs);
      await pause(300);
    }
    return `${connections} connections of ${name} reset within ${forMs} ms`;
  },
];

export const F28: FaultKind = {
  id: 'F28',
  title: 'three faults at once, of any nodes: killed, frozen, cut off, heard by nobody, connections reset',
  needs: [NETWORKS],
  cluster: { networks: true },
  async strike(arena) {
    const { cluster, prng } = arena;
    const names = cluster.nodes.map(({ name }) => name);
    const struck = Array.from({ length: 3 }, () => {
      const [name = ''] = names.splice(prng.below(names.length), 1);
      const act = ACTS[prng.below(ACTS.length)] as Act;
      const forMs = LAST_MS_MIN + prng.below(LAST_MS_MAX - LAST_MS_MIN);
      return { name, act, forMs, afterMs: prng.below(BEGIN_WITHIN_MS) };
    });
    const told = await Promise.all(
      struck.map(async ({ name, act, forMs, afterMs }) => {
        await pause(afterMs);
        return `after ${afterMs} ms ${await act(arena, name, forMs)}`;
      }),
    );
    return told.join('; ');
  },
  // Whether two of three stores are among the three is chance: then nothing is taken until they are back.
  bounds: { resumeMs: 30_000, restMs: 60_000 },
};
