import type { Outcome } from './queue-management.ts';

/** Rare questions to one gateway about the connections it has. Each is answered with how it stands then. */
export type GatewayLoadRequest =
  | { type: 'look' }
  /** Sends connections to other gateways, that many a second, until no more than `target` are left. */
  | { type: 'shed'; target: number; perSecond: number }
  /** Ends that. */
  | { type: 'keep' };

export interface GatewayLoadResponse {
  type: 'load';
  connections: number;
  isShedding: boolean;
  /** Down to how many; as many as there are while nothing is shed. */
  target: number;
  /** Sent away since shedding began, or the last time. */
  sent: number;
}

/**
 * How an operator spreads connections over the gateways. Nothing of it is stored: every gateway sheds by itself what it was
 * asked to, so it makes no difference which node was asked and whether it lives on.
 */
export interface ConnectionBalance {
  /** UNAVAILABLE while a gateway that lives does not answer. */
  look(): Promise<Outcome<BalanceStatus>>;
  /** Gateways with more than `threshold` times the mean go down to it. BAD_REQUEST while there is only one gateway. */
  start(options: { threshold: number; perSecond: number }): Promise<Outcome<BalanceStatus>>;
  stop(): Promise<Outcome<BalanceStatus>>;
}

export interface BalanceStatus {
  /** True until the last gateway is done. */
  isUnderWay: boolean;
  /** Of gateways in service. */
  meanConnections: number;
  gateways: readonly GatewayBalance[];
}

export interface GatewayBalance extends Omit<GatewayLoadResponse, 'type'> {
  name: string;
}
