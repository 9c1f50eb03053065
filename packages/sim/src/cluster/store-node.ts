import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { Coordinator, type Formation } from '@sluice/coordinator/coordinator';
import { Topology } from '@sluice/meta/topology';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot-exchange';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import { Store } from '@sluice/store/store';
import { MetadataClient } from '@sluice/store-client/metadata-client';
import { TopologyWatcher } from '@sluice/store-client/topology-watcher';
import { type MachineOptions, SimMachine } from '../sim-machine.ts';
import type { Life } from '../sim-world.ts';
import { register } from './registration.ts';

/** A process with the roles store and coordinator, composed as the server composes it. */
export class StoreNode extends SimMachine {
  readonly #formation: Formation;
  readonly #coordinatorIds: readonly number[];
  topology: Topology | undefined;
  coordinator: Coordinator | undefined;
  store: Store | undefined;

  constructor(options: MachineOptions & { formation: Formation; coordinatorIds: readonly number[] }) {
    super(options);
    this.#formation = options.formation;
    this.#coordinatorIds = options.coordinatorIds;
  }

  protected async boot(life: Life): Promise<void> {
    const { world, nodeId, clock } = this;
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
    const coordinator = new Coordinator({
      nodeId,
      host,
      bootstrapVoters: this.#coordinatorIds.includes(nodeId) ? this.#coordinatorIds : undefined,
      formation: this.#formation,
      clock,
      logger,
    });
    await coordinator.open();
    coordinator.serve(transport);
    const watcher = new TopologyWatcher({
      topology,
      transport,
      clock,
      logger,
      coordinators: this.#coordinatorIds,
      acted: () => store?.settled(),
      report: (): NodeReport => ({
        ...(store?.report() ?? { leads: [], impaired: host.impaired(), replicas: [] }),
        consumers: [],
      }),
    });
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
      diskReserveBytes: 0,
      diskSpace: {
        measure: async () => ({ freeBytes: this.disk.freeBytes, totalBytes: 1e12 }),
        hasBallast: async () => false,
        layBallast: async () => {},
        dropBallast: async () => {},
      },
      isImageCurrent: () => watcher.coordinator !== 0,
    });
    await store.open();
    store.serve(transport);
    store.onMoved(() => watcher.reportSoon());
    const { coordinatorIds } = { coordinatorIds: this.#coordinatorIds };
    const metadata = new MetadataClient({
      topology,
      transport,
      clock,
      coordinators: coordinatorIds,
      leading: () => watcher.coordinator,
    });
    this.coordinator = coordinator;
    this.store = store;
    const opened = store;
    host.start();
    coordinator.start();
    watcher.onChange(() => opened.topologyChanged());
    watcher.start();
    await Promise.all([watcher.imaged(), register(metadata, this, ['store', 'coordinator'])]);
  }

  override kill(how: 'process' | 'power'): void {
    super.kill(how);
    this.topology = undefined;
    this.coordinator = undefined;
    this.store = undefined;
  }
}
