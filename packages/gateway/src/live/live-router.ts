import type { Properties, QoS } from '@sluice/mqtt/codec/packet';
import { MatchIndex } from '@sluice/mqtt/topic/match-index';
import type { LiveRoute } from '@sluice/rpc/contract/live';
import { LeftRoutes } from './left-routes.ts';
import { SharedGroup } from './shared-group.ts';

/**
 * Who on this gateway receives a live PUBLISH. Ordinary subscriptions each get a copy, overlapping ones too, each with
 * its own identifier; a `$share` group gets one copy among its members. Queues are not routed here.
 *
 * Use: `subscribe` after SUBSCRIBE was authorised, `unsubscribe`, `leave` when the session ends, `route` for every
 * accepted PUBLISH or fired will. A subscriber is a session, connected or not: whether a message is sent, kept or
 * dropped is decided in its `receive`, which must not throw and may end its own subscription.
 *
 * Who leaves is given nothing more from that moment, and its places in groups are free. What it leaves behind, a place in
 * the index for each of thousands of filters, waits for `removeLeft`, which takes as many at a time as a turn bears.
 *
 * Other gateways send what somebody here wants: `observe` tells whoever passes it on which filters these are, each once
 * whatever the number of subscribers. A group that has members on other gateways, too, is not dealt here: `route` leaves
 * it to whoever chooses the gateway (`live-mesh`), who comes back with `deliverShared`.
 *
 * Publishers repeat their topics, so the list of matches is kept per topic. The cache holds no list that a change of
 * subscriptions has outdated: a filter without wildcards drops one topic from it, another one empties it, so that no
 * ended session is kept alive by it.
 *
 * @hotpath
 */
export class LiveRouter {
  readonly #routes = new MatchIndex<Route>();
  readonly #bySubscriber = new Map<LiveSubscriber, Map<string, Route>>();
  /** By topic filter with its `$share` prefix. */
  readonly #groups = new Map<string, SharedGroup>();
  /** Ordinary subscriptions by filter. */
  readonly #filters = new Map<string, number>();
  /** Groups that have members on other gateways, whether or not they have some here. */
  readonly #groupsElsewhere = new Set<string>();
  readonly #left = new LeftRoutes<Route>();
  #observer: LiveRouteObserver | undefined;
  #subscriptions = 0;
  readonly #perSubscriberMax: number;
  readonly #totalMax: number;

  constructor(limits: { perSubscriberMax?: number; totalMax?: number } = {}) {
    this.#perSubscriberMax = limits.perSubscriberMax ?? SUBSCRIPTIONS_PER_SUBSCRIBER_MAX;
    this.#totalMax = limits.totalMax ?? SUBSCRIPTIONS_MAX;
  }

  get subscriptions(): number {
    return this.#subscriptions;
  }

  /** Of subscribers that have left, still to be removed. Within the bound of all subscriptions. */
  get leftCount(): number {
    return this.#left.size;
  }

  get sharedGroups(): number {
    return this.#groups.size;
  }

  get cachedTopics(): number {
    return this.#routes.cachedTopics;
  }

