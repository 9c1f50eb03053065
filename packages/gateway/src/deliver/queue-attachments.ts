import { allows } from '@sluice/meta/feature-levels';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { PartitionConsumer } from '@sluice/store-client/consume/partition-consumer';
import type { RouteTable } from '@sluice/store-client/route/route-table';
import { LeaderWaiting } from './leader-waiting.ts';
import { AttachedQueue, type AttachmentHost } from './queue-attachment.ts';
import type { QueueAttachment, QueueConsumer, QueueReference, QueueSubscriptions } from './queue-subscriptions.ts';
import { type AskForQueue, WantedQueues } from './wanted-queues.ts';

/**
 * Binds the queue subscriptions of this gateway's clients to queues, as queues come and go.
 *
 * A client may subscribe to a queue that does not exist, or not any more: its subscription stands and waits. Polling
 * for the queue would make the first message late and cost by the subscriber; here the topology says when a queue
 * appears, is redefined, or goes, and only subscriptions that could mean that queue are looked at: with a consumer for
 * each of a hundred thousand queues, one more costs a few lookups.
 *
 * A queue over several partitions is drawn from as the coordinator assigned it to this gateway. Without an assignment,
 * or while it does not name this gateway yet, from all of them: too many takers cost a little, none cost messages that
 * stay where they are.
 */
export class QueueAttachments implements QueueSubscriptions {
  readonly #nodeId: number;
  readonly #topology: Topology;
  readonly #wanted: WantedQueues;
  readonly #attachments = new Set<AttachedQueue>();
  /** By what they name, a queue or a filter. */
  readonly #byMeaning = new Map<string, Set<AttachedQueue>>();
  /** Queues that subscriptions were bound to, as they were then: names and filters of one that is gone. */
  readonly #bound = new Map<number, QueueDefinition>();
  /** Bound to queues over several partitions: assignments concern them, and nobody else. */
  readonly #spread = new Set<AttachedQueue>();
  /** Of the image that was looked at last. */
  #epoch: number;
  readonly #waiting: LeaderWaiting;
  readonly #host: AttachmentHost & { tellsSizes: boolean };
  readonly #ticking = new Set<AttachedQueue>();
  #tickTimer: NodeJS.Timeout | undefined;

  /** How often credit is rotated among partitions that all have work; see `window-split`. */
  static readonly TICK_MS = 250;

