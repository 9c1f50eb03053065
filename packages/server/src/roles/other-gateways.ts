import type { NodeInfo } from '@sluice/meta/node-info';
import type { Topology } from '@sluice/meta/topology';

/** Where clients can go that this gateway sends away, as the topology has it at the moment of asking. */
export class OtherGateways {
  readonly #topology: Topology;
  readonly #nodeId: number;

  constructor(topology: Topology, nodeId: number) {
    this.#topology = topology;
    this.#nodeId = nodeId;
  }

  /** Whether clients that come again find one: a balancer in front may know gateways that say no address of their own. */
  get any(): boolean {
    return this.#serving().some(({ roles }) => roles.includes('gateway'));
  }

  /** The addresses they told, as a Server Reference lists them (MQTT 5.0, 4.11); undefined: none told one. */
  serverReference(): string | undefined {
    const addresses = this.#serving().map(({ mqttAddress }) => mqttAddress);
    const told = addresses.filter((address) => address !== '');
    return told.length === 0 ? undefined : told.join(' ');
  }

  #serving(): NodeInfo[] {
    return this.#topology
      .nodes()
      .filter(({ nodeId, state }) => nodeId !== this.#nodeId && state === 'active' && this.#topology.isAlive(nodeId));
  }
}