  /** A second subscription with the same topic filter replaces the first [MQTT-3.8.4-3]. Refused: answer 0x97. */
  subscribe(subscriber: LiveSubscriber, subscription: LiveSubscription): SubscribeOutcome {
    let own = this.#bySubscriber.get(subscriber);
    const existing = own?.get(subscription.topicFilter);
    if (existing !== undefined) {
      if (existing instanceof SharedGroup) existing.replace(subscriber, subscription);
      else existing.subscription = subscription;
      return 'replaced';
    }
    if (this.#subscriptions >= this.#totalMax || (own?.size ?? 0) >= this.#perSubscriberMax) return 'refused';
    // Nobody is refused for what others have left.
    if (this.#subscriptions + this.#left.size >= this.#totalMax) this.removeLeft(1);
    if (own === undefined) {
      own = new Map();
      this.#bySubscriber.set(subscriber, own);
    }
    own.set(subscription.topicFilter, this.#addRoute(subscriber, subscription));
    this.#subscriptions++;
    return 'added';
  }

  /** False when there was no such subscription. `topicFilter` as it was subscribed, `$share/<group>/` included. */
  unsubscribe(subscriber: LiveSubscriber, topicFilter: string): boolean {
    const own = this.#bySubscriber.get(subscriber);
    const route = own?.get(topicFilter);
    if (own === undefined || route === undefined) return false;
    own.delete(topicFilter);
    if (own.size === 0) this.#bySubscriber.delete(subscriber);
    this.#removeRoute(subscriber, route);
    return true;
  }

  /** Ends every subscription of a session: it receives nothing more. What is left of them is for `removeLeft`. */
  leave(subscriber: LiveSubscriber): EndedSubscriptions {
    const own = this.#bySubscriber.get(subscriber);
    if (own === undefined) return NONE_ENDED;
    this.#bySubscriber.delete(subscriber);
    this.#subscriptions -= own.size;
    const left: Route[] = [];
    let shared = 0;
    for (const route of own.values()) {
      if (route instanceof SharedGroup) {
        shared++;
        route.leave(subscriber);
        if (route.size > 0) continue;
        this.#endGroup(route);
      } else route.active = false;
      left.push(route);
    }
    this.#left.add(left);
    return { ordinary: own.size - shared, shared };
  }

  /** At most so many of those that have left are taken out. Returns how many. */
  removeLeft(countMax: number): number {
    let count = 0;
    for (; count < countMax; count++) {
      const route = this.#left.take();
      if (route === undefined) break;
      if (route instanceof SharedGroup) this.#routes.remove(route.filter, route);
      else this.#removeOrdinary(route);
    }
    return count;
  }

  *subscriptionsOf(subscriber: LiveSubscriber): IterableIterator<LiveSubscription> {
    const own = this.#bySubscriber.get(subscriber);
    if (own === undefined) return;
    for (const route of own.values()) {
      const subscription = route instanceof SharedGroup ? route.subscriptionOf(subscriber) : route.subscription;
      if (subscription !== undefined) yield subscription;
    }
  }

  /**
   * Hands the message to everyone here whom it concerns; groups with members elsewhere are left out. Returns the copies
   * made; 0 is NO_MATCHING_SUBSCRIBERS.
   */
  route(message: LiveMessage): number {
    return this.#route(message, true);
  }

  /** A message that another gateway forwarded: which groups get it here was decided there. */
  routeOrdinary(message: LiveMessage): number {
    return this.#route(message, false);
  }

  /** The one copy of a `$share` group goes to a member here. False when there is none. */
  deliverShared(message: LiveMessage, topicFilter: string): boolean {
    return this.#groups.get(topicFilter)?.deliver(message, undefined) ?? false;
  }

  #route(message: LiveMessage, shared: boolean): number {
    const routes = this.#routes.match(message.topic);
    let copies = 0;
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i] as Route;
      if (route instanceof SharedGroup) {
        if (shared && !route.isElsewhere && route.deliver(message, undefined)) copies++;
        continue;
      }
      // A subscription may have ended in the `receive` of one before it.
      if (!route.active) continue;
      // [MQTT-3.8.3-3]
      if (route.subscription.noLocal && route.subscriber.clientId === message.publisher) continue;
      route.subscriber.receive(message, route.subscription);
      copies++;
    }
    return copies;
  }

  /**
   * A member of a `$share` group refused a message or went away with it unacknowledged: another one gets it
   * (MQTT 5 section 4.8.2, for QoS 1). False when there is no other; the caller still has the message.
   */
  redeliverShared(message: LiveMessage, topicFilter: string, excluded: LiveSubscriber): boolean {
    return this.#groups.get(topicFilter)?.deliver(message, excluded) ?? false;
  }

  // ---- for other gateways

  /** Told from here on. */
  observe(observer: LiveRouteObserver): void {
    this.#observer = observer;
  }

  /** Everything somebody here wants. */
  *wanted(): IterableIterator<LiveRoute> {
    for (const filter of this.#filters.keys()) yield { filter, share: '' };
    for (const { name, filter } of this.#groups.values()) yield { filter, share: name };
  }

  /** Filters that somebody here wants, each once. */
  get wantedCount(): number {
    return this.#filters.size + this.#groups.size;
  }

  hasGroup(topicFilter: string): boolean {
    return this.#groups.has(topicFilter);
  }

  /** The group has got, or has no longer, members on other gateways. */
  setGroupElsewhere(topicFilter: string, isElsewhere: boolean): void {
    if (isElsewhere) this.#groupsElsewhere.add(topicFilter);
    else this.#groupsElsewhere.delete(topicFilter);
    const group = this.#groups.get(topicFilter);
    if (group !== undefined) group.isElsewhere = isElsewhere;
  }

  #addRoute(subscriber: LiveSubscriber, subscription: LiveSubscription): Route {
    const { group: groupName, filter, topicFilter } = subscription;
    if (groupName === undefined) {
      const route = new OrdinaryRoute(subscriber, subscription);
      this.#routes.add(filter, route);
      const held = this.#filters.get(filter) ?? 0;
      this.#filters.set(filter, held + 1);
      if (held === 0) this.#observer?.routeAdded(filter, '');
      return route;
    }
    let group = this.#groups.get(topicFilter);
    if (group === undefined) {
      group = new SharedGroup(topicFilter, filter, groupName);
      group.isElsewhere = this.#groupsElsewhere.has(topicFilter);
      this.#groups.set(topicFilter, group);
      this.#routes.add(filter, group);
      this.#observer?.routeAdded(filter, groupName);
    }
    group.join(subscriber, subscription);
    return group;
  }

  #removeRoute(subscriber: LiveSubscriber, route: Route): void {
    this.#subscriptions--;
    if (route instanceof SharedGroup) {
      route.leave(subscriber);
      if (route.size > 0) return;
      this.#endGroup(route);
      this.#routes.remove(route.filter, route);
      return;
    }
    route.active = false;
    this.#removeOrdinary(route);
  }

