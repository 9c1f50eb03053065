import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { groupKey } from '@sluice/multiraft/disk/keyspace';
import { decodePublisherRow } from '@sluice/queue/machine/row/publisher-row';
import { PUBLISHER_RANGE } from '@sluice/queue/machine/row/row-keys';
import { clientIdOf } from '@sluice/queue/session/row-keys';
import type { Engine } from '@sluice/storage/engine';
import type { Partition } from '../partition/partition.ts';
import { PartitionWalks } from './partition-walks.ts';

/**
 * Forgets what clients published at QoS 2 long ago. The row of a client outlives its last publish, because that one may be
 * brought again; nobody says when it cannot be any more, since its session is in another partition. So a row that was not
 * touched for `FORGET_MS` goes. Each partition is walked round and round, a page at a time, hence a client that never
 * comes again costs some fifty bytes of disk for a week, and no memory.
 */
export class PublisherSweeper {
  readonly #engine: Pick<Engine, 'scan'>;
  readonly #clock: Clock;
  readonly #walks: PartitionWalks<Uint8Array>;

  static readonly INTERVAL_MS = 10_000;
  /** Looked at in one interval, a partition. */
  static readonly STEP_ROWS = 512;
  static readonly FORGET_MS = 7 * 24 * 3_600_000;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    engine: Pick<Engine, 'scan'>;
    clock: Clock;
    logger: Logger;
  }) {
    const { partitions, logger } = options;
    this.#engine = options.engine;
    this.#clock = options.clock;
    this.#walks = new PartitionWalks({
      partitions,
      logger,
      step: (partition, from) => this.#step(partition, from),
      complaint: 'former publishers could not be forgotten; it is tried again',
    });
  }

  start(): void {
    this.#walks.start(PublisherSweeper.INTERVAL_MS);
  }

  stop(): void {
    this.#walks.stop();
  }

  /** One step of every walk. */
  sweep(): Promise<void> {
    return this.#walks.walk();
  }

  async #step(partition: Partition, place: Uint8Array | undefined): Promise<Uint8Array | undefined> {
    const { groupId } = partition;
    if (!partition.isTimely) return place;
    const from = place ?? groupKey(groupId, PUBLISHER_RANGE.from);
    const rows = await this.#engine.scan(from, groupKey(groupId, PUBLISHER_RANGE.to), PublisherSweeper.STEP_ROWS);
    const beforeMs = this.#clock.nowMs() - PublisherSweeper.FORGET_MS;
    const clientIds: string[] = [];
    for (const { key, value } of rows) {
      if (decodePublisherRow(value).seenMs < beforeMs) clientIds.push(clientIdOf(key.subarray(GROUP_BYTES)));
    }
    if (clientIds.length > 0) await partition.execute({ type: 'forget-publishers', beforeMs, clientIds });
    const last = rows.at(-1)?.key;
    if (last === undefined || rows.length < PublisherSweeper.STEP_ROWS) return undefined;
    return Buffer.concat([last, Buffer.alloc(1)]);
  }
}

/** What `groupKey` puts before a row's own key. */
const GROUP_BYTES = groupKey(1, new Uint8Array(0)).length;
