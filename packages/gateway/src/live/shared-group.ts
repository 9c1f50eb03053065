import type { LiveMessage, LiveSubscriber, LiveSubscription } from './live-router.ts';

/**
 * The members of one `$share/<group>/<filter>` on this gateway: each message goes to exactly one of them
 * (MQTT 5 section 4.8.2). Dealing blindly in turn lets work pile up behind a slow or absent member, so the turn passes over
 * members that are not ready. When nobody in reach is, the one whose turn it is gets the message: its session keeps or
 * drops it by its own bound, as it would for an ordinary subscription.
 *
 * Joining and leaving cost the same for ten members and for ten thousand: the last member takes the leaver's place.
 * The order of turns is therefore not the order of joining; every member has one turn a round.
 *
 * @hotpath
 */
export class SharedGroup {
  readonly topicFilter: string;
  readonly filter: string;
  /** The `<group>` in it. */
  readonly name: string;
  /** Other gateways have members, too: who gets a message is not decided here alone. */
  isElsewhere = false;
  readonly #members: Member[] = [];
  readonly #places = new Map<LiveSubscriber, number>();
  #turn = 0;

  constructor(topicFilter: string, filter: string, name: string) {
    this.topicFilter = topicFilter;
    this.filter = filter;
    this.name = name;
  }

  get size(): number {
    return this.#members.length;
  }

  join(subscriber: LiveSubscriber, subscription: LiveSubscription): void {
    this.#places.set(subscriber, this.#members.length);
    this.#members.push(new Member(subscriber, subscription));
  }

  replace(subscriber: LiveSubscriber, subscription: LiveSubscription): void {
    const member = this.#memberOf(subscriber);
    if (member !== undefined) member.subscription = subscription;
  }

  leave(subscriber: LiveSubscriber): void {
    const place = this.#places.get(subscriber);
    if (place === undefined) return;
    this.#places.delete(subscriber);
    const last = this.#members.pop() as Member;
    if (place < this.#members.length) {
      this.#members[place] = last;
      this.#places.set(last.subscriber, place);
    }
  }

  subscriptionOf(subscriber: LiveSubscriber): LiveSubscription | undefined {
    return this.#memberOf(subscriber)?.subscription;
  }

  /** Hands the message to one member, never to `excluded`. False when there is nobody else. */
  deliver(message: LiveMessage, excluded: LiveSubscriber | undefined): boolean {
    const count = this.#members.length;
    if (count === 0) return false;
    if (this.#turn >= count) this.#turn = 0;
    let fallback = -1;
    let place = this.#turn;
    for (let probes = Math.min(count, READY_PROBES_MAX); probes > 0; probes--) {
      const { subscriber } = this.#members[place] as Member;
      if (subscriber !== excluded) {
        if (subscriber.ready) return this.#give(place, message);
        if (fallback < 0) fallback = place;
      }
      place = place + 1 === count ? 0 : place + 1;
    }
    return fallback >= 0 && this.#give(fallback, message);
  }

  #give(place: number, message: LiveMessage): true {
    const member = this.#members[place] as Member;
    // Before `receive`, which may make the member leave.
    this.#turn = place + 1;
    member.subscriber.receive(message, member.subscription);
    return true;
  }

  #memberOf(subscriber: LiveSubscriber): Member | undefined {
    const place = this.#places.get(subscriber);
    return place === undefined ? undefined : this.#members[place];
  }
}

/** Members asked whether they are ready, per message: a stalled group of thousands must not stall its publishers. */
const READY_PROBES_MAX = 64;

class Member {
  readonly subscriber: LiveSubscriber;
  subscription: LiveSubscription;

  constructor(subscriber: LiveSubscriber, subscription: LiveSubscription) {
    this.subscriber = subscriber;
    this.subscription = subscription;
  }
}
