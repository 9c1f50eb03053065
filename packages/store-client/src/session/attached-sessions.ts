import type { PassedItem, SessionsRequest, SessionsResponse, StreamDelivery } from '@sluice/rpc/contract/sessions';
import type { RouteTable } from '../route/route-table.ts';
import type { StoreLinks } from '../route/store-links.ts';
import type { SessionLink } from './session-questions.ts';

/**
 * The sessions whose clients are connected to this node: each is attached to the leader of its partition, which sends its
 * messages, and is told what its client has passed.
 *
 * A store that begins to lead says so; every session of that partition is attached there again, and what nobody has
 * passed comes anew: whoever has it already passes it without another look (`gateway/session/stored-session`).
 */
export class AttachedSessions {
  readonly #routes: RouteTable;
  readonly #links: StoreLinks<SessionsRequest, SessionsResponse>;
  /** By client id: one at a time is attached here. */
  readonly #attached = new Map<string, Attached>();
  /** Of those, who waits for a leader to be known. */
  readonly #waiting = new Set<Attached>();
  /** By where their sessions are attached, and then by partition. */
  readonly #passed = new Map<SessionLink, Map<number, PassedItem[]>>();

  constructor(routes: RouteTable, links: StoreLinks<SessionsRequest, SessionsResponse>) {
    this.#routes = routes;
    this.#links = links;
  }

  /** Some wait for a leader to be known, and for the next `look`. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Its messages come to `sink` until `detach`, or until `sink.lost`. */
  attach({ partition, clientId, epoch }: SessionKey, window: number, sink: SessionSink): void {
    const attached: Attached = { partition, clientId, epoch, window, sink, link: undefined };
    this.#attached.set(clientId, attached);
    this.#attach(attached);
  }

  detach(clientId: string, epoch: number): void {
    if (this.#attached.get(clientId)?.epoch === epoch) this.#attached.delete(clientId);
  }

  delivered(link: SessionLink, { clientId, epoch, deliveries }: Said<'deliver'>): void {
    const attached = this.#attached.get(clientId);
    if (attached?.epoch === epoch && attached.link === link) attached.sink.delivered(deliveries);
  }

  /** The connection that has the session now is answered when this one is over [MQTT-3.1.4-3]. */
  taken({ channel }: SessionLink, { partition, clientId, epoch }: Said<'lost'>): void {
    const attached = this.#attached.get(clientId);
    if (attached?.epoch !== epoch) return;
    this.#attached.delete(clientId);
    attached.sink.lost();
    channel.send({ type: 'pass', partition, items: [{ clientId, epoch, streamId: 0, offset: 0 }] });
  }

  /** Told once a turn to the store that brought it. What it does not hear the next one brings again. */
  pass({ partition, clientId, epoch }: SessionKey, streamId: number, offset: number): void {
    const attached = this.#attached.get(clientId);
    if (attached?.link === undefined || attached.epoch !== epoch) return;
    let places = this.#passed.get(attached.link);
    if (places === undefined) {
      if (this.#passed.size === 0) setImmediate(() => this.flush());
      places = new Map();
      this.#passed.set(attached.link, places);
    }
    const items = places.get(partition);
    const item = { clientId, epoch, streamId, offset };
    if (items === undefined) places.set(partition, [item]);
    else items.push(item);
  }

  flush(): void {
    for (const [link, places] of this.#passed) {
      for (const [partition, items] of places) link.channel.send({ type: 'pass', partition, items });
    }
    this.#passed.clear();
  }

  led(partition: number, link: SessionLink): void {
    for (const attached of this.#attached.values()) {
      if (attached.partition === partition) this.#attachTo(attached, link);
    }
  }

  lost(link: SessionLink): void {
    for (const attached of this.#attached.values()) {
      if (attached.link !== link) continue;
      attached.link = undefined;
      this.#waiting.add(attached);
    }
    this.#passed.delete(link);
  }

  /** Attaches those whose leader is known by now. */
  look(): void {
    for (const attached of this.#waiting) this.#attach(attached);
  }

  #attach(attached: Attached): void {
    const leader = this.#routes.leaderOf(attached.partition);
    if (this.#attached.get(attached.clientId) !== attached) this.#waiting.delete(attached);
    else if (leader === 0) this.#waiting.add(attached);
    else this.#attachTo(attached, this.#links.to(leader));
  }

  #attachTo(attached: Attached, link: SessionLink): void {
    const { partition, clientId, epoch, window } = attached;
    attached.link = link;
    this.#waiting.delete(attached);
    link.channel.send({ type: 'attach', partition, clientId, epoch, window });
  }
}

/** Where a session is, and under which number it is held. */
export interface SessionKey {
  readonly partition: number;
  readonly clientId: string;
  readonly epoch: number;
}

export interface SessionSink {
  delivered(deliveries: readonly StreamDelivery[]): void;
  /** Somebody else has the session, or it is over. */
  lost(): void;
}

type Said<T extends SessionsResponse['type']> = Extract<SessionsResponse, { type: T }>;

interface Attached extends SessionKey {
  readonly window: number;
  readonly sink: SessionSink;
  link: SessionLink | undefined;
}
