import type { DiskTrouble } from '@sluice/meta/cluster-liveness';
import { includes, type LevelRange, levelUnsupported } from '@sluice/meta/feature-levels';
import type {
  ClusterNode,
  ClusterPartition,
  ClusterProblem,
  ClusterStatus,
} from '@sluice/rpc/contract/cluster-management';
import { type ClockNamed, clockProblems } from './clock-problems.ts';

/** A copy that does not count, by the name of its node. */
export interface CopyTrouble {
  partition: number;
  node: string;
  kind: 'catching-up' | 'impaired' | 'parted' | 'unheard';
}

/** A node that lives and cannot do all it should, by its name. */
export interface NodeTroubleNamed {
  node: string;
  kind: 'parted' | DiskTrouble;
}

const RANK = { failing: 0, degraded: 1, notice: 2 } as const;

/**
 * What is wrong with a cluster, in words, and what to do: read at night, by somebody who did not build it. A table of
 * leaders and copies holds all of it, for those who know how to read one. Pure: from the status as one node knows it.
 */
export function clusterProblems(
  status: Omit<ClusterStatus, 'problems'>,
  troubles: readonly CopyTrouble[],
  nodeTroubles: readonly NodeTroubleNamed[] = [],
  clocks: readonly ClockNamed[] = [],
): ClusterProblem[] {
  return [
    ...withoutCoordinator(status),
    ...withoutLeader(status),
    ...silent(status),
    ...withDiskTroubles(status, nodeTroubles),
    ...clockProblems(clocks, status.nodes.filter(({ alive }) => alive).length),
    ...withTroubles(troubles, status),
    ...partedAlone(troubles, nodeTroubles),
    ...tooOld(status),
    ...onTheirWay(status),
    ...levelNotices(status),
    ...notices(status),
  ].sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}

type Known = Omit<ClusterStatus, 'problems'>;

function withoutCoordinator({ coordinator, nodes, partitions }: Known): ClusterProblem[] {
  if (coordinator !== null) return [];
  const names = nodes.filter(({ roles }) => roles.includes('coordinator')).map(({ name }) => name);
  const majority = Math.floor(names.length / 2) + 1;
  const flow = partitions.every(({ leader }) => leader !== null) ? ' Messages flow.' : '';
  return [
    {
      severity: 'failing',
      message: `No coordinator answers: nothing can be created or changed.${flow} The rest is what this node sees by itself.`,
      hint: `At least ${majority} of ${list(names)} must run and reach each other: start those that are down, and look at their logs and /readyz.`,
    },
  ];
}

function withoutLeader({ partitions, nodes }: Known): ClusterProblem[] {
  const silentNames = new Set(nodes.filter(({ alive }) => !alive).map(({ name }) => name));
  // Partitions with the same copies have the same trouble.
  const groups = new Map<string, ClusterPartition[]>();
  for (const partition of partitions) {
    if (partition.leader !== null) continue;
    const key = partition.replicas.join();
    groups.set(key, [...(groups.get(key) ?? []), partition]);
  }
  return [...groups.values()].map((group) => {
    const replicas = (group[0] as ClusterPartition).replicas;
    const away = replicas.filter((name) => silentNames.has(name));
    const numbers = group.map(({ partition }) => partition);
    const what = `Nobody leads ${partitionsText(numbers)}: what is published to ${numbers.length === 1 ? 'its' : 'their'} queues waits or is refused.`;
    const needed = Math.floor(replicas.length / 2) + 1 - (replicas.length - away.length);
    if (replicas.length === 0)
      return { severity: 'failing', message: what, hint: 'No store has a copy yet: see that stores are running.' };
    if (needed > 0)
      return {
        severity: 'failing',
        message: `${what} ${away.length} of ${count(replicas.length, 'copy', 'copies')} ${away.length === 1 ? 'is' : 'are'} on ${list(away)}, not heard of.`,
        hint: `Start ${needed === away.length ? list(away, 'and') : `${needed} of ${list(away)}`} again, with the same data.`,
      };
    return {
      severity: 'failing',
      message: what,
      hint: `An election takes a second or two: look again. If it stays so, look at the logs of ${list(replicas)}.`,
    };
  });
}

function silent({ nodes }: Known): ClusterProblem[] {
  return nodes
    .filter(({ alive }) => !alive)
    .map(({ name, roles, replicas }) => {
      const more = roles.includes('store') && replicas > 0;
      return {
        severity: 'failing',
        message: `${name} is not heard of${more ? `: ${count(replicas, 'copy', 'copies')} of partitions ${replicas === 1 ? 'is' : 'are'} away` : ''}.`,
        hint: `Start it again, or see why it cannot reach the coordinators.${more ? ' Away for longer than cluster.replaceAfter, its copies are made anew on other stores if there are any.' : ''} If it never comes back: sluice cluster leave ${name}`,
      } as const;
    });
}

