import { PlainMetrics } from '@sluice/common/metrics';
import { QueueAdministration } from '@sluice/coordinator/queue-administration';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { Topology } from '@sluice/meta/topology';
import { MetadataClient } from '@sluice/store-client/metadata-client';
import { PartitionConsumer } from '@sluice/store-client/partition-consumer';
import { PartitionProducer } from '@sluice/store-client/partition-producer';
import { RouteTable } from '@sluice/store-client/route-table';
import { TopologyWatcher } from '@sluice/store-client/topology-watcher';
import { type MachineOptions, SimMachine } from '../sim-machine.ts';
import type { Life } from '../sim-world.ts';
import { register } from './registration.ts';

/** A process with the role gateway, as far as it is a client of stores and coordinators: no sockets, no MQTT. */
export class GatewayNode extends SimMachine {
  readonly #coordinatorIds: readonly number[];
  readonly #onUp: (gateway: GatewayNode) => void;
  topology: Topology | undefined;
  routes: RouteTable | undefined;
  producer: PartitionProducer | undefined;
  consumers: PartitionConsumer | undefined;
  queues: QueueAdministration | undefined;

  static readonly BUFFER_BYTES_MAX = 4 * 1024 * 1024;
  static readonly DEADLINE_MS = 15_000;

  constructor(options: MachineOptions & { coordinatorIds: readonly number[]; onUp: (gateway: GatewayNode) => void }) {
    super(options);
    this.#coordinatorIds = options.coordinatorIds;
    this.#onUp = options.onUp;
  }

  protected async boot(life: Life): Promise<void> {
    const { nodeId, clock } = this;
    const metrics = new PlainMetrics();
    const logger = this.logger();
    const transport = this.network.join(nodeId, life);
    const topology = new Topology();
    const routes = new RouteTable(topology);
    const coordinators = this.#coordinatorIds;
    const watcher = new TopologyWatcher({
      topology,
      transport,
      clock,
      logger,
      coordinators,
      acted: () => undefined,
      report: () => ({ leads: [], impaired: [], replicas: [], consumers: [] }),
    });
    const leading = (): number => watcher.coordinator;
    const metadata = new MetadataClient({ topology, transport, clock, coordinators, leading });
    const producer = new PartitionProducer({
      topology,
      routes,
      transport,
      clock,
      logger,
      metrics,
      bufferBytesMax: GatewayNode.BUFFER_BYTES_MAX,
      deadlineMs: GatewayNode.DEADLINE_MS,
    });
    this.topology = topology;
    this.routes = routes;
    this.producer = producer;
    this.consumers = new PartitionConsumer({ routes, transport });
    this.queues = new QueueAdministration({ metadata, topology, transport, clock });
    watcher.onChange(() => producer.topologyChanged());
    watcher.start();
    await Promise.all([watcher.imaged(), register(metadata, this, ['gateway'])]);
    this.#onUp(this);
  }

  queue(name: string): QueueDefinition | undefined {
    return this.topology?.queueByName(name);
  }

  override kill(how: 'process' | 'power'): void {
    super.kill(how);
    this.topology = undefined;
    this.routes = undefined;
    this.producer = undefined;
    this.consumers = undefined;
    this.queues = undefined;
  }
}
