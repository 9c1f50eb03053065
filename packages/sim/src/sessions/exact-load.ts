import { RetainedCheck } from '../check/retained-check.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import { ExactClient } from './exact-client.ts';
import type { SessionKnobs } from './session-knobs.ts';

/**
 * QoS 2 from end to end: publishers and subscribers with sessions that never expire. What is not known to be refused is
 * with each subscriber, once, and in the order of its publisher.
 */
export class ExactLoad {
  readonly #parts: ExactLoadParts;
  readonly #publishers: ExactClient[];
  readonly #subscribers: ExactClient[];
  #isOver = false;
  /** Topics that are cleared and have a value behind that. */
  readonly retained = new RetainedCheck();

  constructor(parts: ExactLoadParts) {
    this.#parts = parts;
    const { world, draw, gateways, knobs } = parts;
    const { retained } = this;
    const options = { world, draw, gateways, retained, actEveryMs: knobs.actEveryMs, mayHarm: () => !this.#isOver };
    const clients = (name: string, count: number, subscribes: boolean): ExactClient[] =>
      Array.from({ length: count }, (_, i) => new ExactClient(`${name}${i}`, { ...options, subscribes }));
    this.#publishers = clients('once', knobs.exactPublishers, false);
    this.#subscribers = clients('exact', knobs.exactPublishers === 0 ? 0 : 2, true);
  }

  begin(): void {
    for (const client of [...this.#publishers, ...this.#subscribers]) client.begin();
    for (const publisher of this.#publishers) this.#next(publisher);
  }

  end(): void {
    this.#isOver = true;
  }

  get isDone(): boolean {
    return (
      [...this.#publishers, ...this.#subscribers].every(({ unfinished }) => unfinished === 0) && this.#missing() === ''
    );
  }

  get summary(): string {
    const published = this.#publishers.reduce((sum, { completed }) => sum + completed.size, 0);
    const received = this.#subscribers.reduce((sum, each) => sum + each.received.length, 0);
    const cleared = this.retained.topics === 0 ? '' : `, ${this.retained.topics} topics cleared and retained`;
    return `${published} at QoS 2, ${received} received${cleared}`;
  }

  leave(): void {
    for (const client of [...this.#publishers, ...this.#subscribers]) client.leave();
  }

  /** `mayMiss`: a gateway may not have heard of a subscription in time. */
  atTheEnd(mayMiss: boolean): void {
    const missing = this.#missing();
    const isUnfinished = [...this.#publishers, ...this.#subscribers].some(({ unfinished }) => unfinished > 0);
    if ((missing !== '' && !mayMiss) || isUnfinished) {
      const clients = [...this.#publishers, ...this.#subscribers].map((client) => client.describe());
      throw new Violation('exactly once', `not there: ${missing}; ${clients.join('; ')}`);
    }
    for (const { clientId, received } of this.#subscribers) {
      const last = new Map<string, number>();
      for (const text of received) {
        const [publisher, number] = text.split(':') as [string, string];
        const before = last.get(publisher) ?? 0;
        if (Number(number) <= before) {
          const what = new Set(received).size < received.length ? 'twice, or ' : '';
          throw new Violation('exactly once', `${clientId} got ${text} ${what}after ${publisher}:${before}`);
        }
        last.set(publisher, Number(number));
      }
    }
  }

  #missing(): string {
    const missing: string[] = [];
    for (const { clientId, received } of this.#subscribers) {
      const there = new Set(received);
      for (const { completed } of this.#publishers) {
        for (const text of completed) if (!there.has(text)) missing.push(`${text} at ${clientId}`);
      }
    }
    return missing.slice(0, 5).join(', ');
  }

  #next(publisher: ExactClient): void {
    const { world, draw, knobs } = this.#parts;
    world.after(knobs.publishEveryMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.#next(publisher);
      // Before they are subscribed nobody is owed anything.
      if (!this.#subscribers.every(({ isSubscribed }) => isSubscribed)) return;
      if (knobs.clearsOnce === true && draw.onceIn(2)) publisher.clearAndRetain();
      else publisher.publish();
    });
  }
}

export interface ExactLoadParts {
  world: SimWorld;
  draw: Draw;
  gateways: readonly GatewayNode[];
  knobs: SessionKnobs;
}
