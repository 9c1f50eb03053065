import type { RestClient } from '../../harness/rest.ts';
import { type Address, type ListenerName, type ServerOptions, ServerProcess } from '../../harness/server-process.ts';
import { ClusterBroker } from './cluster-broker.ts';

/** What the tests know of the broker they test: one process, or a whole cluster. */
export interface Broker {
  /** Where the next client connects. In a cluster it differs from client to client. */
  readonly mqtt: Address;
  readonly log: string;
  address(listener: ListenerName): Address;
  /** The management API with the key of the harness, or anonymous; in a cluster of any node. */
  rest(authentication?: 'key' | 'anonymous'): RestClient;
  /** The management API of every node. */
  rests(authentication?: 'key' | 'anonymous'): RestClient[];
  /** SIGTERM; throws unless it drains and exits with 0. */
  stop(which?: Which): Promise<void>;
  /** Starts what was stopped again on its data; what still runs of it is killed first. */
  restart(which?: Which): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * Of a cluster: `one` is the gateway the last client was sent to, and where stores are processes of their own one of those
 * as well. Where there is but one process it is all.
 */
export type Which = 'one' | 'all';

/**
 * By default one process, as most people run it. `SLUICE_E2E=cluster` makes it three nodes with all roles,
 * `SLUICE_E2E=tiers` a process a role: clients then connect to gateways by chance, and requests go to nodes by chance.
 */
export async function startBroker(options: ServerOptions = {}): Promise<Broker> {
  const kind = process.env.SLUICE_E2E ?? '';
  if (kind === '') return await ServerProcess.start(options);
  if (kind === 'cluster') return await ClusterBroker.start('compact', options);
  if (kind === 'tiers') return await ClusterBroker.start('tiers', options);
  throw new Error(`SLUICE_E2E is cluster, tiers or nothing, not ${kind}`);
}

export function isCluster(): boolean {
  return (process.env.SLUICE_E2E ?? '') !== '';
}
