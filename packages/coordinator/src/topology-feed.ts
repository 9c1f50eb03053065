import type { Logger } from '@sluice/common/logger';
import type { TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import type { Channel } from '@sluice/rpc/transport';

type FeedChannel = Channel<TopologyUpdate, TopologyFeedRequest>;

/**
 * Pushes the cluster's image to the nodes that watch it and knows which epoch each acts on. A change may then be
 * answered when it is true everywhere, not when it is merely written down.
 */
export class TopologyFeed {
  readonly #logger: Logger;
  readonly #image: () => Extract<TopologyUpdate, { type: 'image' }> | undefined;
  /** Epoch reached, by watching channel. */
  readonly #watchers = new Map<FeedChannel, number>();
  #waiting: { epoch: number; resolve: (reached: boolean) => void; timer: NodeJS.Timeout }[] = [];

  constructor(options: { logger: Logger; image: () => Extract<TopologyUpdate, { type: 'image' }> | undefined }) {
    this.#logger = options.logger;
    this.#image = options.image;
  }

  accept(channel: FeedChannel): void {
    channel.onMessage((request) => {
      if (request.type === 'watch') this.#watch(channel);
      else this.#reachedBy(channel, request.epoch);
    });
    channel.onClose(() => {
      this.#watchers.delete(channel);
      this.#settle();
    });
  }

  sendImage(): void {
    const image = this.#image();
    if (image === undefined) return;
    for (const channel of this.#watchers.keys()) channel.send(image);
  }

  sendDelta(delta: Omit<Extract<TopologyUpdate, { type: 'delta' }>, 'type'>): void {
    for (const channel of this.#watchers.keys()) channel.send({ type: 'delta', ...delta });
  }

  reached(epoch: number, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((waiting) => waiting.timer !== timer);
        this.#logger.warn({ epoch }, 'not every node acts on the newest image yet');
        resolve(false);
      }, timeoutMs);
      this.#waiting.push({ epoch, resolve, timer });
      this.#settle();
    });
  }

  #watch(channel: FeedChannel): void {
    this.#watchers.set(channel, 0);
    const image = this.#image();
    if (image !== undefined) channel.send(image);
  }

  #reachedBy(channel: FeedChannel, epoch: number): void {
    if (!this.#watchers.has(channel)) return;
    this.#watchers.set(channel, epoch);
    this.#settle();
  }

  #settle(): void {
    if (this.#waiting.length === 0) return;
    let lowest = Number.POSITIVE_INFINITY;
    for (const epoch of this.#watchers.values()) lowest = Math.min(lowest, epoch);
    this.#waiting = this.#waiting.filter((waiting) => {
      if (waiting.epoch > lowest) return true;
      clearTimeout(waiting.timer);
      waiting.resolve(true);
      return false;
    });
  }
}
