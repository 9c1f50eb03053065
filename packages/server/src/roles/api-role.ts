import { ApiListener } from '@sluice/api/api-listener';
import { createApiKeyStore } from '@sluice/api/auth/api-key-store';
import type { ApiNode } from '@sluice/api/ops/node-routes';
import { systemClock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { compileKeyExpression } from '@sluice/queue/key-expression/key-expression';
import { BUILD } from '../build.ts';
import { WatchedFiles } from '../certificates/watched-files.ts';
import type { Address } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import type { NodeHealth } from '../node/node-health.ts';
import { openFilesLimit, shareOpenFiles } from '../node/open-files.ts';
import type { RunningNode } from '../node/running-node.ts';

/** The management API of a node with the address it got. */
export interface ApiRole {
  readonly address: Address;
  /** The node is composed: all of the API is answered, not its health alone. */
  serve(node: RunningNode): void;
  /** Somebody changed the file of API keys, and is done. */
  readFilesAgain(): void;
  stop(): Promise<void>;
}

/** Undefined when the listener is off. Opened before there is a node: what it waits for is told here. */
export async function openApi(
  config: ServerConfig,
  parts: { health: NodeHealth; metrics: Metrics; metricsText: () => Promise<string>; logger: Logger },
): Promise<ApiRole | undefined> {
  if (config.listeners.http === null) return undefined;
  const { health, metrics, metricsText, logger } = parts;
  const startedAtMs = systemClock.nowMs();
  const { anonymous, keys, files } = config.api;
  const apiKeys = createApiKeyStore(keys);
  const keyFiles = new WatchedFiles(files, {
    logger,
    refused: metrics.gauge(
      'sluice_api_key_file_refused',
      '1 while the file of API keys cannot be used as it is, and the keys of before stay in force.',
    ),
    subject: 'API keys',
    count: (keys) => ({ keys: keys.length }),
  });
  const api = new ApiListener({
    health: health.report,
    metricsText,
    logger,
    anonymous,
    connectionsMax: shareOpenFiles(openFilesLimit(), config.mqtt.connectionsMax).apiConnectionsMax,
  });
  const address = await api.listen(config.listeners.http);
  keyFiles.watch((renewed) => apiKeys.replace(renewed));
  return {
    address,
    serve: (node) =>
      api.serve({
        queues: node.queues,
        retained: node.retained,
        cluster: node.cluster,
        connections: node.connections,
        access: node.access,
        backup: node.backup,
        validateKeyExpression,
        apiKeys,
        anonymous,
        health: health.report,
        nodes: () => nodesOf(node, startedAtMs),
        nodeName: node.name,
        version: BUILD.version,
        logger,
        clock: systemClock,
        metricsText,
        metricsDetail: node.metrics,
      }),
    readFilesAgain: () => void keyFiles.look({ isWritten: true }),
    stop: () => {
      keyFiles.close();
      return api.close();
    },
  };
}

/** All nodes of the image; how long others run and how many clients they have is theirs to say. */
function nodesOf(node: RunningNode, startedAtMs: number): ApiNode[] {
  const { topology } = node;
  return topology
    .nodes()
    .filter(({ state }) => state !== 'gone')
    .map(({ nodeId, name, roles, version }) => ({
      name,
      roles,
      status: topology.isAlive(nodeId) ? 'running' : 'stopped',
      version,
      startedAtMs: name === node.name ? startedAtMs : null,
      connections: name === node.name ? (node.gateway?.gateway.counts().connections ?? 0) : null,
    }));
}

/** Everything a definition could say wrong is said when it is made, not when the first message comes. */
function validateKeyExpression(source: string): { ok: true } | { ok: false; message: string; hint: string } {
  const outcome = compileKeyExpression(source);
  if (outcome.ok) return { ok: true };
  const { message, position, hint } = outcome.error;
  return { ok: false, message: `${message} (at character ${position + 1})`, hint };
}
