/**
 * What may stand in the topic of a PUBLISH or a will. The wire gives any UTF-8 string and REST gives any JSON string, so
 * the check is made here, once and in one pass over the characters; whoever holds a checked topic need not look again.
 *
 * The number of levels is bounded although the specification does not bound it: 65 000 slashes fit into one packet, and
 * every level costs a step in each trie that the topic meets.
 */

/** As EMQX's `max_topic_levels`: nothing that people name by hand comes near. */
export const TOPIC_LEVELS_MAX = 128;
/** The length prefix of a UTF-8 string has two bytes [MQTT-4.7.3-3]. */
export const TOPIC_BYTES_MAX = 65_535;

const NUL = 0x00;
const HASH = 0x23;
const DOLLAR = 0x24;
const PLUS = 0x2b;
const SLASH = 0x2f;

/** Undefined for a valid topic name; otherwise what is wrong with it, for a reason string. */
export function topicNameProblem(topic: string): string | undefined {
  if (topic.length === 0) return 'a topic has at least one character [MQTT-4.7.3-1]';
  let levels = 1;
  for (let i = 0; i < topic.length; i++) {
    const code = topic.charCodeAt(i);
    if (code === SLASH) levels++;
    else if (code === PLUS || code === HASH) return 'a topic to publish to holds no wildcard [MQTT-3.3.2-2]';
    else if (code === NUL) return 'a topic does not hold U+0000 [MQTT-4.7.3-2]';
    else if ((code & 0xf800) === 0xd800) {
      if (!isSurrogatePair(topic, i)) return 'a topic is well-formed Unicode [MQTT-1.5.4-1]';
      i++;
    }
  }
  return sizeProblem(topic, levels);
}

export function isTopicName(topic: string): boolean {
  return topicNameProblem(topic) === undefined;
}

/** `$SYS/…` and the like: wildcards at the first level do not match them [MQTT-4.7.2-1]. */
export function isDollarTopic(topic: string): boolean {
  return topic.charCodeAt(0) === DOLLAR;
}

/** True when `text[at]` is a high surrogate that is followed by a low one. */
export function isSurrogatePair(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}

/** The bounds that topic names and topic filters share. */
export function sizeProblem(topic: string, levels: number): string | undefined {
  if (levels > TOPIC_LEVELS_MAX) return `more than ${TOPIC_LEVELS_MAX} topic levels`;
  // A UTF-16 unit is at most three bytes: only long strings are measured.
  if (topic.length * 3 > TOPIC_BYTES_MAX && Buffer.byteLength(topic) > TOPIC_BYTES_MAX) {
    return `longer than ${TOPIC_BYTES_MAX} bytes [MQTT-4.7.3-3]`;
  }
  return undefined;
}

/** Of a topic or a filter: one more than it has slashes. */
export function levelsOf(text: string): number {
  let levels = 1;
  for (let at = text.indexOf('/'); at >= 0; at = text.indexOf('/', at + 1)) levels++;
  return levels;
}
