import type { Clock } from '@sluice/common/clock';
import type { Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import { type Outcome, refuse } from '@sluice/rpc/contract/queue-management';
import type {
  RetainedList,
  RetainedManagement,
  RetainedMessage,
  RetainedSummary,
} from '@sluice/rpc/contract/retained-management';
import type { StoreAdminRequest, StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { Transport } from '@sluice/rpc/transport';
import { RetainedLookups, type RetainedRoutes } from './retained-lookups.ts';
import { partitionOfTopic } from './topic-partition.ts';

/** Retained messages as operators see them: read as subscribers read them, removed by the store that leads their partition. */
export class RetainedAdministration implements RetainedManagement {
  readonly #lookups: RetainedLookups;
  readonly #topology: Topology;
  readonly #transport: Pick<Transport, 'call'>;
  readonly #clock: Clock;

  static readonly DEADLINE_MS = 10_000;
  static readonly PAUSE_MS = 50;

  constructor(options: {
    topology: Topology;
    transport: Pick<Transport, 'call'>;
    clock: Clock;
    metrics: Metrics;
  }) {
    this.#lookups = new RetainedLookups({ ...options, routes: new ImageRoutes(options.topology) });
    this.#topology = options.topology;
    this.#transport = options.transport;
    this.#clock = options.clock;
  }

  async list(filter: string, skip: number, limit: number): Promise<Outcome<RetainedList>> {
    const messages: RetainedSummary[] = [];
    let seen = 0;
    const isWhole = await this.#read(filter, (record) => {
      if (seen++ >= skip && messages.length < limit) messages.push(summaryOf(record));
      return seen <= skip + limit;
    });
    return isWhole ? { ok: true, value: { messages, hasMore: seen > skip + limit } } : UNAVAILABLE;
  }

  async get(topic: string): Promise<Outcome<RetainedMessage>> {
    // Taken as a filter it would find others.
    if (topic.includes('#') || topic.includes('+')) return NOT_FOUND;
    const found: RetainedMessage[] = [];
    const isWhole = await this.#read(topic, (record) => {
      const { payload, properties } = record;
      found.push({ ...summaryOf(record), payload, properties });
      return true;
    });
    if (!isWhole) return UNAVAILABLE;
    const [message] = found;
    return message === undefined ? NOT_FOUND : { ok: true, value: message };
  }

  /** Until `take` wants no more. False when not all of them were to be had. */
  #read(filter: string, take: (record: EncodedRecord) => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      let deadline: NodeJS.Timeout | undefined;
      const end = (isWhole: boolean): void => {
        clearTimeout(deadline);
        lookup.close();
        resolve(isWhole);
      };
      const lookup = this.#lookups.open(filter, {
        page: (records, isLast, hasFailed) => {
          const isEnough = !records.every((bytes) => take(new EncodedRecord(bytes)));
          if (isLast || isEnough) end(!hasFailed);
          else lookup.more();
        },
        // Whoever asks waits for the whole answer, and not for ever.
        stalled: () => {
          deadline ??= setTimeout(() => end(false), RetainedAdministration.DEADLINE_MS);
        },
        again: () => lookup.more(),
      });
      lookup.more();
    });
  }

  async remove(topic: string): Promise<Outcome<null>> {
    const partition = partitionOfTopic(Buffer.from(topic), this.#topology.partitionCount);
    const untilMs = this.#clock.monotonicMs() + RetainedAdministration.DEADLINE_MS;
    do {
      const leader = this.#topology.leaderOf(partition);
      const answer = leader === 0 ? undefined : await this.#ask(leader, { type: 'erase-retained', partition, topic });
      if (answer?.type === 'purged') return answer.count > 0 ? { ok: true, value: null } : NOT_FOUND;
      await new Promise((resolve) => setTimeout(resolve, RetainedAdministration.PAUSE_MS));
    } while (this.#clock.monotonicMs() < untilMs);
    return refuse('UNAVAILABLE', 'Nobody leads the partition of this topic');
  }

  async #ask(nodeId: number, request: StoreAdminRequest): Promise<StoreAdminResponse | undefined> {
    try {
      return await this.#transport.call<StoreAdminRequest, StoreAdminResponse>(nodeId, 'store-admin', request);
    } catch {
      // Nobody there: whoever leads next is asked.
      return undefined;
    }
  }
}

const NOT_FOUND = refuse('NOT_FOUND', 'Nothing is retained of this topic');
const UNAVAILABLE = refuse('UNAVAILABLE', 'A partition with retained messages does not answer');

function summaryOf({ topic, payload, qos, publisher, publishedAtMs, expiresAtMs }: EncodedRecord): RetainedSummary {
  return {
    topic,
    qos,
    publisher,
    publishedAtMs,
    expiresAtMs: expiresAtMs === 0 ? null : expiresAtMs,
    payloadSizeBytes: payload.length,
  };
}

/** A node without a gateway hears of leaders from the coordinator alone, and asks nobody to see whether he leads. */
class ImageRoutes implements RetainedRoutes {
  readonly #topology: Pick<Topology, 'leaderOf'>;

  constructor(topology: Pick<Topology, 'leaderOf'>) {
    this.#topology = topology;
  }

  leaderOf(partition: number): number {
    return this.#topology.leaderOf(partition);
  }

  candidate(): number {
    return 0;
  }

  confirmed(): void {}
  suspect(): void {}
  hinted(): void {}
}
