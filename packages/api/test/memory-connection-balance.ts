import type { BalanceStatus, ConnectionBalance, GatewayBalance } from '@sluice/rpc/contract/gateway-load';
import { type Outcome, refuse } from '@sluice/rpc/contract/queue-management';

/** Two gateways in memory, one of them full. */
export class MemoryConnectionBalance implements ConnectionBalance {
  gateways: GatewayBalance[] = [
    { name: 'n1', connections: 900, isShedding: false, target: 900, sent: 0 },
    { name: 'n2', connections: 100, isShedding: false, target: 100, sent: 0 },
  ];
  wish: { threshold: number; perSecond: number } | undefined;
  isAnswering = true;

  async look(): Promise<Outcome<BalanceStatus>> {
    if (!this.isAnswering) return refuse('UNAVAILABLE', 'The gateway n2 does not say how many connections it has');
    const { gateways } = this;
    const meanConnections = gateways.reduce((sum, { connections }) => sum + connections, 0) / gateways.length;
    return {
      ok: true,
      value: { isUnderWay: gateways.some(({ isShedding }) => isShedding), meanConnections, gateways },
    };
  }

  async start(wish: { threshold: number; perSecond: number }): Promise<Outcome<BalanceStatus>> {
    this.wish = wish;
    this.gateways = this.gateways.map((one) =>
      one.connections > 500 * wish.threshold ? { ...one, isShedding: true, target: 500 } : one,
    );
    return await this.look();
  }

  async stop(): Promise<Outcome<BalanceStatus>> {
    this.gateways = this.gateways.map((one) => ({ ...one, isShedding: false, target: one.connections }));
    return await this.look();
  }
}
