import type { Counter, Metrics } from '@sluice/common/metrics';
import type { RaftFrame } from '@sluice/rpc/contract/raft';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import type { GroupDriver } from '../group/group-driver.ts';
import type { Replica } from '../replica/replica.ts';
import type { SnapshotPort } from '../snapshot/snapshot-port.ts';
import type { PeerLinks } from './peer-links.ts';
import type { PeerWatch } from './peer-watch.ts';

/**
 * Takes what other nodes send to the groups of this one.
 *
 * A core believes what a message says of its sender, and a voter that is believed twice makes a leader too many. So who
 * sent a frame is whom the transport knows, and what names somebody else, or brings a promise that has a way of its own
 * to come here, is counted and left.
 */
export class FrameIntake {
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #driver: GroupDriver;
  readonly #links: PeerLinks;
  readonly #watch: PeerWatch;
  readonly #snapshots: SnapshotPort;
  readonly #ends: () => boolean;
  readonly #strangers: Counter;

  constructor(options: {
    replicas: ReadonlyMap<number, Replica>;
    driver: GroupDriver;
    links: PeerLinks;
    watch: PeerWatch;
    snapshots: SnapshotPort;
    /** Nothing is taken any more. */
    ends: () => boolean;
    metrics: Metrics;
  }) {
    this.#replicas = options.replicas;
    this.#driver = options.driver;
    this.#links = options.links;
    this.#watch = options.watch;
    this.#snapshots = options.snapshots;
    this.#ends = options.ends;
    this.#strangers = options.metrics.counter(
      'sluice_raft_strangers_total',
      'Messages whose sender was not who it said',
    );
  }

  serve(registry: ServiceRegistry): void {
    registry.serveChannel<RaftFrame, never>('raft', (channel, from) => {
      channel.onMessage((frame) => this.#hear(frame, from));
    });
    registry.serveChannel<RaftFrame, never>('raft-control', (channel, from) => {
      channel.onMessage((frame) => this.#hear(frame, from));
      // Its former channel broke, or it has just started: groups that sleep must tell it who leads.
      this.#links.opened(from, channel);
      this.#watch.found(from);
    });
    registry.serveChannel<SnapshotChunk, SnapshotAnswer>('raft-snapshot', (channel, from) =>
      this.#snapshots.accept(channel, from),
    );
  }

  #hear(frame: RaftFrame, from: number): void {
    if (this.#ends()) return;
    this.#links.heard(from, frame);
    for (const { groupId, message } of frame.messages) {
      const replica = this.#replicas.get(groupId);
      // A snapshot comes on a channel of its own; the message alone would promise what is not here.
      if (message.from !== from || message.type === 'snapshot') this.#strangers.add();
      else if (replica !== undefined) this.#driver.step(replica, message);
    }
    for (const { groupId, notice } of frame.quiesced) {
      const replica = this.#replicas.get(groupId);
      if (replica === undefined || replica.deaf || replica.impaired !== undefined) continue;
      if (notice.leader !== from) this.#strangers.add();
      else if (replica.raft.followQuiesce(notice)) this.#driver.settle(replica);
    }
  }
}
