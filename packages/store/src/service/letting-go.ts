/**
 * A client that comes to another gateway has a connection at the former one until that hears of it, and might be written
 * a PUBLISH there after the CONNACK of the newer one. MQTT closes the older connection first [MQTT-3.1.4-3]. So the open
 * that took a session from another gateway is answered when that has let it go, or is gone itself. Who has no other
 * connection waits for nobody.
 *
 * A gateway that does not run, or is of a release that says nothing, holds nobody up for longer than `MS_MAX`.
 */
export class LettingGo {
  /** One of an open that is applied and not answered: gateways have `SessionQuestions.OPEN_MAX` of those at most, for `MS_MAX` here. */
  readonly #awaited = new Map<string, Awaited>();
  #isStopped = false;

  static readonly MS_MAX = 200;

  /** To be asked before the gateway is told. */
  by(gateway: number, { partition, clientId, epoch }: FormerConnection): Promise<void> {
    const key = keyOf(partition, clientId, epoch);
    this.#over(key);
    if (this.#isStopped) return Promise.resolve();
    return new Promise((then) => {
      const timer = setTimeout(() => this.#over(key), LettingGo.MS_MAX);
      this.#awaited.set(key, { gateway, then, timer });
    });
  }

  done({ partition, clientId, epoch }: FormerConnection): void {
    if (this.#awaited.size > 0) this.#over(keyOf(partition, clientId, epoch));
  }

  /** The last way to it is lost: it is gone, or hears of nothing. */
  gatewayGone(gateway: number): void {
    for (const [key, awaited] of [...this.#awaited]) if (awaited.gateway === gateway) this.#over(key);
  }

  /** Nobody is answered any more. */
  stop(): void {
    for (const { timer } of this.#awaited.values()) clearTimeout(timer);
    this.#awaited.clear();
    this.#isStopped = true;
  }

  #over(key: string): void {
    const awaited = this.#awaited.get(key);
    if (awaited === undefined) return;
    this.#awaited.delete(key);
    clearTimeout(awaited.timer);
    awaited.then();
  }
}

export interface FormerConnection {
  readonly partition: number;
  readonly clientId: string;
  readonly epoch: number;
}

interface Awaited {
  readonly gateway: number;
  readonly then: () => void;
  readonly timer: NodeJS.Timeout;
}

function keyOf(partition: number, clientId: string, epoch: number): string {
  return `${partition} ${epoch} ${clientId}`;
}