  /** Its last member has left: other gateways deal to it no more. Empty, it may stand in the index for a while. */
  #endGroup(group: SharedGroup): void {
    this.#groups.delete(group.topicFilter);
    this.#observer?.routeRemoved(group.filter, group.name);
  }

  #removeOrdinary(route: OrdinaryRoute): void {
    const { filter } = route.subscription;
    this.#routes.remove(filter, route);
    const left = (this.#filters.get(filter) ?? 1) - 1;
    if (left > 0) {
      this.#filters.set(filter, left);
      return;
    }
    this.#filters.delete(filter);
    this.#observer?.routeRemoved(filter, '');
  }
}

/** Far above what devices hold; one client cannot fill the gateway. */
const SUBSCRIPTIONS_PER_SUBSCRIBER_MAX = 10_000;
/** Measured at 770 bytes each with a device's name in the filter: three quarters of a gigabyte. */
const SUBSCRIPTIONS_MAX = 1_000_000;

/** One session's side. `receive` is called once for each matching subscription of it. */
export interface LiveSubscriber {
  readonly clientId: string;
  /** A hint for `$share` groups: connected, and its inflight window has room. */
  readonly ready: boolean;
  receive(message: LiveMessage, subscription: LiveSubscription): void;
}

/** One published message, shared by all that receive it: nobody changes it. */
export interface LiveMessage {
  readonly topic: string;
  /** A view into the publisher's receive buffer: whoever keeps the message beyond the turn copies it. */
  readonly payload: Uint8Array;
  /** As published; a delivery has the smaller of this and the subscription's. */
  readonly qos: QoS;
  /** As published; a delivery keeps it only with Retain As Published [MQTT-3.3.1-12] [MQTT-3.3.1-13]. */
  readonly retain: boolean;
  /** As published. Alias and subscription identifiers in it are the publisher's and not passed on. */
  readonly properties: Properties | undefined;
  /** Client id of the publisher. */
  readonly publisher: string;
  /** 0 for never. What is left of it is the delivery's Message Expiry Interval [MQTT-3.3.2-6]. */
  readonly expiresAtMs: number;
}

export interface LiveSubscription {
  /** As subscribed, and what UNSUBSCRIBE names: `$share/<group>/<filter>` or `<filter>`. */
  readonly topicFilter: string;
  /** What topics are matched with. */
  readonly filter: string;
  /** Undefined for an ordinary subscription. */
  readonly group: string | undefined;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  /** Subscription Identifier, to be sent with every copy made for this subscription [MQTT-3.3.4-3]. */
  readonly identifier: number | undefined;
}

/** Called inside `subscribe` and `unsubscribe`: to be noted, nothing more. `share` is empty for an ordinary filter. */
export interface LiveRouteObserver {
  routeAdded(filter: string, share: string): void;
  routeRemoved(filter: string, share: string): void;
}

export type SubscribeOutcome = 'added' | 'replaced' | 'refused';

/** How many of each kind. */
export interface EndedSubscriptions {
  readonly ordinary: number;
  readonly shared: number;
}

const NONE_ENDED: EndedSubscriptions = { ordinary: 0, shared: 0 };

class OrdinaryRoute {
  readonly subscriber: LiveSubscriber;
  /** Changed in place when the same filter is subscribed again. */
  subscription: LiveSubscription;
  active = true;

  constructor(subscriber: LiveSubscriber, subscription: LiveSubscription) {
    this.subscriber = subscriber;
    this.subscription = subscription;
  }
}

type Route = OrdinaryRoute | SharedGroup;
