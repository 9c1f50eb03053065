import { hostname } from 'node:os';
import type { ServerConfig } from '../config/config.ts';

/** What people call the node: what they said, else where others reach it, else the machine it is on. */
export function nodeName(config: ServerConfig, advertised: string): string {
  if (config.node.name !== '') return config.node.name;
  return advertised !== '' ? advertised : `sluice@${hostname()}`;
}
