import { SluiceError } from '@sluice/common/errors';
import type { Topology } from '@sluice/meta/topology';
import type { IndexRow } from '@sluice/queue/machine/index-row';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import { recordAt } from '@sluice/queue/record/record-batch';
import type {
  PeekedRecord,
  StoreAdminRequest,
  StoreAdminResponse,
  StoreQueueStatistics,
} from '@sluice/rpc/contract/store-admin';
import type { Partition } from '../partition.ts';
import type { RecordReader } from '../record-reader.ts';

/** Answers what operators ask of the queues this node leads. Nothing here is on a message's way. */
export class AdminService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #records: RecordReader;

  /** Index rows read at once while peeking. */
  static readonly PEEK_ROWS = 32;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    records: RecordReader;
  }) {
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#records = options.records;
  }

  async answer(request: StoreAdminRequest): Promise<StoreAdminResponse> {
    try {
      switch (request.type) {
        case 'statistics':
          return { type: 'statistics', queues: await this.#statistics(request.queueIds) };
        case 'purge':
          return await this.#purge(request.queueId);
        case 'peek':
          return await this.#peek(request);
      }
    } catch (cause) {
      if (cause instanceof SluiceError) return { type: 'refused', code: 'unavailable', message: cause.message };
      throw cause;
    }
  }

  /** Every queue of the partitions led here, for the metrics page. */
  async *allStatistics(): AsyncIterable<StoreQueueStatistics> {
    for (const partition of this.#partitions.values()) {
      if (!partition.leads) continue;
      for (const queue of partition.machine.queues()) if (!queue.isRemoved) yield await this.#figures(partition, queue);
    }
  }

  async #statistics(queueIds: readonly number[]): Promise<StoreQueueStatistics[]> {
    const found: StoreQueueStatistics[] = [];
    for (const queueId of queueIds) {
      const at = this.#locate(queueId);
      if (at !== undefined) found.push(await this.#figures(at.partition, at.queue));
    }
    return found;
  }

  async #figures(partition: Partition, queue: Readonly<QueueState>): Promise<StoreQueueStatistics> {
    const dispatch = partition.existingDispatch(queue.queueId);
    const first = queue.depth === 0 ? undefined : await this.#firstLive(partition, queue);
    return {
      queueId: queue.queueId,
      partition: partition.groupId,
      depth: queue.depth,
      depthBytes: queue.depthBytes,
      inflight: dispatch?.inflight ?? 0,
      consumers: dispatch?.consumerCount ?? 0,
      keys: queue.keyCount,
      head: first === undefined ? queue.tail : first.offset,
      tail: queue.tail,
      oldestAppendedAtMs: first?.row.appendedAtMs ?? 0,
      publishedTotal: queue.published,
      publishedBytesTotal: queue.publishedBytes,
      acceptedTotal: queue.accepted,
      returnedTotal: queue.returned,
      refusedTotal: queue.refused,
      expiredTotal: queue.expired + queue.droppedExpired,
      overwrittenTotal: queue.overwritten,
      droppedTotal: queue.droppedOverflow,
      purgedTotal: queue.droppedPurged,
      deliveredTotal: dispatch?.deliveredTotal ?? 0,
      redeliveredTotal: dispatch?.redeliveredTotal ?? 0,
    };
  }

  async #firstLive(
    partition: Partition,
    queue: Readonly<QueueState>,
  ): Promise<{ row: IndexRow; offset: number } | undefined> {
    for (const row of await partition.index.rowsFrom(queue.queueId, queue.head, 1)) {
      const offset = row.nextLive(row.base);
      if (offset !== -1) return { row, offset };
    }
    return undefined;
  }

  async #purge(queueId: number): Promise<StoreAdminResponse> {
    const at = this.#locate(queueId);
    if (at === undefined) return UNKNOWN;
    await at.partition.written();
    return { type: 'purged', count: await at.partition.dropper.purge(queueId) };
  }

  async #peek(request: Extract<StoreAdminRequest, { type: 'peek' }>): Promise<StoreAdminResponse> {
    const at = this.#locate(request.queueId);
    if (at === undefined) return UNKNOWN;
    const { partition, queue } = at;
    await partition.written();
    const records: PeekedRecord[] = [];
    let from = Math.max(request.fromOffset, queue.head);
    let rowBase = await this.#rowHolding(partition, queue, from);
    for (;;) {
      const rows = await partition.index.rowsFrom(queue.queueId, rowBase, AdminService.PEEK_ROWS);
      for (const row of rows) {
        for (let offset = row.nextLive(from); offset !== -1; offset = row.nextLive(offset + 1)) {
          if (records.length >= request.limit) return { type: 'peeked', records, nextOffset: offset };
          records.push(await this.#peekedRecord(partition, queue.queueId, row, offset, request.payloadBytesMax));
        }
        from = Math.max(from, row.base + row.count);
        rowBase = row.base + row.count;
      }
      if (rows.length < AdminService.PEEK_ROWS) return { type: 'peeked', records, nextOffset: 0 };
    }
  }

  /** The base of the row an offset lies in: found from the head, because rows are known by their first offset only. */
  async #rowHolding(partition: Partition, queue: Readonly<QueueState>, offset: number): Promise<number> {
    let base = queue.head;
    while (base < offset) {
      const rows = await partition.index.rowsFrom(queue.queueId, base, AdminService.PEEK_ROWS);
      for (const row of rows) {
        if (row.base + row.count > offset) return row.base;
        base = row.base + row.count;
      }
      if (rows.length < AdminService.PEEK_ROWS) return base;
    }
    return base;
  }

  async #peekedRecord(
    partition: Partition,
    queueId: number,
    row: IndexRow,
    offset: number,
    payloadBytesMax: number,
  ): Promise<PeekedRecord> {
    const { groupId } = partition;
    const batch = this.#records.recent(groupId, row.entryIndex) ?? (await this.#records.read(groupId, row.entryIndex));
    const record = recordAt(batch, queueId, row.n(offset), row.rejectedSlots);
    return {
      offset,
      topic: record.topic,
      publisher: record.publisher,
      publishedAtMs: record.publishedAtMs,
      expiresAtMs: record.expiresAtMs,
      deliveryCount: row.returnCountOf(offset),
      inflight: partition.existingDispatch(queueId)?.isHeld(offset) ?? false,
      key: row.keyOf(offset)?.slice(),
      qos: record.qos,
      retain: record.retain,
      properties: record.properties,
      payload: record.payload.slice(0, payloadBytesMax),
      payloadSizeBytes: record.payload.length,
    };
  }

  #locate(queueId: number): { partition: Partition; queue: Readonly<QueueState> } | undefined {
    for (const number of this.#topology.queue(queueId)?.partitions ?? []) {
      const partition = this.#partitions.get(number);
      const queue = partition?.leads === true ? partition.machine.queue(queueId) : undefined;
      if (partition !== undefined && queue !== undefined) return { partition, queue };
    }
    return undefined;
  }
}

const UNKNOWN: StoreAdminResponse = {
  type: 'refused',
  code: 'queue-unknown',
  message: 'no partition led here holds that queue',
};
