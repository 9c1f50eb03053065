import type { Assignment, GroupMember } from './assignment.ts';

/**
 * Which partitions of a queue the consumers of each gateway draw from.
 *
 * Best is everybody from everywhere: then no worker idles while any partition has work, whatever comes. It costs an
 * attachment for every consumer and partition, so it holds up to a number of them. Beyond it each gateway gets its
 * share: every partition has a taker, every gateway a partition, shares are in the measure of the windows, and a
 * gateway that would find no work in its share is also let into a partition that has some. What a gateway had it keeps
 * where it can: everything that moves gives back what is in flight.
 */
export function assignPartitions(input: AssignmentInput): Share[] {
  const members = input.members.filter(({ consumers }) => consumers > 0).sort((a, b) => a.nodeId - b.nodeId);
  if (members.length === 0) return [];
  let consumers = 0;
  for (const member of members) consumers += member.consumers;
  const { partitions } = input;
  if (members.length === 1 || consumers * partitions.length <= input.attachmentsMax) {
    return members.map(({ nodeId }) => ({ nodeId, partitions: [...partitions], own: [...partitions] }));
  }
  const former = new Map(input.former.map(({ nodeId, own }) => [nodeId, own]));
  const owned =
    members.length <= partitions.length
      ? sharePartitions(partitions, members, former)
      : shareMembers(partitions, input.withWork, members, former);
  const guests = guestsOf(owned, partitions, input.withWork, members);
  return members.map(({ nodeId }) => {
    const own = (owned.get(nodeId) as number[]).sort((a, b) => a - b);
    const guest = guests.get(nodeId);
    return { nodeId, own, partitions: guest === undefined ? own : [...own, guest].sort((a, b) => a - b) };
  });
}

export interface AssignmentInput {
  partitions: readonly number[];
  /** Those whose backlog waits for takers. */
  withWork: ReadonlySet<number>;
  members: readonly GroupMember[];
  former: readonly Share[];
  /** Consumers times partitions up to which everybody draws from everywhere. */
  attachmentsMax: number;
}

/** `own` is what the gateway keeps while shares stay as they are; `partitions` adds where it is let in for now. */
export interface Share extends Assignment {
  own: readonly number[];
}

export function isSameAssignment(a: readonly Assignment[], b: readonly Assignment[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ nodeId, partitions }, i) => nodeId === b[i]?.nodeId && partitions.join() === b[i].partitions.join())
  );
}

type Owned = Map<number, number[]>;
type Former = ReadonlyMap<number, readonly number[]>;

/** No more gateways than partitions: each partition to one gateway, as many to each as its windows are worth. */
function sharePartitions(partitions: readonly number[], members: readonly GroupMember[], former: Former): Owned {
  const quota = quotas(partitions.length, members);
  const share: Owned = new Map(members.map(({ nodeId }) => [nodeId, []]));
  const left: number[] = [];
  for (const partition of partitions) {
    const keeper = members.find(({ nodeId }) => {
      const has = share.get(nodeId) as number[];
      return former.get(nodeId)?.includes(partition) && has.length < (quota.get(nodeId) as number);
    });
    if (keeper === undefined) left.push(partition);
    else (share.get(keeper.nodeId) as number[]).push(partition);
  }
  for (const partition of left) {
    const taker = members.find(
      ({ nodeId }) => (share.get(nodeId) as number[]).length < (quota.get(nodeId) as number),
    ) as GroupMember;
    (share.get(taker.nodeId) as number[]).push(partition);
  }
  return share;
}

/** At least one each; what is left goes one by one to whoever is furthest below its due. */
function quotas(count: number, members: readonly GroupMember[]): Map<number, number> {
  const quota = new Map(members.map(({ nodeId }) => [nodeId, 1]));
  for (let left = count - members.length; left > 0; left--) {
    let neediest = members[0] as GroupMember;
    let worth = -1;
    for (const member of members) {
      const mine = Math.max(1, member.windowTotal) / (quota.get(member.nodeId) as number);
      if (mine <= worth) continue;
      worth = mine;
      neediest = member;
    }
    quota.set(neediest.nodeId, (quota.get(neediest.nodeId) as number) + 1);
  }
  return quota;
}

/** More gateways than partitions: one partition to each gateway, and those beyond one a partition to where work is. */
function shareMembers(
  partitions: readonly number[],
  withWork: ReadonlySet<number>,
  members: readonly GroupMember[],
  former: Former,
): Owned {
  const takers = new Map(partitions.map((partition) => [partition, 1]));
  const working = partitions.filter((partition) => withWork.has(partition));
  const crowded = working.length === 0 ? partitions : working;
  for (let i = 0; i < members.length - partitions.length; i++) {
    const partition = crowded[i % crowded.length] as number;
    takers.set(partition, (takers.get(partition) as number) + 1);
  }
  const share: Owned = new Map();
  const left: GroupMember[] = [];
  const take = (member: GroupMember, partition: number): void => {
    takers.set(partition, (takers.get(partition) as number) - 1);
    share.set(member.nodeId, [partition]);
  };
  for (const member of members) {
    const kept = former.get(member.nodeId)?.find((partition) => (takers.get(partition) ?? 0) > 0);
    if (kept === undefined) left.push(member);
    else take(member, kept);
  }
  for (const member of left) {
    take(member, partitions.find((partition) => (takers.get(partition) as number) > 0) as number);
  }
  return share;
}

/** Gateways without work in their share also draw from the partition with work that has the smallest windows on it. */
function guestsOf(
  owned: Owned,
  partitions: readonly number[],
  withWork: ReadonlySet<number>,
  members: readonly GroupMember[],
): ReadonlyMap<number, number> {
  const guests = new Map<number, number>();
  const working = partitions.filter((partition) => withWork.has(partition));
  if (working.length === 0) return guests;
  const windows = new Map(working.map((partition) => [partition, 0]));
  for (const { nodeId, windowTotal } of members) {
    for (const partition of owned.get(nodeId) as number[]) {
      if (windows.has(partition)) windows.set(partition, (windows.get(partition) as number) + windowTotal);
    }
  }
  for (const { nodeId, windowTotal } of members) {
    if ((owned.get(nodeId) as number[]).some((partition) => withWork.has(partition))) continue;
    let weakest = working[0] as number;
    for (const partition of working) {
      if ((windows.get(partition) as number) < (windows.get(weakest) as number)) weakest = partition;
    }
    guests.set(nodeId, weakest);
    windows.set(weakest, (windows.get(weakest) as number) + windowTotal);
  }
  return guests;
}
