import { assignPartitions, isSameAssignment, type Share } from '@sluice/group/assign-partitions';
import type { GroupMember } from '@sluice/group/assignment';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { QueueAssignment } from '@sluice/rpc/contract/topology-feed';
import type { NodeLiveness } from './liveness/node-liveness.ts';

/**
 * Keeps the assignment of every queue that spreads over several partitions and is consumed somewhere: soft, on the
 * leading coordinator, from what gateways and stores report. A generation holds the coordinators' term, so that what a
 * former leader still sends is older than everything its successor says.
 *
 * Members count at once, backlogs only now and then: shares that follow every burst would give back more than they gain.
 */
export class AssignmentLoop {
  readonly #liveness: NodeLiveness;
  #generation = 0;
  #queues = new Map<number, Assigned>();

  /** Consumers times partitions of a queue up to which everybody draws from everywhere. */
  static readonly ATTACHMENTS_MAX = 4_096;
  static readonly WORK_INTERVAL_MS = 5_000;
  /** Changes within one term: far more than can happen in it. */
  static readonly GENERATIONS_PER_TERM = 2 ** 20;

  constructor(options: { liveness: NodeLiveness }) {
    this.#liveness = options.liveness;
  }

  begin(term: number): void {
    this.#generation = term * AssignmentLoop.GENERATIONS_PER_TERM;
    this.#queues = new Map();
  }

  current(): readonly QueueAssignment[] {
    return [...this.#queues.values()].map(({ assignment }) => assignment);
  }

  /** What changed, to be told to all. */
  step(view: AssignmentView, nowMs: number): QueueAssignment[] {
    const members = this.#members(view, nowMs);
    for (const queueId of this.#queues.keys()) if (!members.has(queueId)) this.#queues.delete(queueId);
    const changed: QueueAssignment[] = [];
    let withWork: Set<number> | undefined;
    for (const [queueId, { definition, members: of }] of members) {
      const former = this.#queues.get(queueId);
      const membersKey = of.map(({ nodeId, consumers, windowTotal }) => `${nodeId} ${consumers} ${windowTotal}`).join();
      const isDue = former === undefined || nowMs - former.computedMs >= AssignmentLoop.WORK_INTERVAL_MS;
      if (former?.membersKey === membersKey && !isDue) continue;
      withWork ??= this.#partitionsWithWork(nowMs);
      const shares = assignPartitions({
        partitions: definition.partitions,
        withWork,
        members: of,
        former: former?.shares ?? [],
        attachmentsMax: AssignmentLoop.ATTACHMENTS_MAX,
      });
      if (former !== undefined && isSameAssignment(shares, former.shares)) {
        this.#queues.set(queueId, { ...former, shares, membersKey, computedMs: nowMs });
        continue;
      }
      const nodes = shares.map(({ nodeId, partitions }) => ({ nodeId, partitions }));
      const assignment: QueueAssignment = { queueId, generation: ++this.#generation, nodes };
      this.#queues.set(queueId, { shares, membersKey, computedMs: nowMs, assignment });
      changed.push(assignment);
    }
    return changed;
  }

  #members(view: AssignmentView, nowMs: number): Map<number, { definition: QueueDefinition; members: GroupMember[] }> {
    const found = new Map<number, { definition: QueueDefinition; members: GroupMember[] }>();
    for (const nodeId of view.nodeIds) {
      if (!this.#liveness.isAlive(nodeId, nowMs)) continue;
      for (const { queueId, consumers, windowTotal } of this.#liveness.report(nodeId)?.consumers ?? []) {
        if (consumers === 0) continue;
        let of = found.get(queueId);
        if (of === undefined) {
          const definition = view.queue(queueId);
          if (definition === undefined || definition.partitions.length < 2) continue;
          of = { definition, members: [] };
          found.set(queueId, of);
        }
        of.members.push({ nodeId, consumers, windowTotal });
      }
    }
    return found;
  }

  /** As those say that lead them now: whoever led them before speaks of a backlog that may be gone. */
  #partitionsWithWork(nowMs: number): Set<number> {
    const working = new Set<number>();
    for (const { partition, nodeId } of this.#liveness.leaders(nowMs)) {
      const led = this.#liveness.report(nodeId)?.leads.find((one) => one.partition === partition);
      if (led !== undefined && led.depth > 0) working.add(partition);
    }
    return working;
  }
}

export interface AssignmentView {
  /** Nodes that are not gone. */
  nodeIds: readonly number[];
  queue(queueId: number): QueueDefinition | undefined;
}

interface Assigned {
  shares: readonly Share[];
  membersKey: string;
  computedMs: number;
  assignment: QueueAssignment;
}