/** Each says what the disk does, what that does to messages, and what to type. */
function withDiskTroubles({ nodes }: Known, troubles: readonly NodeTroubleNamed[]): ClusterProblem[] {
  return troubles.flatMap(({ node: name, kind }) =>
    kind === 'parted' ? [] : [diskProblem(name, kind, nodes.find((node) => node.name === name)?.leads ?? 0)],
  );
}

function diskProblem(name: string, kind: DiskTrouble, leads: number): ClusterProblem {
  const stillLeads = leads === 0 ? '' : ` It leads ${count(leads, 'partition', 'partitions')}.`;
  const room = `On ${name}: df -h. Give space back: sluice queues list shows what is large, sluice queues purge NAME empties one; or delete other files there, or make the disk larger. It goes on by itself.`;
  switch (kind) {
    case 'disk-low':
      return {
        severity: leads === 0 ? 'degraded' : 'failing',
        message: `The disk of ${name} is almost full: it refuses publishes, and settling goes on.${stillLeads}`,
        hint: room,
      };
    case 'disk-full':
      return {
        severity: 'failing',
        message: `The disk of ${name} is full: it refuses publishes, and its writes wait for space.${stillLeads}`,
        hint: room,
      };
    case 'files-exhausted':
      return {
        severity: 'failing',
        message: `${name} has no file descriptor left: it cannot open the files of its data, and what needs them waits.${stillLeads}`,
        hint: `Its disk is well. Raise the limit of open files of its process (ulimit -n, LimitNOFILE=) and restart it, or lower mqtt.connectionsMax there; sluice_process_open_fds says how many it has. If connections took them, it goes on by itself as they end.`,
      };
    case 'disk-hangs':
      return {
        severity: 'failing',
        message: `The disk of ${name} hangs: a write has been under way for seconds.${stillLeads}`,
        hint: `On ${name}: iostat -x 1, dmesg. Until the write ends its copies do not count: stop no other store.`,
      };
    case 'disk-failed':
      return {
        severity: 'failing',
        message: `The disk of ${name} failed: it acknowledges nothing more until it is started again.`,
        hint: `On ${name}: look for "the entry log failed" or "the storage failed" in its log, and at dmesg and sluice doctor. Disk well again: restart it. Disk broken: start it with the same node.name and an empty directory, and it gets everything from the others. Stop no other store until then.`,
      };
    default:
      return {
        severity: 'failing',
        message: `${name} says that its disk does not do what it should: ${kind satisfies never}.`,
        hint: `This node is of an older build and knows no more: look at the log of ${name}.`,
      };
  }
}

/** Who has copies is told of with them. */
function partedAlone(copies: readonly CopyTrouble[], troubles: readonly NodeTroubleNamed[]): ClusterProblem[] {
  const told = new Set(copies.filter(({ kind }) => kind === 'parted').map(({ node }) => node));
  return troubles
    .filter(({ kind, node }) => kind === 'parted' && !told.has(node))
    .map(({ node }) => ({
      severity: 'degraded',
      message: `${node} has no connection to the coordinators since a moment.`,
      hint: 'It is back within seconds, or is said to be not heard of.',
    }));
}

function withTroubles(troubles: readonly CopyTrouble[], { partitions }: Known): ClusterProblem[] {
  const byNode = new Map<string, CopyTrouble[]>();
  for (const trouble of troubles) {
    const key = `${trouble.kind} ${trouble.node}`;
    byNode.set(key, [...(byNode.get(key) ?? []), trouble]);
  }
  return [...byNode.values()].map((group) => {
    const { node, kind } = group[0] as CopyTrouble;
    const which = partitionsText(group.map(({ partition }) => partition));
    if (kind === 'impaired')
      return {
        severity: 'degraded',
        message: `The copy on ${node} of ${which} cannot be trusted: it is made anew from the others.`,
        hint: `Stop no other store until this line is gone. If it stays, look at the log of ${node}; a disk that damages data is to be replaced.`,
      };
    if (kind === 'parted')
      return {
        severity: 'degraded',
        message: `${node} has no connection to the coordinators since a moment: its ${group.length === 1 ? 'copy' : 'copies'} of ${which} may be away.`,
        hint: 'Stop no other store until this line is gone: it is back within seconds, or is said to be not heard of.',
      };
    if (kind === 'unheard') {
      const there = new Set(group.map(({ partition }) => partition));
      const leaders = partitions.flatMap(({ partition, leader }) => (there.has(partition) && leader ? [leader] : []));
      const distinct = [...new Set(leaders)];
      const names = list(distinct);
      return {
        severity: 'degraded',
        message: `${names} ${distinct.length === 1 ? 'hears' : 'hear'} nothing of ${node}, which lives: its ${group.length === 1 ? 'copy' : 'copies'} of ${which} ${group.length === 1 ? 'gets' : 'get'} nothing new.`,
        hint: `Look at the network between ${names} and ${node}: firewall, routes, and whether each reaches the gRPC address of the other. Stop no other store until this line is gone.`,
      };
    }
    return {
      severity: 'degraded',
      message: `${node} is catching up with ${which}.`,
      hint: 'Wait, and stop no other store until this line is gone.',
    };
  });
}

