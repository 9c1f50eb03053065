import type { Properties } from '@sluice/mqtt/codec/packet';
import { isDollarTopic } from '@sluice/mqtt/topic/topic-name';
import type { LiveMessage, LiveSubscription, SubscribeOutcome } from './live-router.ts';

/**
 * The last retained message of each topic. A subscription asks by filter, so topics stand in a trie of their levels and
 * a lookup walks only the levels that match: `fleet/7/#` costs what it finds, not what the store holds.
 *
 * `#` may still find everything, so a lookup is a cursor that is read in portions, each bounded in messages and in
 * levels visited. What is published while a cursor is open may or may not be seen by it; subscribe first and replay
 * afterwards, then the live path has brought what the cursor missed.
 *
 * The store is bounded in messages and in bytes, trie included. What does not fit is refused and counted, and the
 * message retained before stays: a refused publish changes nothing. Expired messages are never returned; they are
 * dropped when met and by `sweep`, a portion at a time. Payloads are copied in, never out.
 */
export class RetainedStore {
  readonly #root = new TopicNode(undefined, '');
  /** Topics whose message expires, in rotation for `sweep`. */
  readonly #expiring = new Set<TopicNode>();
  #sweeping: Iterator<TopicNode> = this.#expiring.values();
  #count = 0;
  #bytes = 0;
  #refused = 0;
  readonly #limits: RetainedLimits;

  constructor(limits: Partial<RetainedLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  get count(): number {
    return this.#count;
  }
  get sizeBytes(): number {
    return this.#bytes;
  }
  /** Messages refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * For every PUBLISH with RETAIN set. An empty payload removes what was retained [MQTT-3.3.1-6]; the message still goes
   * to live subscribers. `refused`: tell the publisher (0x97) or close, as for a queue that is full.
   */
  put(message: LiveMessage, nowMs: number): 'stored' | 'removed' | 'refused' {
    if (message.payload.length === 0) {
      const node = this.#find(message.topic);
      if (node !== undefined) this.#drop(node);
      return 'removed';
    }
    const sizeBytes = footprintBytes(message);
    if (sizeBytes > this.#limits.messageBytesMax) return this.#refuse();
    if (!this.#fits(message.topic, sizeBytes)) {
      this.sweep(nowMs);
      if (!this.#fits(message.topic, sizeBytes)) return this.#refuse();
    }
    const node = this.#nodeFor(message.topic);
    if (node.message === undefined) this.#count++;
    this.#bytes += sizeBytes - node.sizeBytes;
    node.message = ownedCopy(message);
    node.sizeBytes = sizeBytes;
    if (message.expiresAtMs > 0) this.#expiring.add(node);
    else this.#expiring.delete(node);
    return 'stored';
  }

  /** The messages that a new subscription with this filter is to be sent. */
  open(filter: string): RetainedCursor {
    return new RetainedCursor(this.#root, filter);
  }

  /** Drops expired messages among the next few that can expire; call it about once a second. Returns how many. */
  sweep(nowMs: number): number {
    let dropped = 0;
    for (let steps = Math.min(this.#expiring.size, SWEEP_STEPS_MAX); steps > 0; steps--) {
      const node = this.#nextExpiring();
      if (node?.message === undefined || !isExpired(node.message, nowMs)) continue;
      this.#drop(node);
      dropped++;
    }
    return dropped;
  }

  /** Goes round and round: what one sweep leaves, the next one begins with. */
  #nextExpiring(): TopicNode | undefined {
    const step = this.#sweeping.next();
    if (step.done !== true) return step.value;
    this.#sweeping = this.#expiring.values();
    return this.#sweeping.next().value;
  }

  #fits(topic: string, sizeBytes: number): boolean {
    const old = this.#find(topic);
    if (old?.message === undefined && this.#count >= this.#limits.countMax) return false;
    return this.#bytes - (old?.sizeBytes ?? 0) + sizeBytes <= this.#limits.bytesMax;
  }

  #refuse(): 'refused' {
    this.#refused++;
    return 'refused';
  }

  #find(topic: string): TopicNode | undefined {
    let node: TopicNode | undefined = this.#root;
    for (let at = 0; at <= topic.length && node !== undefined; ) {
      const end = levelEnd(topic, at);
      node = node.children?.get(topic.slice(at, end));
      at = end + 1;
    }
    return node;
  }

  #nodeFor(topic: string): TopicNode {
    let node = this.#root;
    for (let at = 0; at <= topic.length; ) {
      const end = levelEnd(topic, at);
      node = node.childFor(topic.slice(at, end));
      at = end + 1;
    }
    return node;
  }

  #drop(node: TopicNode): void {
    if (node.message === undefined) return;
    node.message = undefined;
    this.#count--;
    this.#bytes -= node.sizeBytes;
    node.sizeBytes = 0;
    this.#expiring.delete(node);
    let empty = node;
    while (empty.parent !== undefined && empty.message === undefined && empty.children === undefined) {
      empty.parent.dropChild(empty.level);
      empty = empty.parent;
    }
  }
}

export interface RetainedLimits {
  countMax: number;
  /** Over all messages, each with its share of the trie. */
  bytesMax: number;
  /** One message, its share of the trie included. */
  messageBytesMax: number;
}

const DEFAULT_LIMITS: RetainedLimits = {
  countMax: 1_000_000,
  bytesMax: 512 * 1024 * 1024,
  messageBytesMax: 1024 * 1024,
};

