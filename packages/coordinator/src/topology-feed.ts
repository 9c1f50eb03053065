import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { AccessRow } from '@sluice/meta/access/access-table';
import type { NodeLevels, NodeTrouble, PartitionLeader, ReplicaTrouble } from '@sluice/meta/cluster-liveness';
import type { MetaReply } from '@sluice/meta/meta-reply';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import type { TopologyDelta } from '@sluice/meta/topology';
import type {
  ClockView,
  NodeReport,
  QueueAssignment,
  TopologyFeedRequest,
  TopologyImage,
  TopologyUpdate,
} from '@sluice/rpc/contract/topology-feed';
import type { Channel } from '@sluice/rpc/transport';
import { ClockVotes } from './liveness/clock-votes.ts';
import type { NodeLiveness } from './liveness/node-liveness.ts';
import { nodeTroubles } from './liveness/node-troubles.ts';
import { replicaTroubles } from './liveness/replica-troubles.ts';

type FeedChannel = Channel<TopologyUpdate, TopologyFeedRequest>;

/**
 * Pushes the cluster's image to the nodes that watch it and knows which epoch each acts on. A change may then be
 * answered when it is true everywhere, not when it is merely written down.
 *
 * Only the leading coordinator serves it; the others send who asks to it, and one that is not told who leads (it may
 * have been exchanged itself) to each of the others it knows of in turn. All of them remember the newest changes, so
 * that a node that comes from a former leader gets what changed since, and not a hundred thousand queues again.
 */
export class TopologyFeed {
  readonly #options: TopologyFeedOptions;
  #leads = false;
  /** Counts those of this coordinator; 0 before the first. */
  #leadership = 0;
  readonly #watchers = new Map<FeedChannel, Watcher>();
  /** Of each node its newest. */
  readonly #watcherOf = new Map<number, Watcher>();
  readonly #clocks = new ClockVotes();
  #waiting: Waiting[] = [];
  #recent: TopologyDelta[] = [];
  #told: LivenessNews = NO_NEWS;
  #livenessDue = false;
  #toldMs = 0;
  #turn = 0;

  /** Changes remembered for who comes back; beyond that it gets the whole image. */
  static readonly RECENT_MAX = 1_024;
  /** Queues in one message of an image: half a megabyte at most but for names of kilobytes, and never what a channel refuses. */
  static readonly PART_QUEUES = 512;
  static readonly ACCESS_PART_CHARS = 256 * 1024;
  /** Watchers hear something at least so often: one that hears nothing for longer looks for another coordinator. */
  static readonly BEAT_MS = 1_000;
  /** Changes that wait at once for every node to act on them. */
  static readonly WAITING_MAX = 10_000;

  constructor(options: TopologyFeedOptions) {
    this.#options = options;
  }

