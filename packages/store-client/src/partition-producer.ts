import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { type Counter, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RecordInput } from '@sluice/queue/record/record';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { AppendRequest, AppendResponse, RefusedRecord } from '@sluice/rpc/contract/append';
import type { Channel, Transport } from '@sluice/rpc/transport';

/**
 * Publishing into partitions: a record joins its partition's open batch, a batch leaves once a turn (or when it is
 * large), batches are in flight without waiting, and each is answered once.
 *
 * A batch per message would cost a frame, a proposal and a share of a sync each; a timer that collects batches would
 * delay a lone message. The turn of the event loop is the natural batch: alone, a message leaves at once; under load,
 * what one poll of the sockets brought leaves together.
 *
 * Bounds: `bufferBytesMax` over open and unanswered batches is where the gateway stops reading its sockets
 * (`congested`); a batch not answered within `deadlineMs` is given up as unknown, never as stored.
 * @hotpath
 */
export class PartitionProducer {
  readonly #topology: Topology;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #bufferBytesMax: number;
  readonly #deadlineMs: number;
  readonly #open = new Map<number, OpenBatch>();
  readonly #dirty: OpenBatch[] = [];
  readonly #channels = new Map<number, Channel<AppendRequest, AppendResponse>>();
  readonly #inflight = new Map<number, InflightBatch>();
  #again: InflightBatch[] = [];
  #sequence = 0;
  #bufferedBytes = 0;
  #congested = false;
  #flushScheduled = false;
  readonly #reliefListeners: (() => void)[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #ackSeconds: Histogram;
  readonly #batchRecords: Histogram;
  readonly #failures: Counter;
  readonly #flush = (): void => this.#flushAll();

  /** A batch this large leaves before the turn ends: larger ones only make a longer stall of the disk. */
  static readonly BATCH_BYTES_MAX = 1024 * 1024;
  /**
   * A payload of this size is a batch of its own. In a shared one it would be copied again as the batch grows, and read
   * again with all others whenever one of them is delivered from disk; the cost of an entry is small beside it.
   */
  static readonly LARGE_PAYLOAD_BYTES = 64 * 1024;
  /** How often deadlines and refused leaders are looked at. */
  static readonly SWEEP_MS = 50;

  constructor(options: {
    topology: Topology;
    transport: Transport;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
    bufferBytesMax: number;
    deadlineMs: number;
  }) {
    this.#topology = options.topology;
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#bufferBytesMax = options.bufferBytesMax;
    this.#deadlineMs = options.deadlineMs;
    this.#timer = setInterval(() => this.#sweep(), PartitionProducer.SWEEP_MS);
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
    options.metrics.collect('sluice_gateway_publish_buffer_bytes', 'Records open or unanswered', 'gauge', () => [
      [{}, this.#bufferedBytes],
    ]);
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

  /** The payload is copied before this returns; `completion` hears of its fate later, exactly once. */
  add(partition: number, record: RecordInput, completion: RecordCompletion): void {
    let open = this.#open.get(partition);
    if (open === undefined) {
      open = { partition, builder: new RecordBatchBuilder(), completions: [] };
      this.#open.set(partition, open);
    }
    const isLarge = record.payload.length >= PartitionProducer.LARGE_PAYLOAD_BYTES;
    if (isLarge) this.#send(open);
    const before = open.completions.length === 0 ? 0 : open.builder.sizeBytes;
    if (open.completions.length === 0) this.#dirty.push(open);
    open.builder.add(record);
    open.completions.push(completion);
    this.#bufferedBytes += open.builder.sizeBytes - before;
    if (this.#bufferedBytes > this.#bufferBytesMax) this.#congested = true;
    if (isLarge || open.builder.isFull || open.builder.sizeBytes >= PartitionProducer.BATCH_BYTES_MAX) this.#send(open);
    else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(this.#flush);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const channel of this.#channels.values()) channel.close();
  }

  #flushAll(): void {
    this.#flushScheduled = false;
    for (const open of this.#dirty) this.#send(open);
    this.#dirty.length = 0;
  }

  #send(open: OpenBatch): void {
    if (open.completions.length === 0) return;
    const batch = open.builder.finish();
    const completions = open.completions;
    open.completions = [];
    this.#batchRecords.observe(completions.length);
    this.#dispatch({
      sequence: ++this.#sequence,
      partition: open.partition,
      batch,
      completions,
      sentMs: this.#clock.monotonicMs(),
    });
  }

  #dispatch(batch: InflightBatch): void {
    const leader = this.#topology.leaderOf(batch.partition);
    this.#inflight.set(batch.sequence, batch);
    this.#channelTo(leader).send({ sequence: batch.sequence, partition: batch.partition, batch: batch.batch });
  }

