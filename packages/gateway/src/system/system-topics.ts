import { PacketType } from '@sluice/mqtt/codec/packet';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import type { LiveRouter } from '../live/live-router.ts';
import type { SystemFacts } from './system-facts.ts';
import { type Said, topicsOfBroker, topicsOfNode } from './topic-names.ts';

/**
 * What this node says of itself under `$SYS/`, for dashboards that were made for other brokers: mosquitto's names below
 * `$SYS/broker/`, EMQX's below `$SYS/brokers/<node>/`. Said once an interval, and, as retained messages are, to every new
 * subscription. They are no retained messages: nobody stores them, and a node that is gone says nothing any more.
 *
 * Both trees are this node's. What it says below its own name goes to subscribers on other gateways as well, when it is
 * said; the other tree does not, since every node says the same names.
 */
export class SystemTopics {
  readonly #options: SystemTopicsOptions;
  #dueAtMs: number;

  constructor(options: SystemTopicsOptions) {
    this.#options = options;
    this.#dueAtMs = options.nowMs + options.intervalMs;
  }

  /** Whether a subscription is to be shown these, and not retained messages. */
  covers(filter: string): boolean {
    return filter.startsWith(ROOT);
  }

  /** What matches, as it is now. */
  *found(filter: string, nowMs: number): IterableIterator<PublishedMessage> {
    if (this.#options.intervalMs === 0) return;
    const facts = this.#options.facts();
    for (const said of [...topicsOfNode(facts), ...topicsOfBroker(facts)]) {
      if (matches(filter, said[0])) yield messageOf(said, nowMs);
    }
  }

  /** Some times a second. */
  tick(monotonicMs: number, nowMs: number): void {
    const { live, mesh, facts, intervalMs } = this.#options;
    if (intervalMs === 0 || monotonicMs < this.#dueAtMs) return;
    this.#dueAtMs = monotonicMs + intervalMs;
    const now = facts();
    for (const said of topicsOfNode(now)) {
      const message = messageOf(said, nowMs);
      live.route(message);
      if (mesh.active) mesh.forward(message, nowMs);
    }
    for (const said of topicsOfBroker(now)) live.route(messageOf(said, nowMs));
  }
}

export interface SystemTopicsOptions {
  live: LiveRouter;
  /** How other gateways get to see it. */
  mesh: { readonly active: boolean; forward(message: PublishedMessage, nowMs: number): number };
  facts: () => SystemFacts;
  /** 0: nothing is said, and nothing is found. */
  intervalMs: number;
  /** Monotonic. */
  nowMs: number;
}

function messageOf([topic, text]: Said, nowMs: number): PublishedMessage {
  const payload = Buffer.from(text);
  const packet = { type: PacketType.PUBLISH, topic, payload, qos: 0, retain: false, dup: false, packetId: 0 } as const;
  return new PublishedMessage(packet, NOBODY, nowMs);
}

const ROOT = '$SYS/';
/** No client has this identifier: they have one character at least. */
const NOBODY = '';
