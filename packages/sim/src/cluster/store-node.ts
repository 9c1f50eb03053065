import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { Coordinator, type Formation } from '@sluice/coordinator/coordinator';
import type { PlacementSettings } from '@sluice/coordinator/placement-loop';
import { type LevelRange, UNTOLD_LEVELS } from '@sluice/meta/feature-levels';
import { hasRole, type NodeRegistration } from '@sluice/meta/node-info';
import { Topology } from '@sluice/meta/topology';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot/snapshot-exchange';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import { Store } from '@sluice/store/store';
import { MetadataClient } from '@sluice/store-client/metadata-client';
import { TopologyWatcher } from '@sluice/store-client/topology-watcher';
import { type MachineOptions, SimMachine } from '../sim-machine.ts';
import type { Life } from '../sim-world.ts';
import { register } from './registration.ts';

/** A process with the role store and perhaps coordinator, composed as the server composes it. */
export class StoreNode extends SimMachine {
  readonly registration: NodeRegistration;
  readonly #founding: Founding | undefined;
  readonly #placement: Partial<PlacementSettings>;
  readonly #portionStreams: number | undefined;
  /** As its directory remembers them. */
  #coordinatorIds: readonly number[];
  topology: Topology | undefined;
  coordinator: Coordinator | undefined;
  store: Store | undefined;
  /** What the build supports that it starts with next; undefined: one from before there were levels. */
  levels: LevelRange | undefined;
  #watcher: TopologyWatcher | undefined;

  static readonly STOP_MS = 2_000;

  constructor(options: StoreNodeOptions) {
    super(options);
    this.registration = options.registration;
    this.#founding = options.founding;
    this.#placement = options.placement;
    this.#portionStreams = options.portionStreams;
    this.#coordinatorIds = options.coordinatorIds;
    this.levels = options.levels;
  }

  get isCoordinator(): boolean {
    return this.registration.roles.includes('coordinator');
  }

  protected async boot(life: Life): Promise<void> {
    const { world, nodeId, clock, levels } = this;
    const metrics = new PlainMetrics();
    const logger = this.logger();
    const prng = new SeededPrng(world.prng.next());
    const storage = await this.openStorage(life, logger, metrics);
    const transport = this.network.join(nodeId, life);
    const topology = new Topology();
    let store: Store | undefined;
    const host = new RaftHost(storage, {
      nodeId,
      clock,
      logger,
      metrics,
      prng,
      transport,
      snapshots: (raftHost) => new SnapshotExchange(raftHost, async () => this.disk.freeBytes),
      liveEntries: (groupId, first, last, limit) =>
        store?.liveEntries(groupId, first, last, limit) ?? Promise.resolve([]),
    });
    this.storage = storage;
    this.host = host;
    this.topology = topology;
    this.superviseHost(life, host);
    host.serve(transport);
    const coordinators = this.#coordinatorIds;
    const watcher = new TopologyWatcher({
      topology,
      transport,
      clock,
      logger,
      coordinators,
      acted: () => store?.settled(),
      report: (): NodeReport => ({
        ...(store?.report() ?? { leads: [], replicas: [] }),
        impaired: host.impaired(),
        consumers: [],
        levels,
      }),
    });
    const leading = (): number => watcher.coordinator;
    const metadata = new MetadataClient({ topology, transport, clock, coordinators, leading });
    let coordinator: Coordinator | undefined;
    if (this.isCoordinator) {
      coordinator = new Coordinator({
        nodeId,
        host,
        bootstrapVoters: this.#founding?.voters,
        formation: this.#founding?.formation,
        askMembers: () => metadata.members(),
        placement: this.#placement,
        levels: levels ?? UNTOLD_LEVELS,
        clock,
        logger,
      });
      await coordinator.open();
      coordinator.serve(transport);
      const serving = coordinator;
      transport.serveCall<ClusterRequest, ClusterResponse>('cluster', async (request) =>
        request.type === 'register' ? serving.register(request.node) : { type: 'elsewhere', address: '' },
      );
    }
    store = new Store({
      nodeId,
      storage,
      host,
      topology,
      transport,
      clock,
      logger,
      metrics,
      prng,
      readCacheBytesMax: 1024 * 1024,
      retained: { countMax: 1_000_000, bytesMax: 1024 * 1024 * 1024 },
      diskReserveBytes: 0,
      diskSpace: {
        measure: async () => ({ freeBytes: this.disk.freeBytes, totalBytes: 1e12 }),
        hasBallast: async () => false,
        layBallast: async () => {},
        dropBallast: async () => {},
      },
      portionStreams: this.#portionStreams,
      isImageCurrent: () => watcher.coordinator !== 0,
    });
    await store.open();
    store.serve(transport);
    store.onMoved(() => watcher.reportSoon());
    this.coordinator = coordinator;
    this.store = store;
    this.#watcher = watcher;
    const opened = store;
    host.start();
    coordinator?.start();
    watcher.onChange(() => {
      this.#coordinatorIds = topology
        .nodes()
        .filter((node) => node.state !== 'gone' && hasRole(node, 'coordinator'))
        .map((node) => node.nodeId);
      opened.topologyChanged();
    });
    watcher.start();
    await Promise.all([watcher.imaged(), register(metadata, this, { ...this.registration, levels })]);
  }

  /** SIGTERM: leaderships first, then what consumers settled, then the storage. Calls back when the process is gone. */
  stop(stopped: () => void): void {
    const { store, coordinator, host, life } = this;
    const watcher = this.#watcher;
    if (this.state !== 'up' || store === undefined || host === undefined) {
      stopped();
      return;
    }
    this.trace('is stopped by its operator');
    life.onEnd(() => this.world.after(0, this.world.outside, stopped));
    const stopping = async (): Promise<void> => {
      await store.handOver(StoreNode.STOP_MS);
      await store.drain();
      watcher?.close();
      coordinator?.close();
      await store.close();
      await host.close();
    };
    this.world.after(0, life, () => {
      stopping()
        .catch((cause: unknown) => this.trace(`stops badly: ${String(cause)}`))
        .finally(() => this.world.after(0, this.world.outside, () => life.ended || this.kill('process')));
    });
  }

  override kill(how: 'process' | 'power'): void {
    super.kill(how);
    this.topology = undefined;
    this.coordinator = undefined;
    this.store = undefined;
    this.#watcher = undefined;
  }
}

/** Of a node that was there from the beginning. */
export interface Founding {
  voters: readonly number[];
  formation: Formation;
}

export interface StoreNodeOptions extends MachineOptions {
  levels: LevelRange | undefined;
  registration: NodeRegistration;
  founding: Founding | undefined;
  coordinatorIds: readonly number[];
  placement: Partial<PlacementSettings>;
  portionStreams: number | undefined;
}
