import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import type { Counter, Histogram } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import { isInternalQueue } from '@sluice/queue/machine/internal-queues';
import type { RecordInput } from '@sluice/queue/record/record';
import { isStream } from '@sluice/queue/session/stream-id';
import type { RefusedRecord } from '@sluice/rpc/contract/append';
import { BatchSender, type BatchSenderOptions } from './batch-sender.ts';
import { PartitionLane, type RecordCompletion, type RecordFailure, type UnansweredBatch } from './partition-lane.ts';

/**
 * Publishing into partitions: a record joins its partition's open batch, a batch leaves once a turn (or when it is
 * large) with the `batch-sender`, batches are in flight without waiting, and each record hears once what became of it.
 *
 * A batch per message would cost a frame, a proposal and a share of a sync each; a timer that collects batches would
 * delay a lone message. The turn of the event loop is the natural batch: alone, a message leaves at once; under load,
 * what one poll of the sockets brought leaves together.
 *
 * Bound: `bufferBytesMax` over open and unanswered batches is where the gateway stops reading its sockets (`congested`).
 * @hotpath
 */
export class PartitionProducer {
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #bufferBytesMax: number;
  readonly #sender: BatchSender;
  readonly #lanes = new Map<number, PartitionLane>();
  readonly #dirty: PartitionLane[] = [];
  #bufferedBytes = 0;
  #congested = false;
  #flushScheduled = false;
  readonly #reliefListeners: (() => void)[] = [];
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

  constructor(options: PartitionProducerOptions) {
    const { metrics } = options;
    this.#topology = options.topology;
    this.#clock = options.clock;
    this.#bufferBytesMax = options.bufferBytesMax;
    this.#sender = new BatchSender({
      ...options,
      lanes: this.#lanes,
      fates: {
        stored: (batch, refused) => this.#stored(batch, refused),
        failed: (batch, failure) => this.#failed(batch, failure),
      },
    });
    this.#batchRecords = metrics.histogram(
      'sluice_gateway_append_batch_records',
      'Records in one batch',
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
    );
    this.#failures = metrics.counter(
      'sluice_gateway_append_failures_total',
      'Batches that were not stored, or of which nobody knows',
    );
    metrics.collect('sluice_gateway_publish_buffer_bytes', 'Records open or unanswered', 'gauge', () => [
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

  /** To be called after every change of the image of the cluster. */
  topologyChanged(): void {
    this.#sender.topologyChanged();
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
        this.#send(lane, batch, [completion], record.exchange !== undefined);
        return;
      }
    }
    const before = lane.completions.length === 0 ? 0 : builder.sizeBytes;
    builder.add(record);
    if (lane.completions.length === 0) this.#dirty.push(lane);
    lane.completions.push(completion);
    if (record.exchange !== undefined) lane.gathersExchange = true;
    this.#buffered(builder.sizeBytes - before);
    if (isLarge || builder.isFull || builder.sizeBytes >= PartitionProducer.BATCH_BYTES_MAX) this.#finish(lane);
    else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(this.#flush);
    }
  }

  /** Nobody hears of what is still unanswered. */
  close(): void {
    this.#sender.close();
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
    const { completions, gathersExchange } = lane;
    lane.completions = [];
    lane.gathersExchange = false;
    this.#send(lane, lane.builder.finish(), completions, gathersExchange);
  }

  #send(
    lane: PartitionLane,
    bytes: Uint8Array,
    completions: readonly RecordCompletion[],
    holdsExchange: boolean,
  ): void {
    this.#batchRecords.observe(completions.length);
    this.#sender.send({
      lane,
      bytes,
      completions,
      holdsExchange,
      createdMs: this.#clock.monotonicMs(),
      number: 0,
      sequence: 0,
      attempts: 0,
      before: undefined,
      behind: undefined,
    });
  }

  /** Its publishers hear: each record was stored, or refused for a reason that counts. */
  #stored(batch: UnansweredBatch, answered: readonly RefusedRecord[]): void {
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

  #failed(batch: UnansweredBatch, failure: RecordFailure): void {
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
}

export interface PartitionProducerOptions extends Omit<BatchSenderOptions, 'lanes' | 'fates'> {
  bufferBytesMax: number;
}

function isRefused(refused: readonly RefusedRecord[], slot: number): boolean {
  for (const record of refused) if (record.slot === slot) return true;
  return false;
}
