import { type Clock, systemClock } from '@sluice/common/clock';
import { SluiceError, withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { Coordinator, META_GROUP_ID } from '@sluice/coordinator/coordinator';
import { QueueAdministration } from '@sluice/coordinator/queue-administration';
import { Topology } from '@sluice/meta/topology';
import { type NodeStorage, openNodeStorage } from '@sluice/multiraft/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import type { QueueRegistryRequest, QueueRegistryResponse } from '@sluice/rpc/contract/queue-registry';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import type { EntryLog, LogMark } from '@sluice/storage/entry-log-contract';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { DiskGuard } from '@sluice/store/disk-guard';
import { QueueMetrics } from '@sluice/store/queue-metrics';
import { Store } from '@sluice/store/store';
import { TopologyWatcher } from '@sluice/store-client/topology-watcher';
import { Health, type HealthCheck } from '@sluice/telemetry/health';
import { ProcessMetrics } from '@sluice/telemetry/process-metrics';
import { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { BUILD } from './build.ts';
import type { ServerConfig } from './config/config.ts';
import { type GatewayRole, startGateway } from './roles/gateway-role.ts';

/**
 * One process of a cluster: the roles it hosts, composed on one transport over one storage. All-in-one is nothing but
 * all of them at once.
 */
export class RunningNode {
  readonly health: Health;
  readonly metrics: PrometheusMetrics;
  readonly queues: QueueAdministration;
  readonly gateway: GatewayRole;
  readonly topology: Topology;
  readonly #parts: Parts;
  readonly #storageCheck: HealthCheck;
  readonly #timer: NodeJS.Timeout;

  static readonly HEALTH_INTERVAL_MS = 500;

  private constructor(parts: Parts, gateway: GatewayRole) {
    this.#parts = parts;
    this.gateway = gateway;
    this.health = parts.health;
    this.metrics = parts.metrics;
    this.topology = parts.topology;
    this.queues = parts.queues;
    this.#storageCheck = parts.health.register('storage', 'ready', '');
    this.#timer = setInterval(() => this.#look(), RunningNode.HEALTH_INTERVAL_MS);
  }

  /** Resolves when the node serves: storage recovered, groups led, queues configured, MQTT listeners open. */
  static async start(config: ServerConfig, logger: Logger): Promise<RunningNode> {
    refuseWhatIsNotHere(config);
    const parts = await openParts(config, logger);
    try {
      const { coordinator, store, host, watcher } = parts;
      await coordinator.open();
      await store.open();
      store.serve(parts.transport);
      host.start();
      // A node that fails now would never lead, and the wait would have no end.
      await Promise.race([Promise.all([coordinator.formed(), store.allLead()]), host.failing()]);
      watcher.start();
      await watcher.imaged();
      await store.settled();
      const gateway = await startGateway({ config, logger, coordinatorNodeId: SOLE_NODE_ID, ...parts });
      watcher.onChange(() => {
        store.topologyChanged();
        gateway.topologyChanged();
      });
      return new RunningNode(parts, gateway);
    } catch (cause) {
      await parts.host.close();
      throw cause;
    }
  }

  async metricsPage(): Promise<string> {
    await this.#parts.queueMetrics.refresh();
    return this.metrics.page();
  }

  /** Gateways first, so that everything accepted is answered; then the storage. */
  async stop(drainMs: number): Promise<void> {
    clearInterval(this.#timer);
    await this.gateway.stop(drainMs);
    await this.#parts.store.drain();
    this.#parts.watcher.close();
    this.#parts.store.close();
    await this.#parts.host.close();
    this.#parts.processMetrics.close();
  }

  /** Tells the health page what is wrong, from memory. */
  #look(): void {
    const { host, store } = this.#parts;
    const problems = store.problems();
    if (host.failure !== undefined) problems.unshift(`the storage failed: ${withHint(host.failure)}`);
    for (const { groupId, cause } of host.stoppedGroups())
      problems.push(`group ${groupId} stopped: ${withHint(cause)}`);
    if (host.diskFull) store.diskFull();
    if (problems.length === 0) this.#storageCheck.pass();
    else this.#storageCheck.fail(problems.join('; '));
  }
}

interface Parts {
  clock: Clock;
  health: Health;
  metrics: PrometheusMetrics;
  processMetrics: ProcessMetrics;
  transport: InprocTransport;
  storage: NodeStorage;
  host: RaftHost;
  topology: Topology;
  coordinator: Coordinator;
  queues: QueueAdministration;
  store: Store;
  queueMetrics: QueueMetrics;
  watcher: TopologyWatcher;
}

/** Until nodes join each other, every node is its own cluster and has this id. */
export const SOLE_NODE_ID = 1;
const SOLE_MEMBERSHIP = { voters: [SOLE_NODE_ID], votersOutgoing: [], learners: [], learnersNext: [] };

async function openParts(config: ServerConfig, logger: Logger): Promise<Parts> {
  const clock = systemClock;
  const metrics = new PrometheusMetrics();
  const prng = new SeededPrng(Math.floor(Math.random() * 0x1_0000_0000));
  const transport = new InprocTransport({ isolate: false });
  await DiskGuard.makeRoomToStart(config.node.dataDirectory, logger);
  const storage = await openNodeStorage({
    directory: config.node.dataDirectory,
    logger,
    metrics,
    openEngine: openRocksDbEngine,
    openEntryLog: (directory, durableMark) => openLog(config, directory, durableMark, logger, metrics),
  });
  const partitionCount = partitionCountOf(storage, config, logger);
  const topology = new Topology();
  const host: RaftHost = new RaftHost(storage, {
    nodeId: SOLE_NODE_ID,
    clock,
    logger,
    metrics,
    prng,
    peers: { send: (replica) => logger.error({ group: replica.groupId }, 'a message to a peer that does not exist') },
    liveEntries: (groupId, first, last, limit) => store.liveEntries(groupId, first, last, limit),
  });
  const coordinator = new Coordinator({
    nodeId: SOLE_NODE_ID,
    host,
    membership: SOLE_MEMBERSHIP,
    partitionCount,
    queueCountMax: config.queues.countMax,
    clock,
    logger,
    reachedTimeoutMs: 5_000,
  });
  const store: Store = new Store({
    storage,
    host,
    topology,
    membership: SOLE_MEMBERSHIP,
    partitionCount,
    clock,
    logger,
    metrics,
    prng,
    readCacheBytesMax: config.queues.readCacheBytes,
    diskReserveBytes: undefined,
  });
  coordinator.serve(transport);
  const queues = new QueueAdministration({ coordinator, topology, transport, clock });
  transport.serveCall<QueueRegistryRequest, QueueRegistryResponse>('queue-registry', (request) =>
    queues.wanted(request),
  );
  return {
    clock,
    health: new Health(clock),
    metrics,
    processMetrics: new ProcessMetrics(metrics, BUILD),
    transport,
    storage,
    host,
    topology,
    coordinator,
    queues,
    store,
    queueMetrics: new QueueMetrics({ admin: store.admin, topology, clock, metrics }),
    watcher: new TopologyWatcher({
      topology,
      transport,
      coordinatorNodeId: SOLE_NODE_ID,
      acted: () => store.settled(),
    }),
  };
}

/** A cluster keeps the number of partitions it was formed with: a setting that says otherwise would hide queues. */
function partitionCountOf(storage: NodeStorage, config: ServerConfig, logger: Logger): number {
  const formed = Math.max(...storage.entryLog.groups.keys(), META_GROUP_ID);
  if (formed === META_GROUP_ID) return config.queues.partitionCount;
  if (formed !== config.queues.partitionCount) {
    logger.warn(
      { configured: config.queues.partitionCount, partitions: formed },
      'the number of partitions is fixed when a cluster is formed: queues.partitions is ignored',
    );
  }
  return formed;
}

/** Opens the entry log; with `storage.logVerify: full` every byte of it is read before the node serves. */
async function openLog(
  config: ServerConfig,
  directory: string,
  durableMark: LogMark | undefined,
  logger: Logger,
  metrics: Metrics,
): Promise<EntryLog> {
  const { segmentBytes, sync, logVerify } = config.storage;
  const entryLog = await openEntryLog({ directory, durableMark, logger, metrics, segmentBytes, sync });
  if (logVerify === 'tail') return entryLog;
  try {
    await entryLog.verify();
    logger.info({ bytes: entryLog.diskBytes }, 'the entry log was read and verified to its end');
    return entryLog;
  } catch (cause) {
    await entryLog.close();
    throw cause;
  }
}

/** Says no to what this version cannot do, instead of pretending. */
function refuseWhatIsNotHere(config: ServerConfig): void {
  const refuse = (what: string, hint: string): never => {
    throw new SluiceError('NOT_IN_THIS_VERSION', what, { hint });
  };
  const { listeners, node } = config;
  if (listeners.mqtts !== null || listeners.wss !== null) {
    refuse(
      'TLS listeners (mqtts, wss) are not in this version',
      'set them to none, and end TLS in front of the broker',
    );
  }
  if (listeners.grpc !== null || node.join.length > 0) {
    refuse('joining nodes into a cluster is not in this version', 'leave --grpc and --join out');
  }
  if (node.roles.size !== 3) {
    refuse(
      `a node of this version hosts all three roles, not only ${[...node.roles].join(', ')}`,
      'leave --roles out, or set it to gateway,store,coordinator',
    );
  }
}