/** Charged for each level of a topic and for each message: a little above what they were measured to take. */
const LEVEL_BYTES = 256;
const MESSAGE_BYTES = 256;
const SWEEP_STEPS_MAX = 4_096;
/** Levels a cursor visits in one `read`, whether or not it finds messages there. */
const READ_STEPS_MAX = 4_096;

/** Whether a subscription is to be sent retained messages [MQTT-3.3.1-9 … 3.3.1-11]; a shared one never is. */
export function wantsRetained(subscription: LiveSubscription, outcome: SubscribeOutcome): boolean {
  if (outcome === 'refused' || subscription.group !== undefined) return false;
  return subscription.retainHandling === 0 || (subscription.retainHandling === 1 && outcome === 'added');
}

/** One walk over the topics that match a filter, by a stack of its own: as deep as topics are, never recursive. */
export class RetainedCursor {
  readonly #root: TopicNode;
  readonly #levels: readonly string[];
  /** Parallel: a place in the trie whose siblings are still to come, and the depth of the level they stand for. */
  readonly #pending: Iterator<TopicNode>[] = [];
  readonly #depths: number[] = [];

  constructor(root: TopicNode, filter: string) {
    this.#root = root;
    this.#levels = filter.split('/');
    this.#enter(root, 0);
  }

  get done(): boolean {
    return this.#pending.length === 0;
  }

  /**
   * Appends at most `limit` messages to `into`. Call again until `done`: a portion may be empty although more follow.
   * Messages are the store's own: not to be changed.
   */
  read(into: LiveMessage[], limit: number, nowMs: number): void {
    let found = 0;
    for (let steps = 0; steps < READ_STEPS_MAX && found < limit && this.#pending.length > 0; steps++) {
      const top = this.#pending.length - 1;
      const step = (this.#pending[top] as Iterator<TopicNode>).next();
      if (step.done === true) {
        this.#pending.pop();
        this.#depths.pop();
        continue;
      }
      const node = step.value;
      const depth = this.#depths[top] as number;
      const wanted = this.#levels[depth] as string;
      // [MQTT-4.7.2-1]
      const rest = wanted === '#';
      if ((rest || wanted === '+') && node.parent === this.#root && isDollarTopic(node.level)) continue;
      const last = depth + 1 === this.#levels.length;
      // `a/#` also finds `a`.
      const here = last || (depth + 2 === this.#levels.length && this.#levels[depth + 1] === '#');
      if (here && node.message !== undefined && !isExpired(node.message, nowMs)) {
        into.push(node.message);
        found++;
      }
      if (rest) this.#enter(node, depth);
      else if (!last) this.#enter(node, depth + 1);
    }
  }

  #enter(parent: TopicNode, depth: number): void {
    if (parent.children === undefined) return;
    const wanted = this.#levels[depth] as string;
    if (wanted === '+' || wanted === '#') this.#pending.push(parent.children.values());
    else {
      const child = parent.children.get(wanted);
      if (child === undefined) return;
      this.#pending.push([child].values());
    }
    this.#depths.push(depth);
  }
}

/** One level of the topics that have retained messages. */
class TopicNode {
  readonly parent: TopicNode | undefined;
  readonly level: string;
  children: Map<string, TopicNode> | undefined = undefined;
  message: LiveMessage | undefined = undefined;
  sizeBytes = 0;

  constructor(parent: TopicNode | undefined, level: string) {
    this.parent = parent;
    this.level = level;
  }

  childFor(level: string): TopicNode {
    this.children ??= new Map();
    let child = this.children.get(level);
    if (child === undefined) {
      child = new TopicNode(this, level);
      this.children.set(level, child);
    }
    return child;
  }

  dropChild(level: string): void {
    this.children?.delete(level);
    if (this.children?.size === 0) this.children = undefined;
  }
}

function levelEnd(topic: string, from: number): number {
  const slash = topic.indexOf('/', from);
  return slash < 0 ? topic.length : slash;
}

function isExpired(message: LiveMessage, nowMs: number): boolean {
  return message.expiresAtMs > 0 && message.expiresAtMs <= nowMs;
}

/** Only what travels with a message is kept; alias, identifiers and interval belong to the publisher's packet. */
function ownedCopy(message: LiveMessage): LiveMessage {
  const given = message.properties;
  let properties: Properties | undefined;
  if (given !== undefined) {
    properties = {};
    if (given.payloadFormatIndicator !== undefined) properties.payloadFormatIndicator = given.payloadFormatIndicator;
    if (given.contentType !== undefined) properties.contentType = given.contentType;
    if (given.responseTopic !== undefined) properties.responseTopic = given.responseTopic;
    if (given.correlationData !== undefined) properties.correlationData = new Uint8Array(given.correlationData);
    if (given.userProperties !== undefined) properties.userProperties = given.userProperties;
  }
  const { topic, qos, publisher, expiresAtMs } = message;
  return { topic, payload: new Uint8Array(message.payload), qos, retain: true, properties, publisher, expiresAtMs };
}

function footprintBytes(message: LiveMessage): number {
  const { topic, payload, properties } = message;
  let sizeBytes = MESSAGE_BYTES + LEVEL_BYTES + topic.length * 2 + payload.length;
  for (let i = 0; i < topic.length; i++) if (topic.charCodeAt(i) === 0x2f) sizeBytes += LEVEL_BYTES;
  if (properties === undefined) return sizeBytes;
  sizeBytes += (properties.contentType?.length ?? 0) * 2 + (properties.responseTopic?.length ?? 0) * 2;
  sizeBytes += properties.correlationData?.length ?? 0;
  for (const text of properties.userProperties ?? []) sizeBytes += 16 + text.length * 2;
  return sizeBytes;
}
