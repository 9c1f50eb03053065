import { randomUUID } from 'node:crypto';
import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { encodeMetaCommand, type MetaCommand } from '@sluice/meta/meta-commands';
import { MetaMachine, type MetaReply } from '@sluice/meta/meta-machine';
import type { GroupListener } from '@sluice/multiraft/group-machine';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import { TopologyFeed } from './topology-feed.ts';

/** The metadata is group 0 of every node that hosts a coordinator; partitions begin at 1. */
export const META_GROUP_ID = 0;

/**
 * The coordinator of one node: its member of the metadata group, and the feed by which every node learns the image of
 * the cluster. It is off the data path: while no coordinator leads, queues cannot be defined, and everything else goes
 * on with the last image.
 */
export class Coordinator implements GroupListener<MetaReply, never> {
  readonly #options: CoordinatorOptions;
  readonly #feed: TopologyFeed;
  #machine: MetaMachine | undefined;
  #leads = false;
  #formed: { resolve: () => void; reject: (cause: Error) => void } | undefined;
  #stopped: Error | undefined;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#feed = new TopologyFeed({ logger: options.logger, image: () => this.#image() });
  }

  async open(): Promise<void> {
    this.#machine = await this.#options.host.addGroup({
      groupId: META_GROUP_ID,
      membership: this.#options.membership,
      residentRanges: [{ from: Uint8Array.of(0), to: Uint8Array.of(0xff) }],
      restore: (rows) => MetaMachine.restore(rows),
      listener: this,
    });
  }

  serve(registry: ServiceRegistry): void {
    registry.serveChannel<TopologyFeedRequest, TopologyUpdate>('topology', (channel) => this.#feed.accept(channel));
  }

  get machine(): MetaMachine {
    if (this.#machine === undefined)
      throw new SluiceError('NOT_READY', 'the metadata is not loaded yet', { retriable: true });
    return this.#machine;
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** Resolves when this node leads the metadata and the cluster has its identity; rejects when it never will. */
  formed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#formed = { resolve, reject };
      if (this.#stopped !== undefined) reject(this.#stopped);
      this.#maybeFormed();
    });
  }

  /** Replicates a change. Undefined: this node does not lead, or does not know what became of it. */
  execute(command: MetaCommand): Promise<MetaReply | undefined> {
    return new Promise((resolve) => {
      const bytes = encodeMetaCommand(command, this.#options.clock.nowMs());
      const outcome = this.#options.host.propose(META_GROUP_ID, bytes, resolve);
      if (outcome !== 'proposed') resolve(undefined);
    });
  }

  /** Resolves when every watching node acts on the epoch; false when one did not in time. */
  reached(epoch: number): Promise<boolean> {
    return this.#feed.reached(epoch, this.#options.reachedTimeoutMs);
  }

  applied(_index: number, reply: MetaReply, token: unknown): void {
    if (reply.result === 'formed') this.#feed.sendImage();
    else if (reply.result === 'done') {
      this.#feed.sendDelta({
        epoch: reply.epoch,
        changed: reply.changed === undefined ? [] : [reply.changed],
        removed: reply.removed === undefined ? [] : [reply.removed],
      });
    }
    (token as ((reply: MetaReply) => void) | undefined)?.(reply);
    this.#maybeFormed();
  }

  dropped(token: unknown): void {
    (token as (reply: undefined) => void)(undefined);
  }

  effects(): void {}

  stopped(cause: Error): void {
    this.#stopped = cause;
    this.#formed?.reject(cause);
  }

  leadership(leads: boolean): void {
    this.#leads = leads;
    if (!leads) return;
    if (this.machine.clusterId === '') {
      void this.execute({
        kind: 'form-cluster',
        clusterId: randomUUID(),
        partitionCount: this.#options.partitionCount,
        queueCountMax: this.#options.queueCountMax,
      });
    } else this.#feed.sendImage();
    this.#maybeFormed();
  }

  #maybeFormed(): void {
    if (this.#formed === undefined || !this.#leads || this.machine.clusterId === '') return;
    this.#formed.resolve();
    this.#formed = undefined;
  }

  #image(): Extract<TopologyUpdate, { type: 'image' }> | undefined {
    const { machine } = this;
    if (machine.clusterId === '') return undefined;
    return {
      type: 'image',
      epoch: machine.epoch,
      clusterId: machine.clusterId,
      partitionCount: machine.partitionCount,
      leaders: new Array<number>(machine.partitionCount).fill(this.#options.nodeId),
      queues: [...machine.queues()],
    };
  }
}

export interface CoordinatorOptions {
  nodeId: number;
  host: RaftHost;
  membership: Parameters<RaftHost['addGroup']>[0]['membership'];
  /** Of a cluster that is formed now; one that exists keeps its own. */
  partitionCount: number;
  queueCountMax: number;
  clock: Clock;
  logger: Logger;
  /** How long a change waits for every node to act on it. */
  reachedTimeoutMs: number;
}
