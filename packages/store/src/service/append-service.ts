import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { ApplyReply } from '@sluice/queue/machine/apply/apply-reply';
import type { BatchOrigin } from '@sluice/queue/record/batch-origin';
import { checkRecordBatch } from '@sluice/queue/record/record-batch';
import { RecordCursor } from '@sluice/queue/record/record-cursor';
import type { AppendRequest, AppendResponse, AppendStatus, RefusedRecord } from '@sluice/rpc/contract/append';
import type { Channel } from '@sluice/rpc/transport';
import type { DiskGuard } from '../disk-guard.ts';
import type { Partition } from '../partition/partition.ts';
import type { DropReason, Proposal } from '../partition/proposal.ts';
import type { RecordReader } from '../read/record-reader.ts';

/**
 * Takes record batches from gateways: checks what a committed entry must never contain, asks the disk guard, proposes.
 * `committed` is answered when the entry was applied, hence is on the disks of a majority; nothing earlier is a promise.
 *
 * Batches of a partition follow each other on a channel without waiting, so those behind a refused one are on their way
 * already. The machine would not store them (`queue/machine/apply/producers`), but they would be in the log: a batch is
 * proposed only when the one it comes after is in the log as far as the machine has applied it, or was proposed before
 * it on the same channel under the same term. One that the machine knows to be stored is answered at once.
 *
 * A gateway may hear of a new queue before this store does. Its records are not refused for that, which would disconnect
 * publishers of MQTT 3.1.1: the batch is asked for again until the queue is here. A queue that is older than the newest
 * known here and yet unknown was removed.
 */