  /** `wanted` is asked for a queue that a subscription names, with its filter, and that does not exist. */
  constructor(options: {
    nodeId: number;
    topology: Topology;
    routes: RouteTable;
    consumers: PartitionConsumer;
    wanted: AskForQueue;
  }) {
    this.#nodeId = options.nodeId;
    this.#topology = options.topology;
    this.#epoch = options.topology.epoch;
    this.#wanted = new WantedQueues(options.wanted);
    this.#waiting = new LeaderWaiting(options.routes);
    this.#host = {
      consumers: options.consumers,
      routes: options.routes,
      waiting: this.#waiting,
      tellsSizes: allows(options.topology.featureLevel, 'consumer-says-size'),
      wantsTicks: (attachment) => this.#tickLater(attachment),
      changed: (attachment) => this.#bind(attachment),
      detached: (attachment) => this.#forget(attachment),
    };
  }

  attach(reference: QueueReference, consumer: QueueConsumer): QueueAttachment {
    const attachment = new AttachedQueue(reference, consumer, this.#host);
    this.#attachments.add(attachment);
    const meaning = meaningOf(reference);
    const alike = this.#byMeaning.get(meaning);
    if (alike === undefined) this.#byMeaning.set(meaning, new Set([attachment]));
    else alike.add(attachment);
    this.#bind(attachment);
    if (attachment.definition === undefined) this.#want(reference);
    return attachment;
  }

  filterOf(name: string): string | undefined {
    return this.#topology.queueByName(name)?.topicFilter;
  }

  /** The image of the cluster, or an assignment, changed. */
  topologyChanged(): void {
    this.#lookAtLevel();
    const changed = this.#topology.queuesChangedSince(this.#epoch);
    this.#epoch = this.#topology.epoch;
    if (changed === undefined) {
      this.#bound.clear();
      for (const attachment of this.#attachments) this.#bind(attachment);
      return;
    }
    for (const queueId of new Set(changed)) this.#queueChanged(queueId);
    for (const attachment of this.#spread) this.#bind(attachment);
  }

  #lookAtLevel(): void {
    if (this.#host.tellsSizes || !allows(this.#topology.featureLevel, 'consumer-says-size')) return;
    this.#host.tellsSizes = true;
    for (const attachment of this.#attachments) attachment.tellSize();
  }

  /** Queue subscriptions, and how many of them wait for their queue or its leader. */
  counts(): { attached: number; waiting: number } {
    let waiting = 0;
    for (const attachment of this.#attachments) if (!attachment.bound) waiting++;
    return { attached: this.#attachments.size - waiting, waiting };
  }

  /** Who consumes here from queues that spread over several partitions, for `NodeReport.consumers`. */
  consumersReport(): { queueId: number; consumers: number; windowTotal: number }[] {
    const report = new Map<number, { queueId: number; consumers: number; windowTotal: number }>();
    for (const { definition, window } of this.#spread) {
      if (definition === undefined) continue;
      const { queueId } = definition;
      const entry = report.get(queueId);
      if (entry === undefined) report.set(queueId, { queueId, consumers: 1, windowTotal: window });
      else {
        entry.consumers++;
        entry.windowTotal += window;
      }
    }
    return [...report.values()];
  }

  /** Nothing is attached again. */
  close(): void {
    clearInterval(this.#tickTimer);
    this.#waiting.close();
    this.#wanted.close();
  }

  #want(reference: QueueReference): void {
    if (reference.filter === undefined) return;
    const name = reference.by === 'name' ? reference.name : `/${reference.filter}`;
    // A queue of that name with another filter: the subscription waits until that one is gone.
    const isWanted = (): boolean => this.#isWaitedFor(reference) && this.#topology.queueByName(name) === undefined;
    if (isWanted()) this.#wanted.want(name, reference.filter, isWanted);
  }

  /** By somebody who says that filter: others may want another queue of that name. */
  #isWaitedFor(wanted: QueueReference): boolean {
    for (const { reference } of this.#byMeaning.get(meaningOf(wanted)) ?? NOBODY) {
      if (reference.filter === wanted.filter) return true;
    }
    return false;
  }

  #forget(attachment: AttachedQueue): void {
    this.#attachments.delete(attachment);
    this.#spread.delete(attachment);
    this.#ticking.delete(attachment);
    const meaning = meaningOf(attachment.reference);
    const alike = this.#byMeaning.get(meaning);
    alike?.delete(attachment);
    if (alike?.size === 0) this.#byMeaning.delete(meaning);
  }

  /** A queue keeps its name and its filter for life. */
  #queueChanged(queueId: number): void {
    const now = this.#topology.queue(queueId);
    const definition = now ?? this.#bound.get(queueId);
    if (now === undefined) this.#bound.delete(queueId);
    // Made and gone again since, or never meant by anybody here.
    if (definition === undefined) return;
    for (const meaning of meaningsOf(definition)) {
      for (const attachment of this.#byMeaning.get(meaning) ?? NOBODY) this.#bind(attachment);
    }
  }

  #bind(attachment: AttachedQueue): void {
    const definition = this.#resolve(attachment);
    if (definition !== undefined) this.#bound.set(definition.queueId, definition);
    if (definition === undefined || definition.partitions.length < 2) {
      this.#spread.delete(attachment);
      attachment.bind(definition, definition?.partitions ?? NO_PARTITIONS, 0);
      return;
    }
    this.#spread.add(attachment);
    const assignment = this.#topology.assignmentOf(definition.queueId);
    const assigned = assignment?.nodes.find(({ nodeId }) => nodeId === this.#nodeId)?.partitions;
    const partitions = assigned?.filter((partition) => definition.partitions.includes(partition));
    attachment.bind(definition, partitions ?? definition.partitions, assignment?.generation ?? 0);
  }

  /** The queue it means, if its client may consume what that one keeps. */
  #resolve(attachment: AttachedQueue): QueueDefinition | undefined {
    const definition = this.#meant(attachment.reference);
    return definition !== undefined && attachment.mayConsume(definition.topicFilter) ? definition : undefined;
  }

  #meant(reference: QueueReference): QueueDefinition | undefined {
    if (reference.by === 'filter') return this.#topology.queueByFilter(reference.filter);
    const definition = this.#topology.queueByName(reference.name);
    if (definition === undefined) return undefined;
    return reference.filter === undefined || reference.filter === definition.topicFilter ? definition : undefined;
  }

  #tickLater(attachment: AttachedQueue): void {
    this.#ticking.add(attachment);
    this.#tickTimer ??= setInterval(() => this.#tick(), QueueAttachments.TICK_MS);
  }

  #tick(): void {
    for (const attachment of this.#ticking) if (!attachment.tick()) this.#ticking.delete(attachment);
    if (this.#ticking.size > 0) return;
    clearInterval(this.#tickTimer);
    this.#tickTimer = undefined;
  }
}

const NO_PARTITIONS: readonly number[] = [];
const NOBODY: readonly AttachedQueue[] = [];

function meaningOf(reference: QueueReference): string {
  return reference.by === 'filter' ? `filter ${reference.filter}` : `name ${reference.name}`;
}

/** Of the subscriptions that could be bound to that queue. */
function meaningsOf({ name, topicFilter }: QueueDefinition): ReadonlySet<string> {
  const filters = name.startsWith('/') ? [topicFilter, name.slice(1)] : [topicFilter];
  return new Set([`name ${name}`, ...filters.map((filter) => `filter ${filter}`)]);
}
