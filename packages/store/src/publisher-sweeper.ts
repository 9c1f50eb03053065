import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { groupKey } from '@sluice/multiraft/keyspace';
import { decodePublisherRow } from '@sluice/queue/machine/publisher-row';
import { PUBLISHER_RANGE } from '@sluice/queue/machine/row-keys';
import { clientIdOf } from '@sluice/queue/session/row-keys';
import type { Engine } from '@sluice/storage/engine';
import type { Partition } from './partition.ts';

/**
 * Forgets what clients published at QoS 2 long ago. The row of a client outlives its last publish, because that one may be
 * brought again; nobody says when it cannot be any more, since its session is in another partition. So a row that was not
 * touched for `FORGET_MS` goes. Each partition is walked round and round, a page at a time, hence a client that never
 * comes again costs some fifty bytes of disk for a week, and no memory.
 */
export class PublisherSweeper {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #engine: Pick<Engine, 'scan'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Where each walk stands, of the partitions led here; without: at the beginning. */
  readonly #places = new Map<Partition, Uint8Array>();
  #timer: NodeJS.Timeout | undefined;
  #sweeping = false;

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
    this.#partitions = options.partitions;
    this.#engine = options.engine;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  start(): void {
    this.#timer = setInterval(() => void this.sweep(), PublisherSweeper.INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One step of every walk. */
  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      for (const partition of this.#partitions.values()) {
        if (partition.leads) await this.#step(partition);
        else this.#places.delete(partition);
      }
    } catch (cause) {
      this.#logger.error({ err: cause }, 'former publishers could not be forgotten; it is tried again');
    } finally {
      this.#sweeping = false;
    }
  }

  async #step(partition: Partition): Promise<void> {
    const { groupId } = partition;
    const from = this.#places.get(partition) ?? groupKey(groupId, PUBLISHER_RANGE.from);
    const rows = await this.#engine.scan(from, groupKey(groupId, PUBLISHER_RANGE.to), PublisherSweeper.STEP_ROWS);
    const last = rows.at(-1)?.key;
    if (last === undefined || rows.length < PublisherSweeper.STEP_ROWS) this.#places.delete(partition);
    else this.#places.set(partition, Buffer.concat([last, Buffer.alloc(1)]));
    const beforeMs = this.#clock.nowMs() - PublisherSweeper.FORGET_MS;
    const clientIds: string[] = [];
    for (const { key, value } of rows) {
      if (decodePublisherRow(value).seenMs < beforeMs) clientIds.push(clientIdOf(key.subarray(GROUP_BYTES)));
    }
    if (clientIds.length > 0) await partition.execute({ type: 'forget-publishers', beforeMs, clientIds });
  }
}

/** What `groupKey` puts before a row's own key. */
const GROUP_BYTES = groupKey(1, new Uint8Array(0)).length;
