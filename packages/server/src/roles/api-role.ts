import { hostname } from 'node:os';
import { ApiListener } from '@sluice/api/api-listener';
import { createApiKeyStore } from '@sluice/api/auth/api-key-store';
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
  const name = `sluice@${hostname()}`;
  const api = new ApiListener({
    queues: node.queues,
    validateKeyExpression,
    apiKeys: createApiKeyStore(config.api.keys),
    anonymous: config.api.anonymous,
    health: node.health,
    nodes: () => [
      {
        name,
        roles: [...config.node.roles],
        status: 'running',
        version: BUILD.version,
        startedAtMs,
        connections: node.gateway.gateway.counts().connections,
      },
    ],
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

/** Everything a definition could say wrong is said when it is made, not when the first message comes. */
function validateKeyExpression(source: string): { ok: true } | { ok: false; message: string; hint: string } {
  const outcome = compileKeyExpression(source);
  if (outcome.ok) return { ok: true };
  const { message, position, hint } = outcome.error;
  return { ok: false, message: `${message} (at character ${position + 1})`, hint };
}
