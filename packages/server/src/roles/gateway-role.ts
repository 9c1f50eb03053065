import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { type Authenticator, anonymousAuthenticator, PasswordAuthenticator } from '@sluice/gateway/auth/authenticator';
import { QueueAttachments } from '@sluice/gateway/deliver/queue-attachments';
import { Gateway } from '@sluice/gateway/gateway';
import { nodeKeyEnvironment } from '@sluice/gateway/publish/key-environment';
import { PublishRouter } from '@sluice/gateway/publish/publish-router';
import { QueueKeys } from '@sluice/gateway/publish/queue-keys';
import type { Topology } from '@sluice/meta/topology';
import type { QueueRegistryRequest, QueueRegistryResponse } from '@sluice/rpc/contract/queue-registry';
import type { Transport } from '@sluice/rpc/transport';
import { PartitionConsumer } from '@sluice/store-client/partition-consumer';
import { PartitionProducer } from '@sluice/store-client/partition-producer';
import type { Address } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import { openFilesLimit, shareOpenFiles } from '../open-files.ts';

/** How long a publisher waits for a leader before it is told that nobody knows. */
const APPEND_DEADLINE_MS = 15_000;

/** The gateway of a node with the addresses its listeners got. */
export interface GatewayRole {
  readonly gateway: Gateway;
  readonly mqtt: Address | null;
  readonly ws: Address | null;
  topologyChanged(): void;
  stop(drainMs: number): Promise<void>;
}

export async function startGateway(parts: {
  config: ServerConfig;
  coordinatorNodeId: number;
  topology: Topology;
  transport: Transport;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}): Promise<GatewayRole> {
  const { config, topology, transport, clock, logger, metrics } = parts;
  const filesMax = openFilesLimit();
  const { connectionsMax } = shareOpenFiles(filesMax, config.mqtt.connectionsMax);
  if (connectionsMax < config.mqtt.connectionsMax) {
    logger.warn(
      { connectionsMax, asked: config.mqtt.connectionsMax, openFilesMax: filesMax },
      'fewer MQTT connections than mqtt.connectionsMax are accepted: raise the limit of open files',
    );
  }
  const producer = new PartitionProducer({
    topology,
    transport,
    clock,
    logger,
    metrics,
    bufferBytesMax: config.queues.publishBufferBytes,
    deadlineMs: APPEND_DEADLINE_MS,
  });
  const consumers = new PartitionConsumer({ topology, transport });
  const wanted = (name: string, topicFilter: string): void => {
    transport
      .call<QueueRegistryRequest, QueueRegistryResponse>(parts.coordinatorNodeId, 'queue-registry', {
        type: 'wanted',
        name,
        topicFilter,
      })
      .catch((err: unknown) =>
        logger.warn({ err, queue: name }, 'nobody could be asked to make the queue subscribed to'),
      );
  };
  const attachments = new QueueAttachments({ topology, consumers, wanted });
  const durable = new PublishRouter({
    topology,
    producer,
    keys: new QueueKeys(nodeKeyEnvironment),
    clock,
    logger,
    metrics,
  });
  const gateway = new Gateway({
    clock,
    logger,
    metrics,
    authenticator: authenticatorFor(config),
    durable,
    queues: attachments,
    limits: {
      maximumPacketSizeBytes: config.mqtt.maximumPacketBytes,
      receiveMaximum: config.mqtt.receiveMaximum,
      topicAliasMaximum: config.mqtt.topicAliasMaximum,
      keepAliveMaxS: Math.floor(config.mqtt.keepAliveMaxMs / 1000),
      connectTimeoutMs: config.mqtt.connectTimeoutMs,
      connectionsMax,
      sendBufferBytesMax: config.mqtt.sendBufferBytesMax,
      liveQueueMax: config.mqtt.liveQueueMessagesMax,
    },
  });
  const { listeners } = config;
  const mqtt = listeners.mqtt === null ? null : await gateway.listenTcp(listeners.mqtt);
  const ws = listeners.ws === null ? null : await gateway.listenWebSocket(listeners.ws);
  return {
    gateway,
    mqtt,
    ws,
    topologyChanged: () => attachments.topologyChanged(),
    async stop(drainMs) {
      await gateway.close({ drainMs });
      producer.close();
      consumers.close();
    },
  };
}

function authenticatorFor(config: ServerConfig): Authenticator {
  if (config.auth.anonymous) return anonymousAuthenticator;
  return new PasswordAuthenticator(new Map(config.auth.users.map(({ username, password }) => [username, password])));
}
