import { randomBytes } from 'node:crypto';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { QueueAttachments } from '@sluice/gateway/deliver/queue-attachments';
import { nodeKeyEnvironment } from '@sluice/gateway/publish/key-environment';
import { PublishRouter } from '@sluice/gateway/publish/publish-router';
import { QueueKeys } from '@sluice/gateway/publish/queue-keys';
import { StoredSessions } from '@sluice/gateway/session/stored-sessions';
import { StreamRoutes } from '@sluice/gateway/session/stream-routes';
import { streamsKnown } from '@sluice/gateway/session/streams-known';
import type { Topology } from '@sluice/meta/topology';
import type { Transport } from '@sluice/rpc/transport';
import { PartitionConsumer } from '@sluice/store-client/consume/partition-consumer';
import type { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import { GroupProducer } from '@sluice/store-client/publish/group-producer';
import { PartitionProducer } from '@sluice/store-client/publish/partition-producer';
import { RetainedLookups } from '@sluice/store-client/retained/retained-lookups';
import type { RouteTable } from '@sluice/store-client/route/route-table';
import { SessionClient } from '@sluice/store-client/session/session-client';
import type { ServerConfig } from '../config/config.ts';

/** How long a publisher waits for a leader before it is told that nobody knows. */
const APPEND_DEADLINE_MS = 15_000;

/** For the ends of the last connections to be stored. */
const SESSIONS_STOP_MS = 1_000;

/**
 * The way of a gateway to the stores, both ways. A gateway knows no partition and no leader: everything here does, and
 * has to hear of each new topology, and to be closed when the last connection has ended.
 */
export class GatewayStores {
  /** What clients publish. */
  readonly durable: PublishRouter;
  /** What is published for clients that are gone. */
  readonly wills: { durable: PublishRouter; groups: GroupProducer };
  readonly queues: QueueAttachments;
  readonly retained: RetainedLookups;
  readonly sessions: StoredSessions;
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #producer: PartitionProducer;
  readonly #consumers: PartitionConsumer;
  readonly #sessionClient: SessionClient;
  readonly #streams = new StreamRoutes();

  constructor(parts: {
    config: ServerConfig;
    nodeId: number;
    topology: Topology;
    routes: RouteTable;
    metadata: MetadataClient;
    transport: Transport;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
  }) {
    const { config, nodeId, topology, routes, metadata, transport, clock, logger, metrics } = parts;
    const streams = this.#streams;
    this.#topology = topology;
    this.#clock = clock;
    this.#producer = new PartitionProducer({
      topology,
      routes,
      transport,
      clock,
      logger,
      metrics,
      producerId: drawProducerId(),
      bufferBytesMax: config.queues.publishBufferBytes,
      deadlineMs: APPEND_DEADLINE_MS,
    });
    const groups = new GroupProducer({ routes, transport, clock });
    const publishing = { topology, keys: new QueueKeys(nodeKeyEnvironment), streams, clock, logger, metrics };
    this.durable = new PublishRouter({ ...publishing, producer: this.#producer });
    this.wills = { durable: new PublishRouter({ ...publishing, producer: groups }), groups };
    this.#consumers = new PartitionConsumer({ topology, routes, transport, clock });
    this.queues = new QueueAttachments({
      nodeId,
      topology,
      routes,
      consumers: this.#consumers,
      wanted: (name, topicFilter) => metadata.wanted(name, topicFilter),
    });
    this.retained = new RetainedLookups({ topology, routes, transport, clock, metrics });
    this.#sessionClient = new SessionClient({ topology, routes, transport, clock, logger, streams });
    this.sessions = new StoredSessions({
      client: this.#sessionClient,
      topology,
      expiryWithoutPropertyS: config.sessions.expiryWithoutPropertyS,
    });
  }

  /** Until every session's filter that the stores keep messages for is known: what came before would miss them. */
  async ready(neverTells: (partition: number) => boolean): Promise<void> {
    await streamsKnown(this.#streams, this.#topology, this.#clock, neverTells);
  }

  topologyChanged(): void {
    this.#producer.topologyChanged();
    this.#consumers.topologyChanged();
    this.#sessionClient.topologyChanged();
    this.queues.topologyChanged();
  }

  /** Behind the last connection. */
  async close(): Promise<void> {
    this.queues.close();
    this.retained.close();
    this.#producer.close();
    this.wills.groups.close();
    this.#consumers.close();
    await this.#sessionClient.stop(SESSIONS_STOP_MS);
  }
}

/**
 * Of 53 bits: a partition that took two lives for one would take batches of the second for repeated ones. Small numbers
 * are those of partitions, which are producers as well (`store-client/publish/group-producer`).
 */
function drawProducerId(): number {
  return Math.max(Number(randomBytes(8).readBigUInt64BE() >> 11n), 2 ** 32);
}
