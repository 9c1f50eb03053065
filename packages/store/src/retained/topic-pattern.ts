/**
 * An MQTT topic filter over topics as the store has them: keys, in UTF-8. A scan looks at thousands of keys for each that
 * it wants, so nothing is decoded and nothing allocated a key.
 *
 * Filters are checked by gateways; one that is none matches something else, and nothing breaks.
 *
 * @hotpath
 */
export class TopicPattern {
  /** No wildcard: one topic. */
  readonly isExact: boolean;
  /** Every topic that matches begins with it. It ends before the first level with a wildcard. */
  readonly prefix: Uint8Array;
  readonly #filter: Uint8Array;

  constructor(filter: string) {
    const bytes = new Uint8Array(Buffer.from(filter, 'utf8'));
    this.#filter = bytes;
    const wildcard = firstWildcard(bytes);
    this.isExact = wildcard === -1;
    // `a/#` matches `a` as well.
    const isParentToo = wildcard > 0 && bytes[wildcard] === HASH;
    this.prefix = this.isExact ? bytes : bytes.subarray(0, isParentToo ? wildcard - 1 : wildcard);
  }

  matches(topic: Uint8Array): boolean {
    const filter = this.#filter;
    // [MQTT-4.7.2-1]
    if (topic[0] === DOLLAR && (filter[0] === HASH || filter[0] === PLUS)) return false;
    let at = 0;
    for (let i = 0; i < filter.length; i++) {
      const byte = filter[i] as number;
      if (byte === HASH) return true;
      if (byte === PLUS) {
        while (at < topic.length && topic[at] !== SLASH) at++;
        continue;
      }
      // The parent of `/#`.
      if (at === topic.length) return byte === SLASH && filter[i + 1] === HASH && i + 2 === filter.length;
      if (topic[at] !== byte) return false;
      at++;
    }
    return at === topic.length;
  }
}

function firstWildcard(filter: Uint8Array): number {
  for (let i = 0; i < filter.length; i++) if (filter[i] === HASH || filter[i] === PLUS) return i;
  return -1;
}

const HASH = 0x23;
const DOLLAR = 0x24;
const PLUS = 0x2b;
const SLASH = 0x2f;
