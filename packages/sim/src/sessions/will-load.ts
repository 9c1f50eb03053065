import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import type { SessionKnobs } from './session-knobs.ts';
import { WillClient } from './will-client.ts';
import type { WillTrail } from './will-trail.ts';

/** Clients that leave wills, and what must have become of those in the end. */
export class WillLoad {
  readonly #trail: WillTrail;
  readonly #clients: WillClient[];

  constructor(parts: WillLoadParts) {
    this.#trail = parts.trail;
    this.#clients = Array.from({ length: parts.knobs.willClients }, (_, i) => new WillClient(`will${i}`, parts));
  }

  begin(): void {
    for (const client of this.#clients) client.begin();
  }

  /** All of them go. */
  end(): void {
    for (const client of this.#clients) client.leave();
  }

  get isDone(): boolean {
    return this.#trail.check.due().next().done === true;
  }

  atTheEnd(): void {
    this.#trail.check.atTheEnd();
  }

  get summary(): string {
    const { fired, takenBack } = this.#trail.check;
    return `${fired} wills fired, ${takenBack} taken back`;
  }
}

export interface WillLoadParts {
  world: SimWorld;
  draw: Draw;
  knobs: SessionKnobs;
  gateways: readonly GatewayNode[];
  trail: WillTrail;
}
