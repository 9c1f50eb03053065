import type { Logger } from '@sluice/common/logger';
import { type Metrics, PlainMetrics } from '@sluice/common/metrics';
import { type Prng, SeededPrng } from '@sluice/common/prng';
import { Coordinator, type Formation } from '@sluice/coordinator/coordinator';
import type { PlacementSettings } from '@sluice/coordinator/placement-loop';
import { type LevelRange, UNTOLD_LEVELS } from '@sluice/meta/feature-levels';
import { hasRole, type NodeRegistration } from '@sluice/meta/node-info';
import { Topology } from '@sluice/meta/topology';
import { ExportService } from '@sluice/multiraft/backup/export-service';
import type { NodeStorage } from '@sluice/multiraft/disk/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot/snapshot-exchange';
import type { SnapshotHost } from '@sluice/multiraft/snapshot/snapshot-port';
import { liveEntryOf } from '@sluice/queue/machine/row/row-keys';
import type { BackupRequest, BackupResponse } from '@sluice/rpc/contract/backup';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import { Store } from '@sluice/store/store';
import { ClusterClock } from '@sluice/store-client/metadata/cluster-clock';
import { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import { TopologyWatcher } from '@sluice/store-client/metadata/topology-watcher';
import { type MachineOptions, SimMachine } from '../sim-machine.ts';
import type { Life } from '../sim-world.ts';
import { driven } from '../simulation.ts';
import { register } from './registration.ts';

/** A process with the role store and perhaps coordinator, composed as the server composes it. */
export class StoreNode extends SimMachine {
  readonly registration: NodeRegistration;
  readonly #founding: Founding | undefined;
  readonly #placement: Partial<PlacementSettings>;
  readonly #portionStreams: number | undefined;
  readonly #pieceBytes: number | undefined;
  /** As its directory remembers them. */
  #coordinatorIds: readonly number[];
  topology: Topology | undefined;
  coordinator: Coordinator | undefined;
  store: Store | undefined;
  /** What the build supports that it starts with next; undefined: one from before there were levels. */
  levels: LevelRange | undefined;
  #watcher: TopologyWatcher | undefined;
  #exports: ExportService | undefined;

  static readonly STOP_MS = 2_000;

  constructor(options: StoreNodeOptions) {
    super(options);
    this.registration = options.registration;
    this.#founding = options.founding;
    this.#placement = options.placement;
    this.#portionStreams = options.portionStreams;
    this.#pieceBytes = options.pieceBytes;
    this.#coordinatorIds = options.coordinatorIds;
    this.levels = options.levels;
  }

  get isCoordinator(): boolean {
    return this.registration.roles.includes('coordinator');
  }

  protected async boot(life: Life): Promise<void> {
    const { world, nodeId, levels } = this;
    const metrics = new PlainMetrics();
    const logger = this.logger();
    const clock = new ClusterClock({ clock: this.clock, logger });
    const prng = new SeededPrng(world.prng.next());
    const storage = await this.openStorage(life, logger, metrics);
    const transport = this.network.join(nodeId, life);
    const topology = new Topology();
    const ground: Ground = { nodeId, clock, metrics, logger, prng, storage, transport, topology, levels };
    let store: Store | undefined;
    const { host, exports } = this.#raftOn(ground, () => store);
    this.storage = storage;
    this.host = host;
    this.topology = topology;
    this.superviseHost(life, host);
    host.serve(transport);
    const coordinators = this.#coordinatorIds;
    const watcher = this.#watcherOn(ground, host, () => store);
    const leading = (): number => watcher.coordinator;
    const metadata = new MetadataClient({ topology, transport, clock, coordinators, leading });
    const coordinator = this.isCoordinator ? this.#coordinatorOn(ground, host, metadata) : undefined;
    if (coordinator !== undefined) {
      await coordinator.open();
      serveCoordinator(coordinator, transport);
    }
    const opened = this.#storeOn(ground, host, watcher);
    store = opened;
    await opened.open();
    opened.serve(transport);
    opened.onMoved(() => watcher.reportSoon());
    this.coordinator = coordinator;
    this.store = opened;
    this.#watcher = watcher;
    this.#exports = exports;
    host.start();
    coordinator?.start();
    watcher.onChange(() => {
      this.#coordinatorIds = coordinatorsOf(topology);
      opened.topologyChanged();
    });
    watcher.start();
    await Promise.all([watcher.imaged(), register(metadata, this, { ...this.registration, levels })]);
  }

  #raftOn(ground: Ground, store: () => Store | undefined): { host: RaftHost; exports: ExportService } {
    let snapshots = undefined as SnapshotHost | undefined;
    const host = new RaftHost(ground.storage, {
      ...ground,
      snapshots: (raftHost) => {
        snapshots = raftHost;
        return new SnapshotExchange(raftHost, async () => this.disk.freeBytes);
      },
      liveEntries: (groupId, first, last, limit) =>
        store()?.liveEntries(groupId, first, last, limit) ?? Promise.resolve([]),
    });
    const exports = new ExportService({
      ...ground,
      host,
      snapshots: snapshots as SnapshotHost,
      entryOf: ({ key }) => liveEntryOf(key),
      isShortOfSpace: () => store()?.isShortOfSpace ?? host.diskFull,
      pieceBytes: this.#pieceBytes,
    });
    ground.transport.serveCall<BackupRequest, BackupResponse>('backup', (request) => exports.answer(request));
    return { host, exports };
  }

  #watcherOn(ground: Ground, host: RaftHost, store: () => Store | undefined): TopologyWatcher {
    const { levels, clock, nodeId } = ground;
    return new TopologyWatcher({
      ...ground,
      coordinators: this.#coordinatorIds,
      acted: () => store()?.settled(),
      report: (): NodeReport => ({
        ...(store()?.report() ?? { leads: [], replicas: [] }),
        impaired: host.impaired(),
        consumers: [],
        levels,
        clock: clock.reading(),
      }),
      onClocks: (clocks) => clock.heard(clocks, nodeId),
    });
  }

  #coordinatorOn(ground: Ground, host: RaftHost, metadata: MetadataClient): Coordinator {
    return new Coordinator({
      ...ground,
      host,
      bootstrapVoters: this.#founding?.voters,
      formation: this.#founding?.formation,
      askMembers: () => metadata.members(),
      placement: this.#placement,
      levels: ground.levels ?? UNTOLD_LEVELS,
    });
  }

  #storeOn(ground: Ground, host: RaftHost, watcher: TopologyWatcher): Store {
    return new Store({
      ...ground,
      host,
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
      isTimeKnown: () => ground.clock.isConfirmed(),
    });
  }

  /** SIGTERM: leaderships first, then what consumers settled, then the storage. Calls back when the process is gone. */
  stop(stopped: () => void): void {
    const { store, coordinator, host, life } = this;
    const [watcher, exports] = [this.#watcher, this.#exports];
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
      exports?.close();
      await host.close();
    };
    this.world.after(0, life, () => {
      stopping()
        .catch((cause: unknown) => this.trace(`stops badly: ${String(cause)}`))
        .finally(() => this.world.after(0, this.world.outside, () => life.ended || this.kill('process')));
    });
  }

  /** As `sluice restore` does it, before the node ever runs; what is then on the disk is there without power, too. */
  async fill(act: (storage: NodeStorage, freeBytes: () => Promise<number>) => Promise<unknown>): Promise<void> {
    const life = this.world.life(`${this.name} restored`);
    const filled = new Promise<void>((resolve, reject) => {
      const run = async (): Promise<void> => {
        const storage = await this.openStorage(life, this.logger(), new PlainMetrics());
        try {
          await act(storage, async () => this.disk.freeBytes);
        } finally {
          await storage.close();
        }
      };
      this.world.after(0, life, () => run().then(resolve, reject));
    });
    await driven(this.world, filled, 60_000);
    life.end();
    this.disk.powerLost();
    this.engineDisk.powerLost();
  }

  override kill(how: 'process' | 'power'): void {
    super.kill(how);
    this.topology = undefined;
    this.coordinator = undefined;
    this.store = undefined;
    this.#watcher = undefined;
    this.#exports = undefined;
  }
}

function serveCoordinator(coordinator: Coordinator, transport: ServiceRegistry): void {
  coordinator.serve(transport);
  transport.serveCall<ClusterRequest, ClusterResponse>('cluster', async (request) =>
    request.type === 'register' ? coordinator.register(request.node) : { type: 'elsewhere', address: '' },
  );
}

function coordinatorsOf(topology: Topology): number[] {
  const nodes = topology.nodes().filter((node) => node.state !== 'gone' && hasRole(node, 'coordinator'));
  return nodes.map(({ nodeId }) => nodeId);
}

/** What the parts of one life of the process stand on. */
interface Ground {
  nodeId: number;
  clock: ClusterClock;
  metrics: Metrics;
  logger: Logger;
  prng: Prng;
  storage: NodeStorage;
  transport: Transport & ServiceRegistry;
  topology: Topology;
  levels: LevelRange | undefined;
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
  /** Of a backup, what is given at a time; undefined: as much as the contract allows. */
  pieceBytes: number | undefined;
}
