import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Topology } from '@sluice/meta/topology';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { recordAt } from '@sluice/queue/record/record-batch';
import type {
  PeekedRecord,
  StoreAdminRequest,
  StoreAdminResponse,
  StoreQueueStatistics,
} from '@sluice/rpc/contract/store-admin';
import { meanOf } from '../metrics/queue-figures.ts';
import type { QueuePace } from '../metrics/queue-pace.ts';
import type { Partition } from '../partition/partition.ts';
import { membersOf } from '../placement/partition-set.ts';
import type { RecordReader } from '../read/record-reader.ts';

/**
 * Answers what operators ask of the queues this node leads, and what other stores ask of its groups. Nothing here is on a
 * message's way.
 *
 * A node that was cut off believes for a moment that it still leads, and what it knows is old by then. So every answer
 * waits until a majority has confirmed the leadership.
 */
export class AdminService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #records: RecordReader;
  readonly #wouldLead: (partition: Partition) => boolean;
  readonly #paceOf: (queue: Readonly<QueueState>) => QueuePace | undefined;
  readonly #clock: Clock;

  /** Index rows read at once while peeking. */
  static readonly PEEK_ROWS = 32;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    records: RecordReader;
    wouldLead: (partition: Partition) => boolean;
    paceOf: (queue: Readonly<QueueState>) => QueuePace | undefined;
    clock: Clock;
  }) {
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#records = options.records;
    this.#wouldLead = options.wouldLead;
    this.#paceOf = options.paceOf;
    this.#clock = options.clock;
  }

  async answer(request: StoreAdminRequest): Promise<StoreAdminResponse> {
    try {
      switch (request.type) {
        case 'statistics':
          return await this.#statistics(request.queueIds);
        case 'purge':
          return await this.#purge(request.queueId, request.partition);
        case 'peek':
          return await this.#peek(request);
        case 'erase-retained':
          return await this.#eraseRetained(request.partition, request.topic);
        case 'membership':
          return await this.#membership(request.partition);
        case 'would-lead': {
          const partition = this.#partitions.get(request.partition);
          return { type: 'would-lead', would: partition !== undefined && this.#wouldLead(partition) };
        }
      }
    } catch (cause) {
      if (!(cause instanceof SluiceError)) throw cause;
      return { type: 'refused', code: 'unavailable', message: cause.message, leader: 0 };
    }
  }

  async #statistics(queueIds: readonly number[]): Promise<StoreAdminResponse> {
    const numbers = new Set<number>();
    for (const queueId of queueIds) {
      for (const number of this.#topology.queue(queueId)?.partitions ?? []) numbers.add(number);
    }
    const led = new Map<number, Partition>();
    const elsewhere: { partition: number; leader: number }[] = [];
    await Promise.all(
      [...numbers].map(async (number) => {
        const partition = this.#partitions.get(number);
        if ((await partition?.confirmsLeadership()) === true) led.set(number, partition as Partition);
        else elsewhere.push({ partition: number, leader: partition?.leader ?? this.#topology.leaderOf(number) });
      }),
    );
    const queues: StoreQueueStatistics[] = [];
    for (const queueId of queueIds) {
      for (const number of this.#topology.queue(queueId)?.partitions ?? []) {
        const partition = led.get(number);
        const queue = partition?.queues.queue(queueId);
        if (partition !== undefined && queue !== undefined) queues.push(await this.#figures(partition, queue));
      }
    }
    return { type: 'statistics', queues, elsewhere };
  }

  /**
   * Only of a group that this node still leads: replicas are given up because of it. A change that is in force and not yet
   * committed can add a member that acknowledges already, or remove one that may be needed again: both count.
   */
  async #membership(number: number): Promise<StoreAdminResponse> {
    const partition = this.#partitions.get(number);
    if (partition === undefined || !(await partition.confirmsLeadership())) return this.#notLeader(number);
    const committed = partition.committedMembership;
    if (committed === undefined) return this.#notLeader(number);
    const { membership, index } = committed;
    const members = [...new Set([...membersOf(membership), ...membersOf(partition.membershipInForce ?? membership)])];
    return { type: 'membership', term: partition.term, index, members };
  }

  async #figures(partition: Partition, queue: Readonly<QueueState>): Promise<StoreQueueStatistics> {
    const load = partition.dispatches.get(queue.queueId)?.load;
    const counts = partition.dispatches.counts(queue.queueId);
    const pace = this.#paceOf(queue);
    const quietSinceMs = Math.max(pace?.acceptedMs ?? 0, pace?.sinceMs ?? 0);
    const found = queue.depth === 0 ? undefined : await this.#firstLive(partition, queue);
    // It may have been drained while that was read: then there is none, and the row is one of before.
    const first = queue.depth === 0 ? undefined : found;
    return {
      queueId: queue.queueId,
      partition: partition.groupId,
      depth: queue.depth,
      depthBytes: queue.depthBytes,
      inflight: load?.inflight ?? 0,
      consumers: load?.consumerCount ?? 0,
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
      deliveredTotal: counts?.delivered ?? 0,
      redeliveredTotal: counts?.redelivered ?? 0,
      publishedPace: pace?.published,
      gonePace: pace?.gone,
      quietMs: quietSinceMs === 0 ? 0 : this.#clock.monotonicMs() - quietSinceMs,
      jobMs: meanOf(counts?.processingSeconds) * 1_000,
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

  async #purge(queueId: number, number: number): Promise<StoreAdminResponse> {
    const at = await this.#locate(queueId, number);
    if ('type' in at) return at;
    if (!(await at.partition.written())) return UNWRITTEN;
    const count = await at.partition.dropper.purge(queueId);
    return count === undefined ? this.#notLeader(at.partition.groupId) : { type: 'purged', count };
  }

  /** By settling it: a tombstone would need the way of a publish. What replaces it meanwhile is newer, and stays. */
  async #eraseRetained(number: number, topic: string): Promise<StoreAdminResponse> {
    const partition = this.#partitions.get(number);
    if (partition === undefined || !(await partition.confirmsLeadership())) return this.#notLeader(number);
    if (!(await partition.written())) return UNWRITTEN;
    const place = await partition.index.key(RETAINED_QUEUE_ID, Buffer.from(topic));
    if (place === undefined) return { type: 'purged', count: 0 };
    const { rowBase, offset } = place;
    const rows = [{ queueId: RETAINED_QUEUE_ID, rowBase, accepted: [offset, offset + 1] }];
    const reply = await partition.execute({ type: 'settle', rows });
    return reply === undefined ? this.#notLeader(number) : { type: 'purged', count: 1 };
  }

  async #peek(request: Extract<StoreAdminRequest, { type: 'peek' }>): Promise<StoreAdminResponse> {
    const at = await this.#locate(request.queueId, request.partition);
    if ('type' in at) return at;
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
    const entry = this.#records.recent(groupId, row.entryIndex) ?? (await this.#records.read(groupId, row.entryIndex));
    const record = recordAt(entry.data, queueId, row.n(offset), row.rejectedSlots);
    return {
      offset,
      topic: record.topic,
      publisher: record.publisher,
      publishedAtMs: record.publishedAtMs,
      expiresAtMs: record.expiresAtMs,
      deliveryCount: row.returnCountOf(offset),
      inflight: partition.dispatches.get(queueId)?.isHeld(offset) ?? false,
      key: row.keyOf(offset)?.slice(),
      qos: record.qos,
      retain: record.retain,
      properties: record.properties,
      payload: record.payload.slice(0, payloadBytesMax),
      payloadSizeBytes: record.payload.length,
    };
  }

  /** The queue in this partition, or in its first one for 0, if a majority confirms that it is led here. */
  async #locate(
    queueId: number,
    number: number,
  ): Promise<{ partition: Partition; queue: Readonly<QueueState> } | Refused> {
    const definition = this.#topology.queue(queueId);
    const at = number === 0 ? definition?.partitions[0] : number;
    if (at === undefined || definition?.partitions.includes(at) === false) return UNKNOWN;
    const partition = this.#partitions.get(at);
    if (partition === undefined || !(await partition.confirmsLeadership())) return this.#notLeader(at);
    const queue = partition.queues.queue(queueId);
    return queue === undefined ? UNKNOWN : { partition, queue };
  }

  #notLeader(number: number): Refused {
    const leader = this.#partitions.get(number)?.leader ?? this.#topology.leaderOf(number);
    const message = `partition ${number} is not led here`;
    return { type: 'refused', code: 'not-leader', message, leader };
  }
}

type Refused = Extract<StoreAdminResponse, { type: 'refused' }>;

/** What is to go may be among the rows that wait for room on the disk; a look, which tells nobody that all is done, goes on. */
const UNWRITTEN: Refused = {
  type: 'refused',
  code: 'unavailable',
  message: 'what was stored last waits for room on the disk of the leader',
  leader: 0,
};

const UNKNOWN: Refused = {
  type: 'refused',
  code: 'queue-unknown',
  message: 'that partition does not hold that queue',
  leader: 0,
};
