import type { Clock } from '@sluice/common/clock';
import { PlainMetrics } from '@sluice/common/metrics';
import { BackupAdministration } from '@sluice/coordinator/administration/backup-administration';
import { ClusterAdministration } from '@sluice/coordinator/administration/cluster-administration';
import { QueueAdministration } from '@sluice/coordinator/administration/queue-administration';
import { QueueAttachments } from '@sluice/gateway/deliver/queue-attachments';
import type { LevelRange } from '@sluice/meta/feature-levels';
import type { NodeRegistration } from '@sluice/meta/node-info';
import { Topology } from '@sluice/meta/topology';
import { ClusterClock } from '@sluice/store-client/metadata/cluster-clock';
import { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import { TopologyWatcher } from '@sluice/store-client/metadata/topology-watcher';
import { PartitionProducer } from '@sluice/store-client/publish/partition-producer';
import { RouteTable } from '@sluice/store-client/route/route-table';
import type { QueueCheck } from '../check/queue-check.ts';
import { MqttGateway, type MqttWatch } from '../sessions/mqtt-gateway.ts';
import { type MachineOptions, SimMachine } from '../sim-machine.ts';
import type { Life } from '../sim-world.ts';
import { register } from './registration.ts';
import { WatchedConsumers } from './watched-consumers.ts';

/**
 * A process with the role gateway: the way of its clients into queues and out of them, the way of its operators to the
 * coordinators, and MQTT where the scenario has clients that speak it.
 */
export class GatewayNode extends SimMachine {
  readonly registration: NodeRegistration;
  readonly #check: QueueCheck;
  /** As its directory remembers them. */
  #coordinatorIds: readonly number[];
  readonly #onUp: (gateway: GatewayNode) => void;
  readonly #watch: MqttWatch | undefined;
  /** What its process goes by. */
  time: Clock = this.clock;
  topology: Topology | undefined;
  producer: PartitionProducer | undefined;
  attachments: QueueAttachments | undefined;
  queues: QueueAdministration | undefined;
  cluster: ClusterAdministration | undefined;
  backups: BackupAdministration | undefined;
  mqtt: MqttGateway | undefined;
  /** As a store's. */
  levels: LevelRange | undefined;

  static readonly BUFFER_BYTES_MAX = 4 * 1024 * 1024;
  static readonly DEADLINE_MS = 15_000;

  constructor(options: GatewayNodeOptions) {
    super(options);
    this.registration = options.registration;
    this.#check = options.check;
    this.#coordinatorIds = options.coordinatorIds;
    this.#onUp = options.onUp;
    this.#watch = options.mqtt;
    this.levels = options.levels;
  }

  protected async boot(life: Life): Promise<void> {
    const { world, nodeId, levels } = this;
    const metrics = new PlainMetrics();
    const logger = this.logger();
    const clock = new ClusterClock({ clock: this.clock, logger });
    this.time = clock;
    const transport = this.network.join(nodeId, life);
    const topology = new Topology();
    const routes = new RouteTable(topology);
    const coordinators = this.#coordinatorIds;
    const consumers = new WatchedConsumers(
      { topology, routes, transport, clock },
      { gateway: this, life, check: this.#check },
    );
    const watcher = new TopologyWatcher({
      topology,
      transport,
      clock,
      logger,
      coordinators,
      acted: () => undefined,
      report: () => ({
        ...{ leads: [], impaired: [], replicas: [], levels },
        consumers: attachments.consumersReport(),
        clock: clock.reading(),
      }),
      onClocks: (clocks) => clock.heard(clocks, nodeId),
    });
    const leading = (): number => watcher.coordinator;
    const metadata = new MetadataClient({ topology, transport, clock, coordinators, leading });
    const attachments = new QueueAttachments({
      nodeId,
      topology,
      routes,
      consumers,
      wanted: (name, topicFilter) => metadata.wanted(name, topicFilter),
    });
    const producer = new PartitionProducer({
      topology,
      routes,
      transport,
      clock,
      logger,
      metrics,
      producerId: world.prng.below(2 ** 32) + 1,
      bufferBytesMax: GatewayNode.BUFFER_BYTES_MAX,
      deadlineMs: GatewayNode.DEADLINE_MS,
    });
    const watch = this.#watch;
    const mqtt =
      watch === undefined
        ? undefined
        : new MqttGateway({
            world,
            host: transport,
            topology,
            routes,
            producer,
            attachments,
            clock,
            logger,
            metrics,
            watch,
          });
    this.mqtt = mqtt;
    this.topology = topology;
    this.producer = producer;
    this.attachments = attachments;
    this.queues = new QueueAdministration({ metadata, topology, transport, clock, lagObjectiveMs: 300_000 });
    this.cluster = new ClusterAdministration({ topology, metadata, leading });
    this.backups = new BackupAdministration({ topology, transport, leading });
    watcher.onChange(() => {
      this.#coordinatorIds = topology.coordinators().map((node) => node.nodeId);
      producer.topologyChanged();
      consumers.topologyChanged();
      attachments.topologyChanged();
      mqtt?.topologyChanged();
    });
    watcher.start();
    await Promise.all([watcher.imaged(), register(metadata, this, { ...this.registration, levels })]);
    await mqtt?.listen();
    this.#onUp(this);
  }

  override kill(how: 'process' | 'power'): void {
    if (this.state !== 'down') this.mqtt?.died(how);
    super.kill(how);
    this.topology = undefined;
    this.producer = undefined;
    this.attachments = undefined;
    this.queues = undefined;
    this.cluster = undefined;
    this.backups = undefined;
    this.mqtt = undefined;
  }
}

export interface GatewayNodeOptions extends MachineOptions {
  registration: NodeRegistration;
  levels: LevelRange | undefined;
  coordinatorIds: readonly number[];
  check: QueueCheck;
  onUp: (gateway: GatewayNode) => void;
  /** Undefined: no client speaks MQTT. */
  mqtt: MqttWatch | undefined;
}
