import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { type Counter, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { AppendRequest, AppendResponse, RefusedRecord } from '@sluice/rpc/contract/append';
import type { Transport } from '@sluice/rpc/transport';
import type { RouteTable } from '../route/route-table.ts';
import { StoreLinks } from '../route/store-links.ts';
import { WatchTimer } from '../route/watch-timer.ts';
import type { AppendLink, PartitionLane, RecordFailure, UnansweredBatch } from './partition-lane.ts';
import { StallWatch } from './stall-watch.ts';

/**
 * Brings finished batches to whoever leads their partition, in their order, and says what became of each, once.
 *
 * When a store refuses or is lost, its successor gets what is unanswered. Some of it may be in the log already, and
 * copies of it may still arrive anywhere: to find out first which, or to wait until no copy can arrive any more, would
 * hold publishers up for as long as the store that is gone stays silent. But the log takes each batch once and none
 * before its turn, because each says who sent it, its number, and which one it comes after
 * (`queue/record/batch-origin`). So nothing is waited for here: a refused batch and all behind it are taken back and
 * sent again; another leader gets everything.
 *
 * A batch that is given up (refused for good, or not answered by the deadline) leaves its place: those behind it do not
 * come after it any more. Who publishes it again has it behind them. At QoS 2 nothing may pass what nobody knows of, or
 * what a full disk refused, since it is brought again: what is behind it is given up with it (`PartitionLane.givenUpWith`).
 *
 * Bounds: a batch not answered within `deadlineMs` is given up as unknown, never as stored; a channel holds at most
 * `UNSENT_BYTES_MAX` and a batch.
 * @hotpath
 */
export class BatchSender {
  readonly #lanes: ReadonlyMap<number, PartitionLane>;
  readonly #topology: Topology;
  readonly #routes: RouteTable;
  readonly #links: StoreLinks<AppendRequest, AppendResponse>;
  readonly #fates: BatchFates;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #producerId: number;
  readonly #deadlineMs: number;
  readonly #stalls: StallWatch;
  readonly #inflight = new Map<number, UnansweredBatch>();
  #sequence = 0;
  readonly #sweeping: WatchTimer;
  #resumeTimer: NodeJS.Timeout | undefined;
  #resumeTimerAtMs = Number.POSITIVE_INFINITY;
  #isClosed = false;
  readonly #ackSeconds: Histogram;
  readonly #resends: Counter;

  /** In one channel, and a batch more: a channel with much more is closed as one whose peer takes nothing. */
  static readonly UNSENT_BYTES_MAX = 128 * 1024 * 1024;
  /** How often deadlines, patience and lost channels are looked at. */
  static readonly SWEEP_MS = 50;
  /** Between two questions for a leader nobody announces. */
  static readonly BACKOFF_MS_MIN = 20;
  static readonly BACKOFF_MS_MAX = 250;
  /** A replica that is asked whether it leads, and says nothing, is not asked any longer. */
  static readonly ASKING_PATIENCE_MS = 1_000;

  constructor(options: BatchSenderOptions) {
    const { routes, metrics } = options;
    this.#lanes = options.lanes;
    this.#topology = options.topology;
    this.#routes = routes;
    this.#fates = options.fates;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#producerId = options.producerId;
    this.#deadlineMs = options.deadlineMs;
    this.#stalls = new StallWatch(options.logger, (partition) => routes.leaderOf(partition));
    this.#links = new StoreLinks({
      service: 'append',
      transport: options.transport,
      clock: options.clock,
      received: (link, response) => this.#received(link, response),
      lost: (link) => this.#lost(link),
    });
    routes.onLeader((partition, nodeId) => this.#leaderKnown(partition, nodeId));
    this.#sweeping = new WatchTimer(BatchSender.SWEEP_MS, () => this.#sweep());
    this.#ackSeconds = metrics.histogram(
      'sluice_gateway_append_seconds',
      'From sending a record batch until its answer',
      SYNC_SECONDS_BOUNDS,
    );
    this.#resends = metrics.counter(
      'sluice_gateway_append_resends_total',
      'Record batches sent again because a store refused them or was lost',
    );
    metrics.collect(
      'sluice_gateway_stalled_partitions',
      'Partitions that have kept a publisher waiting for more than five seconds',
      'gauge',
      () => [[{}, this.#stalls.stalled]],
    );
  }

  /** The image of the cluster changed: channels are open to all its stores, from the beginning. */
  topologyChanged(): void {
    this.#routes.topologyChanged();
    this.#links.keep(this.#topology.nodes());
  }

  /** Behind the others of its lane: at once, or when they have gone. */
  send(batch: UnansweredBatch): void {
    const { lane } = batch;
    const { gatheringFailure } = lane;
    if (gatheringFailure !== undefined) {
      lane.gatheringFailure = undefined;
      this.#fates.failed(batch, gatheringFailure);
      return;
    }
    lane.append(batch);
    this.#sweeping.watch();
    if (lane.state === 'flowing') this.#sendWaiting(lane);
    else if (lane.state === 'held') this.#tryResume(lane);
  }

  /** Nobody hears of what is still unanswered. */
  close(): void {
    this.#isClosed = true;
    this.#sweeping.close();
    clearTimeout(this.#resumeTimer);
    this.#links.close();
  }

  /** As far as the channel takes it; the rest follows with an answer, or with the next look. */
  #sendWaiting(lane: PartitionLane): void {
    const unsentMax = BatchSender.UNSENT_BYTES_MAX;
    while (lane.firstWaiting !== undefined && (lane.link?.channel.unsentBytes ?? 0) < unsentMax) this.#sendFirst(lane);
  }

  #sendFirst(lane: PartitionLane): void {
    const batch = lane.firstWaiting as UnansweredBatch;
    if (batch.attempts > 0) {
      this.#resends.add();
      // A leader writes its stamp into the bytes, and one in this process may hold them as an entry: they stay its own.
      batch.bytes = batch.bytes.slice();
    }
    lane.writeOrigin(this.#producerId);
    const sequence = ++this.#sequence;
    lane.markSent(sequence);
    this.#inflight.set(sequence, batch);
    const request: AppendRequest = { sequence, partition: lane.partition, batch: batch.bytes };
    (lane.link as AppendLink).channel.send(request);
  }

  // ---- answers

  #received(link: AppendLink, response: AppendResponse): void {
    if (this.#isClosed) return;
    if (response.type === 'leading') {
      this.#routes.announced(response.partition, link.nodeId, response.term);
      return;
    }
    const batch = this.#inflight.get(response.sequence);
    if (batch === undefined) return;
    this.#inflight.delete(response.sequence);
    const { lane } = batch;
    lane.markAnswered(batch);
    lane.heardMs = this.#clock.monotonicMs();
    switch (response.status) {
      case 'committed':
        lane.removeStored(batch);
        lane.backoffMs = 0;
        this.#ackSeconds.observe((lane.heardMs - batch.createdMs) / 1000);
        // A former leader may say so, too, of what it had under way.
        if (lane.state !== 'held') this.#routes.confirmed(lane.partition, link.nodeId);
        this.#fates.stored(batch, response.refused);
        break;
      case 'storage-full':
        // Those behind it are told the same, or that they have come before their turn.
        this.#giveUp(lane, batch, 'storage-full');
        if (lane.state !== 'held') this.#routes.confirmed(lane.partition, link.nodeId);
        break;
      case 'unavailable':
        lane.state = 'held';
        this.#routes.suspect(lane.partition, link.nodeId);
        this.#giveUp(lane, batch, 'unavailable');
        break;
      default:
        this.#takeBack(lane, batch);
        lane.state = 'held';
        this.#backOff(lane, lane.heardMs);
        this.#refused(lane, link, response);
    }
    if (lane.state === 'held') this.#tryResume(lane);
    else if (lane.state === 'flowing') this.#sendWaiting(lane);
  }

  #refused(lane: PartitionLane, link: AppendLink, { status, leader }: AppendAnswer): void {
    const { partition } = lane;
    if (status === 'busy' || status === 'out-of-order' || leader === link.nodeId) {
      // It leads, and took nothing this time.
      this.#routes.confirmed(partition, link.nodeId);
      return;
    }
    this.#routes.suspect(partition, link.nodeId);
    this.#routes.hinted(partition, leader);
    if (this.#routes.leaderOf(partition) !== 0) lane.resumeAtMs = 0;
  }

  #lost(link: AppendLink): void {
    const nowMs = this.#clock.monotonicMs();
    this.#routes.lost(link.nodeId);
    for (const lane of this.#lanes.values()) {
      if (lane.link !== link) continue;
      this.#takeAllBack(lane);
      lane.link = undefined;
      this.#backOff(lane, nowMs);
      if (this.#routes.leaderOf(lane.partition) !== 0) lane.resumeAtMs = 0;
      this.#tryResume(lane);
    }
  }

  #leaderKnown(partition: number, nodeId: number): void {
    const lane = this.#lanes.get(partition);
    if (lane === undefined || this.#isClosed) return;
    lane.backoffMs = 0;
    lane.resumeAtMs = 0;
    const isThere = lane.link?.nodeId === nodeId;
    if (isThere && lane.state !== 'held') {
      lane.state = 'flowing';
      this.#sendWaiting(lane);
      return;
    }
    lane.state = 'held';
    this.#tryResume(lane);
  }

  // ---- holding and resuming

  #backOff(lane: PartitionLane, nowMs: number): void {
    const doubled = Math.max(BatchSender.BACKOFF_MS_MIN, lane.backoffMs * 2);
    lane.backoffMs = Math.min(doubled, BatchSender.BACKOFF_MS_MAX);
    lane.resumeAtMs = nowMs + lane.backoffMs;
  }

  /** No answer is awaited any more to this one and all behind it: they wait to be sent again. */
  #takeBack(lane: PartitionLane, from: UnansweredBatch): void {
    for (let batch: UnansweredBatch | undefined = from; batch !== lane.firstWaiting; batch = batch?.behind) {
      if (batch === undefined || batch.sequence === 0) continue;
      this.#inflight.delete(batch.sequence);
      lane.markAnswered(batch);
    }
    lane.firstWaiting = from;
  }

  #takeAllBack(lane: PartitionLane): void {
    if (lane.head !== undefined) this.#takeBack(lane, lane.head);
    lane.state = 'held';
  }

  #tryResume(lane: PartitionLane): void {
    if (lane.state !== 'held' || this.#isClosed || lane.head === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    const nodeId = nowMs < lane.resumeAtMs ? 0 : this.#routes.candidate(lane.partition);
    if (nodeId === 0) {
      if (nowMs >= lane.resumeAtMs) this.#backOff(lane, nowMs);
      this.#resumeAt(lane.resumeAtMs);
      return;
    }
    const link = this.#links.to(nodeId);
    const leads = this.#routes.leaderOf(lane.partition) === nodeId;
    if (link !== lane.link || !leads) this.#takeAllBack(lane);
    lane.link = link;
    lane.heardMs = nowMs;
    if (leads) {
      lane.state = 'flowing';
      this.#sendWaiting(lane);
    } else {
      lane.state = 'asking';
      lane.patienceUntilMs = nowMs + BatchSender.ASKING_PATIENCE_MS;
      this.#sendFirst(lane);
    }
  }

  #resumeAt(atMs: number): void {
    if (atMs >= this.#resumeTimerAtMs) return;
    clearTimeout(this.#resumeTimer);
    this.#resumeTimerAtMs = atMs;
    const delayMs = Math.max(1, Math.ceil(atMs - this.#clock.monotonicMs()));
    this.#resumeTimer = setTimeout(() => {
      this.#resumeTimerAtMs = Number.POSITIVE_INFINITY;
      for (const lane of this.#lanes.values()) this.#tryResume(lane);
    }, delayMs);
  }

  // ---- silence

  /** Returns whether anything is still unanswered. */
  #sweep(): boolean {
    const nowMs = this.#clock.monotonicMs();
    for (const lane of this.#lanes.values()) {
      this.#stalls.look(lane, nowMs);
      if (lane.head === undefined) continue;
      if (nowMs - lane.head.createdMs > this.#deadlineMs) this.#giveUpLate(lane, nowMs);
      if (lane.state === 'flowing') this.#sendWaiting(lane);
      if (lane.state === 'asking' && nowMs >= lane.patienceUntilMs) this.#unanswered(lane, nowMs);
    }
    // Asked at the end: who hears of what was given up may publish at once, in a lane that was looked at before.
    for (const { head } of this.#lanes.values()) if (head !== undefined) return true;
    return false;
  }

  #giveUpLate(lane: PartitionLane, nowMs: number): void {
    // Silent all the time.
    if (lane.sent > 0 && nowMs - lane.heardMs > this.#deadlineMs) this.#unanswered(lane, nowMs);
    let records = 0;
    while (lane.head !== undefined && nowMs - lane.head.createdMs > this.#deadlineMs) {
      records += this.#giveUp(lane, lane.head, 'unavailable');
    }
    this.#logger.warn({ partition: lane.partition, records }, 'record batches were not answered in time');
    this.#stalls.gaveUp(lane);
    if (lane.state === 'asking' && lane.sent === 0) lane.state = 'held';
    this.#tryResume(lane);
  }

  /** With what must not be stored where it is not. Returns how many publishes that are. */
  #giveUp(lane: PartitionLane, from: UnansweredBatch, failure: RecordFailure): number {
    const givenUp = lane.givenUpWith(from, failure);
    for (const batch of givenUp) {
      if (batch.sequence !== 0) {
        this.#inflight.delete(batch.sequence);
        lane.markAnswered(batch);
      }
      lane.remove(batch);
    }
    let records = 0;
    // All have left their places before anybody hears of it: who is relieved publishes at once.
    for (const batch of givenUp) {
      records += batch.completions.length;
      this.#fates.failed(batch, failure);
    }
    return records;
  }

  /** A store that says nothing: others are asked. */
  #unanswered(lane: PartitionLane, nowMs: number): void {
    this.#takeAllBack(lane);
    if (lane.link !== undefined) this.#routes.suspect(lane.partition, lane.link.nodeId);
    this.#backOff(lane, nowMs);
    this.#resumeAt(lane.resumeAtMs);
  }
}

type AppendAnswer = Extract<AppendResponse, { type: 'answer' }>;

/** Who tells publishers. For each batch one of the two is called, once. */
export interface BatchFates {
  /** It is in the log, but for the records that are named. */
  stored(batch: UnansweredBatch, refused: readonly RefusedRecord[]): void;
  /** It is given up. */
  failed(batch: UnansweredBatch, failure: RecordFailure): void;
}

export interface BatchSenderOptions {
  /** Of all partitions published to so far, by number; others join. */
  lanes: ReadonlyMap<number, PartitionLane>;
  topology: Topology;
  routes: RouteTable;
  transport: Transport;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  fates: BatchFates;
  /** Drawn for this life, from so many numbers that no other life has the same. */
  producerId: number;
  deadlineMs: number;
}
