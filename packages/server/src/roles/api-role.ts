import { ApiListener } from '@sluice/api/api-listener';
import { createApiKeyStore } from '@sluice/api/auth/api-key-store';
import type { ApiNode } from '@sluice/api/ops/node-routes';
import { systemClock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { compileKeyExpression } from '@sluice/queue/key-expression/key-expression';
import { BUILD } from '../build.ts';
import type { Address } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import { openFilesLimit, shareOpenFiles } from '../open-files.ts';
import type { RunningNode } from '../running-node.ts';

/** The management API of a node with the address it got. */
export interface ApiRole {
  readonly address: Address;
  stop(): Promise<void>;
}

/** Undefined when the listener is off. */
export async function startApi(config: ServerConfig, node: RunningNode, logger: Logger): Promise<ApiRole | undefined> {
  if (config.listeners.http === null) return undefined;
  const startedAtMs = systemClock.nowMs();
  const { name } = node;
  const api = new ApiListener({
    queues: node.queues,
    cluster: node.cluster,
    validateKeyExpression,
    apiKeys: createApiKeyStore(config.api.keys),
    anonymous: config.api.anonymous,
    health: node.health,
    nodes: () => nodesOf(node, startedAtMs),
    nodeName: name,
    version: BUILD.version,
    logger,
    clock: systemClock,
    metricsText: () => node.metricsPage(),
    autoCreate: true,
    connectionsMax: shareOpenFiles(openFilesLimit(), config.mqtt.connectionsMax).apiConnectionsMax,
  });
  const address = await api.listen(config.listeners.http);
  return { address, stop: () => api.close() };
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