  accept(channel: FeedChannel, nodeId: number): void {
    const { liveness, clock } = this.#options;
    /** The leadership in which it was counted: who is connected is counted anew in each, and a channel may outlive one. */
    let countedIn = 0;
    channel.onMessage((request) => {
      if (!this.#leads) {
        if (request.type === 'watch') channel.send(this.#elsewhere());
        return;
      }
      if (countedIn !== this.#leadership) liveness.opened(nodeId);
      countedIn = this.#leadership;
      liveness.heard(nodeId, clock.monotonicMs());
      if (request.type === 'watch') this.#watch(channel, nodeId, request.clusterId, request.epoch);
      else if (request.type === 'reached') this.#reachedBy(channel, request.epoch);
      else this.#reported(nodeId, request.report);
    });
    channel.onClose(() => {
      const watcher = this.#watchers.get(channel);
      this.#watchers.delete(channel);
      if (watcher !== undefined && this.#watcherOf.get(nodeId) === watcher) this.#watcherOf.delete(nodeId);
      if (countedIn !== this.#leadership || !this.#leads) return;
      liveness.closed(nodeId, clock.monotonicMs());
      this.livenessMoved();
    });
  }

  /** A committed change, at every coordinator. */
  applied(reply: MetaReply): void {
    // An image says these: they are rare, and who has most of it keeps that.
    if (reply.result === 'formed' || reply.replicationFactor !== undefined) {
      this.#recent = [];
      this.sendImage();
      return;
    }
    if (reply.result !== 'done') return;
    for (const nodeId of reply.removedNodes ?? []) this.#options.liveness.forget(nodeId);
    const delta: TopologyDelta = {
      epoch: reply.epoch,
      changed: reply.changed === undefined ? [] : [reply.changed],
      removed: reply.removed === undefined ? [] : [reply.removed],
      nodes: reply.nodes ?? [],
      removedNodes: reply.removedNodes ?? [],
      partitions: reply.partitions ?? [],
      config: reply.config,
      access: reply.access,
      featureLevel: reply.featureLevel,
    };
    this.#recent.push(delta);
    if (this.#recent.length > TopologyFeed.RECENT_MAX) this.#recent.splice(0, TopologyFeed.RECENT_MAX / 2);
    if (this.#leads) for (const channel of this.#watchers.keys()) channel.send({ type: 'delta', ...delta });
    if (delta.nodes.length > 0) this.livenessMoved();
  }

  /** The machine was replaced by a snapshot: what led there is not known. */
  forgetRecent(): void {
    this.#recent = [];
    if (this.#leads) this.sendImage();
  }

  leadership(leads: boolean): void {
    if (leads === this.#leads) return;
    this.#leads = leads;
    this.#told = NO_NEWS;
    if (leads) {
      this.#leadership++;
      this.#clocks.clear();
      this.#options.liveness.begin(this.#options.clock.monotonicMs());
      return;
    }
    const elsewhere = this.#elsewhere();
    for (const channel of this.#watchers.keys()) channel.send(elsewhere);
    this.#watchers.clear();
    this.#watcherOf.clear();
    this.#settle();
  }

  sendImage(): void {
    const image = this.#options.image();
    if (image === undefined || !this.#leads) return;
    for (const channel of this.#watchers.keys()) sendImageTo(channel, image);
  }

  sendAssignments(assignments: readonly QueueAssignment[]): void {
    if (assignments.length === 0) return;
    for (const channel of this.#watchers.keys()) channel.send({ type: 'assignments', assignments });
  }

  /** Tells everybody who leads and who lives, once for everything that moved in a turn. */
  livenessMoved(): void {
    if (this.#livenessDue || !this.#leads) return;
    this.#livenessDue = true;
    this.#options.defer(() => {
      this.#livenessDue = false;
      this.#tellLiveness();
    });
  }

  /**
   * Resolves when every node that lives acts on the epoch. A node that died is waited for as long as it takes to notice,
   * and no longer.
   */
  reached(epoch: number, timeoutMs: number): Promise<boolean> {
    if (!this.#leads || this.#waiting.length >= TopologyFeed.WAITING_MAX) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#waiting.push({ epoch, resolve, untilMs: this.#options.clock.monotonicMs() + timeoutMs });
      this.#settle();
    });
  }

  /** Time passed: nodes fall silent, patience ends. */
  tick(): void {
    if (!this.#leads) return;
    this.livenessMoved();
    this.#settle();
  }

  #elsewhere(): TopologyUpdate {
    const leader = this.#options.leader() || this.#another();
    const node = this.#options.node(leader);
    return { type: 'elsewhere', leader, address: node?.address, name: node?.name };
  }

  /** Whoever asks may know of nobody else that is left. */
  #another(): number {
    const others = this.#options.otherCoordinators();
    return others[this.#turn++ % Math.max(1, others.length)] ?? 0;
  }

  #watch(channel: FeedChannel, nodeId: number, clusterId: string, epoch: number): void {
    const watcher: Watcher = { nodeId, reached: 0 };
    this.#watchers.set(channel, watcher);
    this.#watcherOf.set(nodeId, watcher);
    const image = this.#options.image();
    if (image === undefined) return;
    const since = clusterId === image.clusterId ? this.#since(epoch, image.epoch) : undefined;
    if (since === undefined) sendImageTo(channel, image);
    else for (const delta of since) channel.send({ type: 'delta', ...delta });
    channel.send({ type: 'liveness', ...this.#liveness() });
    const assignments = this.#options.assignments();
    if (assignments.length > 0) channel.send({ type: 'assignments', assignments });
    this.livenessMoved();
  }

  /** Every change after `epoch`; undefined when some are not known any more, or it is ahead of this machine. */
  #since(epoch: number, newest: number): readonly TopologyDelta[] | undefined {
    if (epoch === newest) return [];
    const first = this.#recent[0];
    if (epoch > newest || first === undefined || first.epoch > epoch + 1) return undefined;
    return this.#recent.filter((delta) => delta.epoch > epoch);
  }

  #reachedBy(channel: FeedChannel, epoch: number): void {
    const watcher = this.#watchers.get(channel);
    if (watcher === undefined) return;
    watcher.reached = Math.max(watcher.reached, epoch);
    this.#settle();
  }

  #reported(nodeId: number, report: NodeReport): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#clocks.heard(nodeId, report.clock, nowMs);
    const moved = this.#options.liveness.reported(nodeId, report, nowMs);
    if (moved) {
      this.livenessMoved();
      this.#options.onMoved();
    }
  }

  #liveness(): LivenessNews {
    const { liveness, clock, nodes, partitions } = this.#options;
    const nowMs = clock.monotonicMs();
    const alive = nodes().filter((nodeId) => liveness.isAlive(nodeId, nowMs));
    return {
      leaders: liveness.leaders(nowMs),
      alive,
      troubles: replicaTroubles(partitions(), liveness, nowMs),
      nodeTroubles: nodeTroubles(alive, liveness),
      levels: liveness.levelsOf(alive, nowMs),
      clocks: this.#clocks.views(alive, nowMs),
    };
  }

  #tellLiveness(): void {
    if (!this.#leads) return;
    const now = this.#liveness();
    const nowMs = this.#options.clock.monotonicMs();
    if (isSameLiveness(now, this.#told) && nowMs - this.#toldMs < TopologyFeed.BEAT_MS) return;
    this.#told = now;
    this.#toldMs = nowMs;
    for (const channel of this.#watchers.keys()) channel.send({ type: 'liveness', ...now });
    this.#settle();
  }

  #settle(): void {
    if (this.#waiting.length === 0) return;
    const nowMs = this.#options.clock.monotonicMs();
    const lowest = this.#lowestReached(nowMs);
    this.#waiting = this.#waiting.filter((waiting) => {
      if (this.#leads && waiting.epoch <= lowest) {
        waiting.resolve(true);
        return false;
      }
      if (this.#leads && nowMs < waiting.untilMs) return true;
      this.#options.logger.warn({ epoch: waiting.epoch }, 'not every node acts on the newest image yet');
      waiting.resolve(false);
      return false;
    });
  }

  #lowestReached(nowMs: number): number {
    let lowest = Number.POSITIVE_INFINITY;
    const { liveness, nodes, seemsDead } = this.#options;
    for (const nodeId of nodes()) {
      if (!liveness.isExpected(nodeId, nowMs, seemsDead(nodeId))) continue;
      lowest = Math.min(lowest, this.#watcherOf.get(nodeId)?.reached ?? 0);
    }
    return lowest;
  }
}

export interface TopologyFeedOptions {
  clock: Clock;
  logger: Logger;
  liveness: NodeLiveness;
  /** Undefined while there is no cluster. */
  image(): TopologyImage | undefined;
  /** Ids of the nodes that belong to the cluster and are not gone. */
  nodes(): readonly number[];
  /** Partition 1 first. */
  partitions(): readonly PartitionInfo[];
  /** It should be heard by other ways, and is not. */
  seemsDead(nodeId: number): boolean;
  /** Who leads the metadata as far as this node knows; 0: unknown. */
  leader(): number;
  /** Those that this one knows of and that are not gone, without itself. */
  otherCoordinators(): readonly number[];
  node(nodeId: number): NodeInfo | undefined;
  assignments(): readonly QueueAssignment[];
  /** A report said something new. */
  onMoved(): void;
  /** Runs a task at the end of this turn. */
  defer(task: () => void): void;
}

interface Watcher {
  nodeId: number;
  reached: number;
}

interface Waiting {
  epoch: number;
  resolve: (reached: boolean) => void;
  untilMs: number;
}

/** In one turn, so that no change comes between its parts. */
function sendImageTo(channel: FeedChannel, whole: TopologyImage): void {
  const { access = [], ...image } = whole;
  const { epoch, queues } = image;
  for (const rows of inParts(access)) channel.send({ type: 'access-part', epoch, rows });
  const accessAhead = access.length === 0 ? undefined : access.length;
  const ahead = Math.max(0, Math.ceil(queues.length / TopologyFeed.PART_QUEUES) - 1) * TopologyFeed.PART_QUEUES;
  if (ahead === 0) {
    channel.send({ type: 'image', ...image, accessAhead });
    return;
  }
  for (let at = 0; at < ahead; at += TopologyFeed.PART_QUEUES) {
    channel.send({ type: 'image-part', epoch, queues: queues.slice(at, at + TopologyFeed.PART_QUEUES) });
  }
  channel.send({ type: 'image', ...image, queues: queues.slice(ahead), ahead, accessAhead });
}

/** A list of rules may be long: parts are measured, not counted. */
function* inParts(rows: readonly AccessRow[]): Iterable<readonly AccessRow[]> {
  let part: AccessRow[] = [];
  let sizeChars = 0;
  for (const row of rows) {
    part.push(row);
    sizeChars += JSON.stringify(row).length;
    if (sizeChars < TopologyFeed.ACCESS_PART_CHARS) continue;
    yield part;
    part = [];
    sizeChars = 0;
  }
  if (part.length > 0) yield part;
}

interface LivenessNews {
  leaders: readonly PartitionLeader[];
  alive: readonly number[];
  troubles: readonly ReplicaTrouble[];
  nodeTroubles: readonly NodeTrouble[];
  levels: readonly NodeLevels[];
  /** Each says another time, which is no news: it goes with the beat. */
  clocks: readonly ClockView[];
}

const NO_NEWS: LivenessNews = { leaders: [], alive: [], troubles: [], nodeTroubles: [], levels: [], clocks: [] };

function isSameLiveness(a: LivenessNews, b: LivenessNews): boolean {
  return (
    a.alive.join() === b.alive.join() &&
    a.levels.length === b.levels.length &&
    a.levels.every(({ nodeId, min, max }, i) => {
      const other = b.levels[i];
      return other?.nodeId === nodeId && other.min === min && other.max === max;
    }) &&
    a.troubles.length === b.troubles.length &&
    a.troubles.every(({ partition, nodeId, kind }, i) => {
      const other = b.troubles[i];
      return other?.partition === partition && other.nodeId === nodeId && other.kind === kind;
    }) &&
    a.nodeTroubles.length === b.nodeTroubles.length &&
    a.nodeTroubles.every(({ nodeId, kind }, i) => {
      const other = b.nodeTroubles[i];
      return other?.nodeId === nodeId && other.kind === kind;
    }) &&
    a.leaders.length === b.leaders.length &&
    a.leaders.every(({ partition, nodeId, term }, i) => {
      const other = b.leaders[i];
      return other?.partition === partition && other.nodeId === nodeId && other.term === term;
    })
  );
}
