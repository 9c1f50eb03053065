import type { Logger } from '@sluice/common/logger';
import type { Address } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import type { RunningNode } from '../running-node.ts';

/** The management API of a node with the address it got. */
export interface ApiRole {
  readonly address: Address | undefined;
  stop(): Promise<void>;
}

export async function startApi(_config: ServerConfig, _node: RunningNode, _logger: Logger): Promise<ApiRole> {
  return { address: undefined, stop: async () => {} };
}
