import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type {
  RetainedPage as AnsweredPage,
  RetainedAsk,
  RetainedPlace,
  RetainedRequest,
  RetainedResponse,
} from '@sluice/rpc/contract/retained';
import type { Partition } from '../partition/partition.ts';
import type { RecordReader } from '../read/record-reader.ts';
import { RetainedPage, RetainedReader } from '../retained/retained-reader.ts';
import { TopicPattern } from '../retained/topic-pattern.ts';

/**
 * Answers gateways whose clients subscribed. A majority confirms the leadership first, and what was applied by then is
 * waited for, so that a message is seen by everybody who subscribes after its publisher was told that it is kept. That
 * is done once for all the partitions and filters of a question: a thousand devices that come back at once, each with a
 * topic of its own, cost a few confirmations.
 */
export class RetainedService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #reader: RetainedReader;
  readonly #clock: Clock;
  readonly #events: RetainedEvents;
  readonly #read: Counter;

  /** Of one page; one message always fits. */
  static readonly PAGE_BYTES_MAX = 64 * 1024;
  static readonly PAGE_RECORDS_MAX = 512;
  /** Of all pages of an answer: those that find no room are empty, and asked for again. */
  static readonly ANSWER_BYTES_MAX = 1024 * 1024;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    records: RecordReader;
    clock: Clock;
    events: RetainedEvents;
    metrics: Metrics;
  }) {
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#reader = new RetainedReader(options.records);
    this.#clock = options.clock;
    this.#events = options.events;
    this.#read = options.metrics.counter('sluice_retained_read_total', 'Retained messages read for subscribers');
  }

  async answer({ asks }: RetainedRequest): Promise<RetainedResponse> {
    const led = await this.#confirmed(asks);
    const nowMs = this.#clock.nowMs();
    const pages: AnsweredPage[] = [];
    let room = RetainedService.ANSWER_BYTES_MAX;
    for (const ask of asks) {
      const bytesMax = Math.min(RetainedService.PAGE_BYTES_MAX, room);
      const page = new RetainedPage({ bytesMax, recordsMax: RetainedService.PAGE_RECORDS_MAX, nowMs });
      pages.push(await this.#page(ask, led, page));
      room -= bytesMax - page.bytesLeft;
      this.#read.add(page.records.length);
    }
    return { pages };
  }

  /**
   * The partitions asked for that are led here, as of now, with all that was acknowledged to be read. None while rows wait
   * for room on the disk: who was given what was there before would keep it for as long as it stays subscribed.
   */
  async #confirmed(asks: readonly RetainedAsk[]): Promise<ReadonlyMap<number, Partition>> {
    const numbers = new Set<number>();
    for (const { places } of asks) for (const { partition } of places) numbers.add(partition);
    const led = new Map<number, Partition>();
    await Promise.all(
      [...numbers].map(async (number) => {
        const partition = this.#partitions.get(number);
        // Before it serves, it may not know what its log ends with.
        if (partition?.serves === true && (await partition.confirmsLeadership())) led.set(number, partition);
      }),
    );
    // One write has the rows of all.
    const [any] = led.values();
    return any === undefined || (await any.written()) ? led : NONE;
  }

  async #page(ask: RetainedAsk, led: ReadonlyMap<number, Partition>, page: RetainedPage): Promise<AnsweredPage> {
    const pattern = new TopicPattern(ask.filter);
    const left: RetainedPlace[] = [];
    const elsewhere: { partition: number; leader: number }[] = [];
    for (const place of ask.places) {
      const partition = led.get(place.partition);
      if (partition === undefined) {
        const leader = this.#partitions.get(place.partition)?.leader ?? this.#topology.leaderOf(place.partition);
        elsewhere.push({ partition: place.partition, leader });
        left.push(place);
      } else if (page.isFull) left.push(place);
      else {
        const at = await this.#readOne(partition, pattern, place.at, page);
        if (at === 'failed') elsewhere.push({ partition: place.partition, leader: 0 });
        if (at !== undefined) left.push(at === 'failed' ? place : { partition: place.partition, at });
      }
    }
    return { records: page.records, left, elsewhere };
  }

  /** What cannot be read here is left to whoever leads next: to skip it would be to say that it is not there. */
  async #readOne(
    partition: Partition,
    pattern: TopicPattern,
    at: Uint8Array,
    page: RetainedPage,
  ): Promise<Uint8Array | 'failed' | undefined> {
    try {
      const next = await this.#reader.read(partition, pattern, at, page);
      this.#events.recovered(partition.groupId);
      return next;
    } catch (cause) {
      if (!(cause instanceof SluiceError)) throw cause;
      this.#events.failed(partition.groupId, cause);
      return 'failed';
    }
  }
}

const NONE: ReadonlyMap<number, Partition> = new Map();

export interface RetainedEvents {
  /** Something stored cannot be read. */
  failed: (groupId: number, cause: Error) => void;
  recovered: (groupId: number) => void;
}