/** Of another build than the cluster is for by now. */
function tooOld({ nodes, featureLevel: { level } }: Known): ClusterProblem[] {
  return nodes
    .filter(({ featureLevels }) => featureLevels !== null && !includes(featureLevels, level))
    .map(({ name, featureLevels }) => {
      const { message, hint } = levelUnsupported(level, featureLevels as LevelRange);
      return { severity: 'failing', message: `${name} cannot take part: ${message}.`, hint: `On ${name}: ${hint}.` };
    });
}

/** What keeps the level from rising, where some node could do more: in the midst of an upgrade that is as it should be. */
function levelNotices({ nodes, featureLevel: { level, isHeld } }: Known): ClusterProblem[] {
  const highest = Math.max(level, ...nodes.map(({ featureLevels }) => featureLevels?.max ?? 0));
  if (isHeld) {
    const more = highest > level ? `; there are nodes that support ${highest}` : '';
    return [
      {
        severity: 'notice',
        message: `The feature level is held at ${level}${more}.`,
        hint: 'When no node is to go back to a former build: sluice cluster release',
      },
    ];
  }
  if (highest === level) return [];
  const behind = nodes.filter(({ featureLevels }) => (featureLevels?.max ?? 0) <= level).map(({ name }) => name);
  if (behind.length === 0) return [];
  return [
    {
      severity: 'notice',
      message: `The feature level stays at ${level} because of ${list(behind, 'and')}: others support ${highest}.`,
      hint: 'It rises by itself when every node is upgraded and heard of.',
    },
  ];
}

/** Nodes that an operator has sent away. */
function onTheirWay({ nodes }: Known): ClusterProblem[] {
  const problems: ClusterProblem[] = [];
  for (const { name, state, leads, replicas, alive } of nodes) {
    if (!alive) continue;
    if (state === 'draining')
      problems.push({
        severity: 'notice',
        message: `${name} is draining: ${leads === 0 ? 'it leads nothing' : `it leads ${count(leads, 'partition', 'partitions')} still`}, and its clients go elsewhere.`,
        hint: `${leads === 0 ? 'It can be stopped. ' : ''}Back into service: sluice cluster undrain ${name}`,
      });
    if (state === 'leaving')
      problems.push({
        severity: 'notice',
        message: `${name} is leaving: ${replicas === 0 ? 'it has no copies left' : `${count(replicas, 'copy', 'copies')} to be made elsewhere`}.`,
        hint: `${replicas === 0 ? 'It can be stopped for good. ' : ''}To keep it after all: sluice cluster undrain ${name}`,
      });
  }
  return problems;
}

function notices({ nodes, replicationFactor }: Known): ClusterProblem[] {
  const problems: ClusterProblem[] = [];
  const holding = (role: string): readonly ClusterNode[] =>
    nodes.filter(({ roles, state }) => roles.includes(role) && state !== 'leaving');
  const stores = holding('store').length;
  if (stores > 0 && stores < replicationFactor)
    problems.push({
      severity: 'notice',
      message: `${count(replicationFactor, 'copy', 'copies')} of every message are wanted, and there ${stores === 1 ? 'is 1 store' : `are ${stores} stores`}.`,
      hint: `Start more stores, or say that it is meant so: sluice cluster replicas ${stores}`,
    });
  else if (stores > 0 && replicationFactor % 2 === 0)
    problems.push({
      severity: 'notice',
      message: `${replicationFactor} copies of every message let no more stores be away than ${replicationFactor - 1} would: a majority of them must be there.`,
      hint: `${stores > replicationFactor ? 'Have' : 'Start another store, and have'} one more: sluice cluster replicas ${replicationFactor + 1}`,
    });
  const coordinators = holding('coordinator').length;
  if (coordinators > 0 && coordinators % 2 === 0)
    problems.push({
      severity: 'notice',
      message: `There are ${coordinators} coordinators: an even number survives no more failures than ${coordinators - 1}.`,
      hint: 'Have 3 or 5 of them.',
    });
  return problems;
}

/** Short, whatever the number: `partition 3`, `partitions 1-4, 9`. */
function partitionsText(numbers: readonly number[]): string {
  const ranges: string[] = [];
  const sorted = [...numbers].sort((a, b) => a - b);
  for (let from = 0; from < sorted.length; ) {
    let to = from;
    while (sorted[to + 1] === (sorted[to] as number) + 1) to++;
    ranges.push(from === to ? `${sorted[from]}` : `${sorted[from]}-${sorted[to]}`);
    from = to + 1;
  }
  return `${numbers.length === 1 ? 'partition' : 'partitions'} ${ranges.join(', ')}`;
}

function count(amount: number, one: string, many: string): string {
  return `${amount} ${amount === 1 ? one : many}`;
}

function list(names: readonly string[], before: 'and' | undefined = undefined): string {
  if (before === undefined || names.length < 2) return names.join(', ');
  return `${names.slice(0, -1).join(', ')} ${before} ${names.at(-1)}`;
}
