import type { NodeInfo } from '@sluice/meta/node-info';
import type { Topology } from '@sluice/meta/topology';
import type {
  BalanceStatus,
  ConnectionBalance,
  GatewayBalance,
  GatewayLoadRequest,
  GatewayLoadResponse,
} from '@sluice/rpc/contract/gateway-load';
import { type Outcome, type Refusal, refuse } from '@sluice/rpc/contract/queue-management';
import type { Transport } from '@sluice/rpc/transport';
import { refuseUnlessReady } from './metadata-change.ts';

/**
 * Connections spread over the gateways, from any node. Nobody watches over it: each gateway that has too many is told once
 * how many it shall have, and stops by itself. So there is no leader to lose, and asking again meanwhile does no harm.
 *
 * Only gateways in service count: those that drain send everybody away as it is.
 */
export class ConnectionAdministration implements ConnectionBalance {
  readonly #topology: Topology;
  readonly #transport: Transport;

  constructor(options: { topology: Topology; transport: Transport }) {
    this.#topology = options.topology;
    this.#transport = options.transport;
  }

  look(): Promise<Outcome<BalanceStatus>> {
    return this.#tellAll(() => ({ type: 'look' }));
  }

  stop(): Promise<Outcome<BalanceStatus>> {
    return this.#tellAll(() => ({ type: 'keep' }));
  }

  async start({ threshold, perSecond }: { threshold: number; perSecond: number }): Promise<Outcome<BalanceStatus>> {
    const before = await this.look();
    if (!before.ok) return before;
    const { gateways, meanConnections } = before.value;
    if (gateways.length < 2) {
      return refuse('BAD_REQUEST', 'There is no other gateway in service', 'start one, or take one back with undrain');
    }
    const target = Math.ceil(meanConnections);
    const most = Math.max(target, meanConnections * threshold);
    const tooMany = new Set(gateways.filter(({ connections }) => connections > most).map(({ name }) => name));
    return this.#tellAll(({ name }) => (tooMany.has(name) ? { type: 'shed', target, perSecond } : { type: 'keep' }));
  }

  async #tellAll(requestTo: (gateway: NodeInfo) => GatewayLoadRequest): Promise<Outcome<BalanceStatus>> {
    const notReady = refuseUnlessReady(this.#topology);
    if (notReady !== undefined) return notReady;
    const asked = await Promise.all(this.#inService().map((gateway) => this.#tell(gateway, requestTo(gateway))));
    const gateways: GatewayBalance[] = [];
    for (const one of asked) {
      if ('ok' in one) return one;
      gateways.push(one);
    }
    const connections = gateways.reduce((sum, one) => sum + one.connections, 0);
    const meanConnections = gateways.length === 0 ? 0 : connections / gateways.length;
    const isUnderWay = gateways.some(({ isShedding }) => isShedding);
    return { ok: true, value: { isUnderWay, meanConnections, gateways } };
  }

  /** One that does not answer has an unknown number of connections, and a mean without it would send too many away. */
  async #tell({ nodeId, name }: NodeInfo, request: GatewayLoadRequest): Promise<GatewayBalance | Refusal> {
    try {
      const { connections, isShedding, target, sent } = await this.#transport.call<
        GatewayLoadRequest,
        GatewayLoadResponse
      >(nodeId, 'gateway-load', request);
      return { name, connections, isShedding, target, sent };
    } catch {
      const hint = 'try again; a node of an earlier version has to be upgraded first';
      return refuse('UNAVAILABLE', `The gateway ${name} does not say how many connections it has`, hint);
    }
  }

  #inService(): NodeInfo[] {
    const topology = this.#topology;
    return topology
      .nodes()
      .filter(({ nodeId, roles, state }) => state === 'active' && roles.includes('gateway') && topology.isAlive(nodeId))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
  }
}
