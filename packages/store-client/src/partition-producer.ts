import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { type Counter, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import { isInternalQueue } from '@sluice/queue/machine/internal-queues';
import type { RecordInput } from '@sluice/queue/record/record';
import { isStream } from '@sluice/queue/session/stream-id';
import type { AppendRequest, AppendResponse, RefusedRecord } from '@sluice/rpc/contract/append';
import type { Transport } from '@sluice/rpc/transport';
import {
  type AppendLink,
  PartitionLane,
  type RecordCompletion,
  type RecordFailure,
  type UnansweredBatch,
} from './partition-lane.ts';
import type { RouteTable } from './route-table.ts';
import { StallWatch } from './stall-watch.ts';
import { StoreLinks } from './store-links.ts';
import { WatchTimer } from './watch-timer.ts';

/**
 * Publishing into partitions: a record joins its partition's open batch, a batch leaves once a turn (or when it is
 * large), batches are in flight without waiting, and each is answered once.
 *
 * A batch per message would cost a frame, a proposal and a share of a sync each; a timer that collects batches would
 * delay a lone message. The turn of the event loop is the natural batch: alone, a message leaves at once; under load,
 * what one poll of the sockets brought leaves together.
 *
 * When a store refuses or is lost, its successor gets what is unanswered, in its order. Some of it may be in the log
 * already, and copies of it may still arrive anywhere: the log takes each batch once and none before its turn, because
 * each says who sent it, its number, and which one it comes after (`queue/record/batch-origin`). So nothing is waited
 * for here: a refused batch and all behind it are taken back and sent again; another leader gets everything.
 *
 * A batch that is given up (refused for good, or not answered by the deadline) is told to its publisher and leaves its
 * place: those behind it do not come after it any more. Who publishes it again has it behind them.
 *
 * Bounds: `bufferBytesMax` over open and unanswered batches is where the gateway stops reading its sockets
 * (`congested`); a batch not answered within `deadlineMs` is given up as unknown, never as stored.
 * @hotpath
 */
export class PartitionProducer {
  readonly #topology: Topology;
  readonly #routes: RouteTable;
  readonly #links: StoreLinks<AppendRequest, AppendResponse>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #producerId: number;
  readonly #bufferBytesMax: number;
  readonly #deadlineMs: number;
  readonly #lanes = new Map<number, PartitionLane>();
  readonly #stalls: StallWatch;
  readonly #dirty: PartitionLane[] = [];
  readonly #inflight = new Map<number, UnansweredBatch>();
  #sequence = 0;
  #bufferedBytes = 0;
  #congested = false;
  #flushScheduled = false;
  readonly #reliefListeners: (() => void)[] = [];
  readonly #sweeping: WatchTimer;
  #resumeTimer: NodeJS.Timeout | undefined;
  #resumeTimerAtMs = Number.POSITIVE_INFINITY;
  #isClosed = false;
  readonly #ackSeconds: Histogram;
  readonly #batchRecords: Histogram;
  readonly #failures: Counter;
  readonly #resends: Counter;
  readonly #flush = (): void => this.#flushAll();

  /** A batch this large leaves before the turn ends: larger ones only make a longer stall of the disk. */
  static readonly BATCH_BYTES_MAX = 1024 * 1024;
  /**
   * A payload of this size is a batch of its own. In a shared one it would be copied again as the batch grows, and read
   * again with all others whenever one of them is delivered from disk; the cost of an entry is small beside it.
   */
  static readonly LARGE_PAYLOAD_BYTES = 64 * 1024;
  /** In one channel, and a batch more: a channel with much more is closed as one whose peer takes nothing. */
  static readonly UNSENT_BYTES_MAX = 128 * 1024 * 1024;
  /** How often deadlines, patience and lost channels are looked at. */
  static readonly SWEEP_MS = 50;
  /** Between two questions for a leader nobody announces. */
  static readonly BACKOFF_MS_MIN = 20;
  static readonly BACKOFF_MS_MAX = 250;
  /** A replica that is asked whether it leads, and says nothing, is not asked any longer. */
  static readonly ASKING_PATIENCE_MS = 1_000;

  constructor(options: {
    topology: Topology;
    routes: RouteTable;
    transport: Transport;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
    /** Drawn for this life, from so many numbers that no other life has the same. */
    producerId: number;
    bufferBytesMax: number;
    deadlineMs: number;
  }) {
    this.#topology = options.topology;
    this.#routes = options.routes;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#producerId = options.producerId;
    this.#bufferBytesMax = options.bufferBytesMax;
    this.#deadlineMs = options.deadlineMs;
    this.#stalls = new StallWatch(options.logger, (partition) => options.routes.leaderOf(partition));
    this.#links = new StoreLinks({
      service: 'append',
      transport: options.transport,
      clock: options.clock,
      received: (link, response) => this.#received(link, response),
      lost: (link) => this.#lost(link),
    });
    this.#routes.onLeader((partition, nodeId) => this.#leaderKnown(partition, nodeId));
    this.#sweeping = new WatchTimer(PartitionProducer.SWEEP_MS, () => this.#sweep());
    this.#ackSeconds = options.metrics.histogram(
      'sluice_gateway_append_seconds',
      'From sending a record batch until its answer',
      SYNC_SECONDS_BOUNDS,
    );
    this.#batchRecords = options.metrics.histogram(
      'sluice_gateway_append_batch_records',
      'Records in one batch',
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
    );
    this.#failures = options.metrics.counter(
      'sluice_gateway_append_failures_total',
      'Batches that were not stored, or of which nobody knows',
    );
    this.#resends = options.metrics.counter(
      'sluice_gateway_append_resends_total',
      'Record batches sent again because a store refused them or was lost',
    );
    options.metrics.collect('sluice_gateway_publish_buffer_bytes', 'Records open or unanswered', 'gauge', () => [
      [{}, this.#bufferedBytes],
    ]);
    options.metrics.collect(
      'sluice_gateway_stalled_partitions',
      'Partitions that have kept a publisher waiting for more than five seconds',
      'gauge',
      () => [[{}, this.#stalls.stalled]],
    );
  }

  get congested(): boolean {
    return this.#congested;
  }

  /** Of records open or unanswered. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  onRelief(listener: () => void): void {
    this.#reliefListeners.push(listener);
  }

  /** The image of the cluster changed: channels are open to all its stores, from the beginning. */
  topologyChanged(): void {
    this.#routes.topologyChanged();
    this.#links.keep(this.#topology.nodes());
  }

  /**
   * The payload is copied before this returns, unless it owns its buffer, which then is the batch's. `completion` hears of
   * its fate later, exactly once.
   */
  add(partition: number, record: RecordInput, completion: RecordCompletion): void {
    const lane = this.#lane(partition);
    const { builder } = lane;
    const isLarge = record.payload.length >= PartitionProducer.LARGE_PAYLOAD_BYTES;
    if (isLarge) {
      this.#finish(lane);
      const batch = builder.around(record);
      if (batch !== undefined) {
        this.#buffered(batch.length);
        this.#send(lane, batch, [completion]);
        return;
      }
    }
    const before = lane.completions.length === 0 ? 0 : builder.sizeBytes;
    builder.add(record);
    if (lane.completions.length === 0) this.#dirty.push(lane);
    lane.completions.push(completion);
    this.#buffered(builder.sizeBytes - before);
    if (isLarge || builder.isFull || builder.sizeBytes >= PartitionProducer.BATCH_BYTES_MAX) this.#finish(lane);
    else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(this.#flush);
    }
  }

  /** Nobody hears of what is still unanswered. */
  close(): void {
    this.#isClosed = true;
    this.#sweeping.close();
    clearTimeout(this.#resumeTimer);
    this.#links.close();
  }

  #buffered(bytes: number): void {
    this.#bufferedBytes += bytes;
    if (this.#bufferedBytes > this.#bufferBytesMax) this.#congested = true;
  }

  #lane(partition: number): PartitionLane {
    let lane = this.#lanes.get(partition);
    if (lane === undefined) {
      lane = new PartitionLane(partition);
      this.#lanes.set(partition, lane);
    }
    return lane;
  }

  #flushAll(): void {
    this.#flushScheduled = false;
    for (const lane of this.#dirty) this.#finish(lane);
    this.#dirty.length = 0;
  }

  /** The batch that gathers is complete. */
  #finish(lane: PartitionLane): void {
    if (lane.completions.length === 0) return;
    const { completions } = lane;
    lane.completions = [];
    this.#send(lane, lane.builder.finish(), completions);
  }

  /** Or waits behind the others. */
  #send(lane: PartitionLane, bytes: Uint8Array, completions: readonly RecordCompletion[]): void {
    this.#batchRecords.observe(completions.length);
    const batch: UnansweredBatch = {
      lane,
      bytes,
      completions,
      createdMs: this.#clock.monotonicMs(),
      number: 0,
      sequence: 0,
      attempts: 0,
      before: undefined,
      behind: undefined,
    };
    lane.append(batch);
    this.#sweeping.watch();
    if (lane.state === 'flowing') this.#sendWaiting(lane);
    else if (lane.state === 'held') this.#tryResume(lane);
  }

  /** As far as the channel takes it; the rest follows with an answer, or with the next look. */
  #sendWaiting(lane: PartitionLane): void {
    const unsentMax = PartitionProducer.UNSENT_BYTES_MAX;
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
        this.#complete(batch, response.refused);
        break;
      case 'storage-full':
        // Those behind it are told the same, or that they have come before their turn.
        lane.remove(batch);
        this.#fail(batch, 'storage-full');
        if (lane.state !== 'held') this.#routes.confirmed(lane.partition, link.nodeId);
        break;
      case 'unavailable':
        lane.remove(batch);
        lane.state = 'held';
        this.#routes.suspect(lane.partition, link.nodeId);
        this.#fail(batch, 'unavailable');
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
    const doubled = Math.max(PartitionProducer.BACKOFF_MS_MIN, lane.backoffMs * 2);
    lane.backoffMs = Math.min(doubled, PartitionProducer.BACKOFF_MS_MAX);
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
      lane.patienceUntilMs = nowMs + PartitionProducer.ASKING_PATIENCE_MS;
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

  // ---- fates

  #complete(batch: UnansweredBatch, answered: readonly RefusedRecord[]): void {
    const { completions } = batch;
    const refused = answered.length === 0 ? answered : answered.filter((record) => this.#counts(record));
    for (const { slot, code } of refused) completions[slot]?.recordFailed(code);
    for (let slot = 0; slot < completions.length; slot++) {
      if (refused.length === 0 || !isRefused(refused, slot)) (completions[slot] as RecordCompletion).recordStored();
    }
    this.#release(batch);
  }

  /**
   * A queue that was removed while the record was on its way refuses nothing: the record was there before the end, and
   * went with the queue. Only one that is still defined here, and not there yet, is a reason to try again. What the
   * broker keeps for itself is never removed, and a stream that is gone has nobody left to miss the record.
   */
  #counts({ queueId, code }: RefusedRecord): boolean {
    if (isInternalQueue(queueId)) return !isStream(queueId);
    if (code === 'queue-removed') return false;
    return code !== 'queue-unknown' || this.#topology.queue(queueId) !== undefined;
  }

  #fail(batch: UnansweredBatch, failure: RecordFailure): void {
    this.#failures.add();
    for (const completion of batch.completions) completion.recordFailed(failure);
    this.#release(batch);
  }

  #release(batch: UnansweredBatch): void {
    this.#bufferedBytes -= batch.bytes.length;
    batch.lane.forget(batch);
    assert(this.#bufferedBytes > -this.#bufferBytesMax, 'what is released was counted before');
    if (!this.#congested || this.#bufferedBytes > this.#bufferBytesMax / 2) return;
    this.#congested = false;
    for (const listener of this.#reliefListeners) listener();
  }

  /** Returns whether anything is still unanswered. */
  #sweep(): boolean {
    const nowMs = this.#clock.monotonicMs();
    let isUnanswered = false;
    for (const lane of this.#lanes.values()) {
      this.#stalls.look(lane, nowMs);
      if (lane.head === undefined) continue;
      if (nowMs - lane.head.createdMs > this.#deadlineMs) this.#giveUpLate(lane, nowMs);
      if (lane.state === 'flowing') this.#sendWaiting(lane);
      if (lane.state === 'asking' && nowMs >= lane.patienceUntilMs) this.#unanswered(lane, nowMs);
      isUnanswered ||= lane.head !== undefined;
    }
    return isUnanswered;
  }

  #giveUpLate(lane: PartitionLane, nowMs: number): void {
    // Silent all the time.
    if (lane.sent > 0 && nowMs - lane.heardMs > this.#deadlineMs) this.#unanswered(lane, nowMs);
    let records = 0;
    while (lane.head !== undefined && nowMs - lane.head.createdMs > this.#deadlineMs) {
      const batch = lane.head;
      if (batch.sequence !== 0) {
        this.#inflight.delete(batch.sequence);
        lane.markAnswered(batch);
      }
      lane.remove(batch);
      records += batch.completions.length;
      this.#fail(batch, 'unavailable');
    }
    this.#logger.warn({ partition: lane.partition, records }, 'record batches were not answered in time');
    if (lane.state === 'asking' && lane.sent === 0) lane.state = 'held';
    this.#tryResume(lane);
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

function isRefused(refused: readonly RefusedRecord[], slot: number): boolean {
  for (const record of refused) if (record.slot === slot) return true;
  return false;
}
