import type { Topology } from '@sluice/meta/topology';
import type { TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import type { Channel, Transport } from '@sluice/rpc/transport';

/**
 * Keeps a node's image of the cluster up to date from the coordinator, and tells it which epoch this node acts on. While
 * no coordinator answers, the last image stays in force: established publishing and consuming goes on.
 */
export class TopologyWatcher {
  readonly topology: Topology;
  readonly #transport: Transport;
  readonly #coordinatorNodeId: number;
  #channel: Channel<TopologyFeedRequest, TopologyUpdate> | undefined;
  #imaged: (() => void) | undefined;
  readonly #listeners: ((topology: Topology) => void)[] = [];
  readonly #acted: () => Promise<void> | undefined;

  /** `acted` resolves when this node acts on the newest image; undefined when it does as soon as it has it. */
  constructor(options: {
    topology: Topology;
    transport: Transport;
    coordinatorNodeId: number;
    acted: () => Promise<void> | undefined;
  }) {
    this.topology = options.topology;
    this.#acted = options.acted;
    this.#transport = options.transport;
    this.#coordinatorNodeId = options.coordinatorNodeId;
  }

  start(): void {
    this.#channel = this.#transport.open<TopologyFeedRequest, TopologyUpdate>(this.#coordinatorNodeId, 'topology');
    this.#channel.onMessage((update) => this.#receive(update));
    this.#channel.send({ type: 'watch' });
  }

  /** Resolves when this node has an image. */
  imaged(): Promise<void> {
    return new Promise((resolve) => {
      this.#imaged = resolve;
      if (this.topology.epoch > 0) resolve();
    });
  }

  /** Called after every change, and at once when there is an image already. */
  onChange(listener: (topology: Topology) => void): void {
    this.#listeners.push(listener);
    if (this.topology.epoch > 0) listener(this.topology);
  }

  close(): void {
    this.#channel?.close();
  }

  #receive(update: TopologyUpdate): void {
    if (update.type === 'image') this.topology.reset(update);
    else if (update.epoch > this.topology.epoch) this.topology.applyDelta(update);
    for (const listener of this.#listeners) listener(this.topology);
    this.#imaged?.();
    void this.#acknowledge(this.topology.epoch);
  }

  async #acknowledge(epoch: number): Promise<void> {
    await this.#acted();
    this.#channel?.send({ type: 'reached', epoch });
  }
}
