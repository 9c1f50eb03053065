import { ReasonCode } from '../codec/reason-code.ts';

/**
 * Topic aliases, MQTT 5 section 3.3.2.3.4: small numbers that stand for topics on one network connection. The two
 * directions are independent, each bounded by the Topic Alias Maximum that its receiver announced, and both are gone
 * with the connection. Aliases live for as long as the packets are in order: an inbound PUBLISH is resolved when it is
 * read, before anything may be dropped; an outbound alias is drawn when the packet is certain to be written.
 */

/**
 * What a client has defined towards us. Holds at most `aliasMax` topics of at most 64 KiB each: announce a maximum with
 * that product in mind, 16 to 64 rather than 65 535.
 */
export class InboundTopicAliases {
  readonly aliasMax: number;
  #topics: Map<number, string> | undefined = undefined;

  constructor(aliasMax: number) {
    this.aliasMax = aliasMax;
  }

  /**
   * The topic of a PUBLISH that carries an alias. A topic that is not empty (re)defines the alias; an empty one asks for
   * it. A number is the reason code to disconnect with: 0x94 for an alias that was never allowed [MQTT-3.3.2-8]
   * [MQTT-3.3.2-9], 0x82 for one that was not defined.
   */
  resolve(alias: number, topic: string): string | ReasonCode {
    if (alias < 1 || alias > this.aliasMax) return ReasonCode.TOPIC_ALIAS_INVALID;
    if (topic !== '') {
      this.#topics ??= new Map();
      this.#topics.set(alias, topic);
      return topic;
    }
    return this.#topics?.get(alias) ?? ReasonCode.PROTOCOL_ERROR;
  }
}

/** Of what a client allows we use no more: each holds a topic, and a client's busy topics are few. */
export const OUTBOUND_ALIASES_MAX = 64;

/** What we have defined towards a client: the least recently used topic gives way. */
export class OutboundTopicAliases {
  readonly #aliasMax: number;
  /** In order of use, the oldest first. */
  readonly #aliases = new Map<string, number>();
  /** Aliases above this one have never been used. */
  #used = 0;

  constructor(aliasMax: number) {
    this.#aliasMax = Math.min(aliasMax, OUTBOUND_ALIASES_MAX);
  }

  /**
   * Positive: the client knows this alias, send it with an empty topic. Negative: the alias is new, send its absolute
   * value together with the topic. 0: send the topic alone.
   */
  draw(topic: string): number {
    if (this.#aliasMax === 0) return 0;
    const known = this.#aliases.get(topic);
    if (known !== undefined) {
      this.#aliases.delete(topic);
      this.#aliases.set(topic, known);
      return known;
    }
    let alias: number;
    if (this.#used < this.#aliasMax) alias = ++this.#used;
    else {
      const [oldest, reused] = this.#aliases.entries().next().value as [string, number];
      this.#aliases.delete(oldest);
      alias = reused;
    }
    this.#aliases.set(topic, alias);
    return -alias;
  }
}