export class AppendService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #disk: Pick<DiskGuard, 'admits'>;
  readonly #records: RecordReader;
  readonly #queueIdMax: () => number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #malformed: Counter;
  readonly #refusedFull: Counter;
  readonly #publishers = new Set<Publisher>();
  /** By partition: since when publishes for queues that are unknown here wait, and what is known here meanwhile. */
  readonly #ahead = new Map<number, { sinceMs: number; known: number }>();

  /** Longer behind a gateway, this store is not about to know: the queue alone refuses, and its partition goes on. */
  static readonly AHEAD_MS_MAX = 3_000;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    disk: Pick<DiskGuard, 'admits'>;
    records: RecordReader;
    /** Id of the newest queue that partitions led here were told of. */
    queueIdMax: () => number;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
  }) {
    this.#partitions = options.partitions;
    this.#disk = options.disk;
    this.#records = options.records;
    this.#queueIdMax = options.queueIdMax;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#malformed = options.metrics.counter(
      'sluice_store_malformed_batches_total',
      'Record batches refused because they cannot be read',
    );
    this.#refusedFull = options.metrics.counter(
      'sluice_store_refused_batches_total',
      'Record batches refused before they were proposed',
      { reason: 'storage-full' },
    );
  }

  accept(channel: AppendChannel): void {
    const publisher = new Publisher(channel);
    this.#publishers.add(publisher);
    channel.onMessage((request) => this.#append(publisher, request));
    channel.onClose(() => this.#publishers.delete(publisher));
    for (const partition of this.#partitions.values()) if (partition.serves) publisher.leading(partition);
  }

  /** This node leads the partition and takes its publishes: gateways need not find out by asking around. */
  serving(partition: Partition): void {
    for (const publisher of this.#publishers) publisher.leading(partition);
  }

  #append(publisher: Publisher, request: AppendRequest): void {
    const partition = this.#partitions.get(request.partition);
    const status = this.#propose(publisher, request, partition);
    if (status === undefined) return;
    publisher.answer(request.sequence, status, NONE, partition?.leader ?? 0);
  }

  /** Undefined when the answer follows, or was given. */
  #propose(publisher: Publisher, request: AppendRequest, partition: Partition | undefined): AppendStatus | undefined {
    if (partition === undefined) return 'not-leader';
    // Nobody else will ever lead it: waiting for a leader would be in vain.
    if (partition.isStopped && partition.isAlone) return 'unavailable';
    if (!partition.serves) return 'not-leader';
    let queueIdMax = 0;
    let origin: BatchOrigin | undefined;
    try {
      ({ queueIdMax, origin } = checkRecordBatch(request.batch));
    } catch (cause) {
      this.#malformed.add();
      this.#logger.error({ err: cause, partition: request.partition }, 'a record batch cannot be read and was refused');
      return 'unavailable';
    }
    const pending = new PendingAppend(publisher, request, partition, this.#records, this.#queueIdMax());
    const foreseen = origin === undefined ? undefined : partition.queues.foresee(origin);
    if (foreseen !== undefined && foreseen.type !== 'out-of-order') {
      pending.replied(foreseen);
      return undefined;
    }
    // Before the order, so that all that were sent behind a refused one are told at once what is wrong.
    if (!this.#disk.admits(request.batch.length)) {
      this.#refusedFull.add();
      return 'storage-full';
    }
    if (foreseen !== undefined && !publisher.hasProposed(partition, (origin as BatchOrigin).after))
      return 'out-of-order';
    if (this.#shallWait(partition, request.batch, queueIdMax)) return 'busy';
    const outcome = partition.propose(request.batch, pending);
    if (outcome === 'unavailable') {
      // It stops, and may take itself for the leader all the same. Another one leads soon, or this one again.
      publisher.answer(request.sequence, 'not-leader', NONE, 0);
      return undefined;
    }
    if (outcome !== 'proposed') return outcome;
    if (origin !== undefined) publisher.proposed(partition, origin.sequence);
    return undefined;
  }

  /** For a queue of which nobody has told this store. A former leader may have told the partition. */
  #shallWait(partition: Partition, batch: Uint8Array, newest: number): boolean {
    const { groupId } = partition;
    const known = this.#queueIdMax();
    if (newest <= known || !hasUnknownQueue(batch, known, partition.queues)) {
      if (this.#ahead.size > 0) this.#ahead.delete(groupId);
      return false;
    }
    const nowMs = this.#clock.monotonicMs();
    const before = this.#ahead.get(groupId);
    // It was told of some since: of this one, too, it may be about to know.
    const sinceMs = before?.known === known ? before.sinceMs : nowMs;
    if (sinceMs === nowMs) this.#ahead.set(groupId, { sinceMs, known });
    return nowMs - sinceMs < AppendService.AHEAD_MS_MAX;
  }
}

function hasUnknownQueue(batch: Uint8Array, queueIdMax: number, queues: Partition['queues']): boolean {
  const cursor = new RecordCursor();
  cursor.reset(batch);
  while (cursor.next()) {
    while (cursor.nextTarget()) {
      if (cursor.queueId > queueIdMax && queues.queue(cursor.queueId) === undefined) return true;
    }
  }
  return false;
}

type AppendChannel = Channel<AppendResponse, AppendRequest>;

const NONE: readonly never[] = [];

/** A gateway's channel, and what came over it: from one producer, hence in one order. */
class Publisher {
  /** By partition, the last one. */
  readonly #proposed = new Map<number, { term: number; sequence: number }>();
  readonly #channel: AppendChannel;

  constructor(channel: AppendChannel) {
    this.#channel = channel;
  }

  proposed({ groupId, term }: Partition, sequence: number): void {
    const last = this.#proposed.get(groupId);
    if (last === undefined) {
      this.#proposed.set(groupId, { term, sequence });
      return;
    }
    last.term = term;
    last.sequence = sequence;
  }

  /** In another term it may have been dropped: then it counts when it is applied. */
  hasProposed({ groupId, term }: Partition, sequence: number): boolean {
    const last = this.#proposed.get(groupId);
    return last !== undefined && last.term === term && sequence <= last.sequence;
  }

  leading(partition: Partition): void {
    this.#channel.send({ type: 'leading', partition: partition.groupId, term: partition.term });
  }

  answer(
    sequence: number,
    status: AppendStatus,
    refused: Extract<AppendResponse, { type: 'answer' }>['refused'],
    leader: number,
  ): void {
    this.#channel.send({ type: 'answer', sequence, status, refused, leader });
  }
}

class PendingAppend implements Proposal {
  readonly #publisher: Publisher;
  readonly #request: AppendRequest;
  readonly #partition: Partition;
  readonly #records: RecordReader;
  readonly #queueIdMax: number;

  constructor(
    publisher: Publisher,
    request: AppendRequest,
    partition: Partition,
    records: RecordReader,
    queueIdMax: number,
  ) {
    this.#publisher = publisher;
    this.#request = request;
    this.#partition = partition;
    this.#records = records;
    this.#queueIdMax = queueIdMax;
  }

  applied(index: number, reply: ApplyReply): void {
    const { batch } = this.#request;
    if (reply.type === 'appended' && this.#partition.demand.isWanted(batch))
      this.#records.remember(this.#partition.groupId, index, batch);
    this.replied(reply);
  }

  replied(reply: ApplyReply): void {
    switch (reply.type) {
      case 'appended':
      case 'repeated': {
        const { refused } = reply;
        const told = refused.length === 0 ? refused : refused.map((record) => this.#told(record));
        this.#partition.dispatches.balance.committed(this.#request.batch, () => this.#answer('committed', told));
        break;
      }
      case 'out-of-order':
        this.#answer('out-of-order');
        break;
      default:
        assert(reply.type === 'answer-forgotten', 'a batch is answered as one');
        this.#answer('unavailable');
    }
  }

  /** Unless it is certain that it is not stored, nobody may be told so: a node that failed may have sent it on before. */
  dropped(reason: DropReason): void {
    this.#answer(reason === 'not-leader' ? 'not-leader' : 'unknown');
  }

  #answer(status: AppendStatus, refused: readonly RefusedRecord[] = NONE): void {
    const leader = status === 'committed' ? 0 : this.#partition.leader;
    this.#publisher.answer(this.#request.sequence, status, refused, leader);
  }

  /** The machine forgets a queue once its removal is done. */
  #told(record: RefusedRecord): RefusedRecord {
    const isForgotten = record.code === 'queue-unknown' && record.queueId <= this.#queueIdMax;
    return isForgotten ? { ...record, code: 'queue-removed' } : record;
  }
}
