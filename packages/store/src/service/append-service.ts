import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { ApplyReply } from '@sluice/queue/machine/apply-reply';
import { checkRecordBatch } from '@sluice/queue/record/record-batch';
import type { AppendRequest, AppendResponse, AppendStatus } from '@sluice/rpc/contract/append';
import type { Channel } from '@sluice/rpc/transport';
import type { DiskGuard } from '../disk-guard.ts';
import type { Partition, Proposal } from '../partition.ts';
import type { RecordReader } from '../record-reader.ts';

/**
 * Takes record batches from gateways: checks what a committed entry must never contain, asks the disk guard, proposes.
 * `committed` is answered when the entry was applied, hence is on the disks of a majority; nothing earlier is a promise.
 */
export class AppendService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #disk: DiskGuard;
  readonly #records: RecordReader;
  readonly #logger: Logger;
  readonly #malformed: Counter;
  readonly #refusedFull: Counter;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    disk: DiskGuard;
    records: RecordReader;
    logger: Logger;
    metrics: Metrics;
  }) {
    this.#partitions = options.partitions;
    this.#disk = options.disk;
    this.#records = options.records;
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

  accept(channel: Channel<AppendResponse, AppendRequest>): void {
    channel.onMessage((request) => this.#append(channel, request));
  }

  #append(channel: Channel<AppendResponse, AppendRequest>, request: AppendRequest): void {
    const status = this.#propose(channel, request);
    if (status !== undefined) channel.send({ sequence: request.sequence, status, refused: NONE });
  }

  /** Undefined when proposed: the answer follows. */
  #propose(channel: Channel<AppendResponse, AppendRequest>, request: AppendRequest): AppendStatus | undefined {
    const partition = this.#partitions.get(request.partition);
    // Waiting for a leader would be in vain.
    if (partition?.isStopped === true) return 'unavailable';
    if (partition === undefined || !partition.leads) return 'not-leader';
    try {
      checkRecordBatch(request.batch);
    } catch (cause) {
      this.#malformed.add();
      this.#logger.error({ err: cause, partition: request.partition }, 'a record batch cannot be read and was refused');
      return 'unavailable';
    }
    if (!this.#disk.admits(request.batch.length)) {
      this.#refusedFull.add();
      return 'storage-full';
    }
    const proposal = new PendingAppend(channel, request, partition.groupId, this.#records);
    const outcome = partition.propose(request.batch, proposal);
    return outcome === 'proposed' ? undefined : outcome;
  }
}

const NONE: AppendResponse['refused'] = [];

class PendingAppend implements Proposal {
  readonly #channel: Channel<AppendResponse, AppendRequest>;
  readonly #request: AppendRequest;
  readonly #groupId: number;
  readonly #records: RecordReader;

  constructor(
    channel: Channel<AppendResponse, AppendRequest>,
    request: AppendRequest,
    groupId: number,
    records: RecordReader,
  ) {
    this.#channel = channel;
    this.#request = request;
    this.#groupId = groupId;
    this.#records = records;
  }

  applied(index: number, reply: ApplyReply): void {
    this.#records.remember(this.#groupId, index, this.#request.batch);
    const refused = reply.type === 'appended' ? reply.refused : NONE;
    this.#channel.send({ sequence: this.#request.sequence, status: 'committed', refused });
  }

  dropped(reason: 'not-leader' | 'unavailable'): void {
    this.#channel.send({ sequence: this.#request.sequence, status: reason, refused: NONE });
  }
}