  #channelTo(nodeId: number): Channel<AppendRequest, AppendResponse> {
    let channel = this.#channels.get(nodeId);
    if (channel === undefined) {
      channel = this.#transport.open<AppendRequest, AppendResponse>(nodeId, 'append');
      channel.onMessage((response) => this.#answered(response));
      channel.onClose(() => this.#channels.delete(nodeId));
      this.#channels.set(nodeId, channel);
    }
    return channel;
  }

  #answered(response: AppendResponse): void {
    const batch = this.#inflight.get(response.sequence);
    if (batch === undefined) return;
    this.#inflight.delete(response.sequence);
    if (response.status === 'not-leader') {
      this.#again.push(batch);
      return;
    }
    this.#ackSeconds.observe((this.#clock.monotonicMs() - batch.sentMs) / 1000);
    if (response.status === 'committed') this.#complete(batch, response.refused);
    else this.#fail(batch, response.status);
  }

  #complete(batch: InflightBatch, answered: readonly RefusedRecord[]): void {
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
   * went with the queue. Only one that is still defined here, and not there yet, is a reason to try again.
   */
  #counts({ queueId, code }: RefusedRecord): boolean {
    if (code === 'queue-removed') return false;
    return code !== 'queue-unknown' || this.#topology.queue(queueId) !== undefined;
  }

  #fail(batch: InflightBatch, failure: RecordFailure): void {
    this.#failures.add();
    for (const completion of batch.completions) completion.recordFailed(failure);
    this.#release(batch);
  }

  #release(batch: InflightBatch): void {
    this.#bufferedBytes -= batch.batch.length;
    assert(this.#bufferedBytes > -this.#bufferBytesMax, 'what is released was counted before');
    if (!this.#congested || this.#bufferedBytes > this.#bufferBytesMax / 2) return;
    this.#congested = false;
    for (const listener of this.#reliefListeners) listener();
  }

  #sweep(): void {
    const again = this.#again;
    this.#again = [];
    const nowMs = this.#clock.monotonicMs();
    for (const batch of again) {
      if (nowMs - batch.sentMs > this.#deadlineMs) this.#fail(batch, 'unavailable');
      else this.#dispatch(batch);
    }
    for (const batch of this.#inflight.values()) {
      // Insertion order is close to age; one sweep late is no harm.
      if (nowMs - batch.sentMs <= this.#deadlineMs) break;
      this.#inflight.delete(batch.sequence);
      this.#logger.warn(
        { partition: batch.partition, records: batch.completions.length },
        'a batch was not answered in time',
      );
      this.#fail(batch, 'unavailable');
    }
  }
}

/** What becomes of one record of a batch. One of the two is called, once. */
export interface RecordCompletion {
  recordStored(): void;
  recordFailed(failure: RecordFailure): void;
}

export type RecordFailure = RefusedRecord['code'] | Exclude<AppendResponse['status'], 'committed' | 'not-leader'>;

interface OpenBatch {
  readonly partition: number;
  readonly builder: RecordBatchBuilder;
  completions: RecordCompletion[];
}

interface InflightBatch {
  readonly sequence: number;
  readonly partition: number;
  readonly batch: Uint8Array;
  readonly completions: readonly RecordCompletion[];
  readonly sentMs: number;
}

function isRefused(refused: readonly RefusedRecord[], slot: number): boolean {
  for (const record of refused) if (record.slot === slot) return true;
  return false;
}
