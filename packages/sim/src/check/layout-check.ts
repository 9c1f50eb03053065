import type { QueueDefinition } from '@sluice/meta/queue-definition';

/** One partition's group as it is, and where it was decided to be. */
export interface GroupLayout {
  groupId: number;
  leader: number;
  voters: readonly number[];
  /** Learners, and voters of a change that is under way. */
  others: readonly number[];
  replicas: readonly number[];
}

export interface Layout {
  /** Stores that the metadata counts on, and those that run. */
  active: readonly number[];
  running: readonly number[];
  replicationFactor: number;
  groups: readonly GroupLayout[];
}

/**
 * What is not as it shall be when nothing is wrong any more: each group where it was decided to be, with all its copies;
 * copies and leaders even over the stores within one. Empty when all is.
 */
export function unevennessOf({ active, running, replicationFactor, groups }: Layout): string {
  if (!isSameSet(active, running)) return `${active} are active stores, ${running} run`;
  const copies = new Map(active.map((nodeId) => [nodeId, 0]));
  const leads = new Map(copies);
  for (const { groupId, leader, voters, others, replicas } of groups) {
    if (others.length > 0 || !isSameSet(voters, replicas)) {
      return `group ${groupId} is on ${voters}+${others} and shall be on ${replicas}`;
    }
    if (voters.length !== Math.min(replicationFactor, active.length)) return `group ${groupId} is on ${voters} only`;
    for (const nodeId of voters) copies.set(nodeId, (copies.get(nodeId) ?? 0) + 1);
    leads.set(leader, (leads.get(leader) ?? 0) + 1);
  }
  if (spread(copies) > 1) return `copies are ${shown(copies)}`;
  return spread(leads) > 1 ? `leaders are ${shown(leads)}` : '';
}

/** How the queues of a node's image differ from the metadata; undefined when they do not. */
export function imageDifference(metadata: Iterable<QueueIdentity>, image: Iterable<QueueIdentity>): string | undefined {
  const [is, known] = [listed(metadata), listed(image)];
  return is === known ? undefined : `${known || 'nothing'} is known, the metadata is ${is || 'nothing'}`;
}

export type QueueIdentity = Pick<QueueDefinition, 'queueId' | 'name' | 'version'>;

function listed(queues: Iterable<QueueIdentity>): string {
  return [...queues]
    .sort((a, b) => a.queueId - b.queueId)
    .map(({ queueId, name, version }) => `${queueId} ${name} ${version}`)
    .join();
}

function isSameSet(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((nodeId) => b.includes(nodeId));
}

function spread(counts: ReadonlyMap<number, number>): number {
  return Math.max(...counts.values()) - Math.min(...counts.values());
}

function shown(counts: ReadonlyMap<number, number>): string {
  return [...counts].map(([nodeId, count]) => `${count} on n${nodeId}`).join(', ');
}
