import { isDollarTopic, isSurrogatePair, sizeProblem } from './topic-name.ts';

/**
 * What may stand in SUBSCRIBE and UNSUBSCRIBE, and what it asks for. Four languages share one string: plain filters,
 * `$share/<group>/<filter>`, `$q/<filter>` and `$queue/<name>[/<filter>]`. They are told apart here and nowhere else, so
 * that authorisation, routing and the queue attachments agree on which topics a subscription reaches: permissions are
 * to be asked for `filter`, never for the string with its prefix.
 *
 * A prefix inside a prefix (`$share/g/$q/t`) is refused: as a plain filter it could match nothing anyone publishes, and
 * read twice it would reach past the permission that was checked.
 */
export type TopicFilterRequest =
  | { kind: 'plain'; filter: string }
  | { kind: 'shared'; group: string; filter: string }
  /** The queue with exactly this filter. */
  | { kind: 'queue-by-filter'; filter: string }
  /** The queue of this name; when a filter is given, only if its filter is equal. */
  | { kind: 'queue-by-name'; name: string; filter: string | undefined }
  | { kind: 'invalid'; problem: string };

/** What a queue may be called since names exist. Queues made by filter alone are called `/<filter>` instead. */
export const QUEUE_NAME = /^[0-9a-zA-Z][-.0-9a-zA-Z_]*$/;

const SHARE_PREFIX = '$share/';
const QUEUE_BY_FILTER_PREFIX = '$q/';
const QUEUE_BY_NAME_PREFIX = '$queue/';

const NUL = 0x00;
const HASH = 0x23;
const PLUS = 0x2b;
const SLASH = 0x2f;

/** Undefined for a valid filter (prefixes are not looked at); otherwise what is wrong with it. */
export function topicFilterProblem(filter: string): string | undefined {
  if (filter.length === 0) return 'a topic filter has at least one character [MQTT-4.7.3-1]';
  let levels = 1;
  for (let i = 0; i < filter.length; i++) {
    const code = filter.charCodeAt(i);
    if (code === SLASH) levels++;
    else if (code === HASH) {
      const alone = i === 0 || filter.charCodeAt(i - 1) === SLASH;
      if (!alone || i + 1 !== filter.length) return '# is the last level, and alone in it [MQTT-4.7.1-1]';
    } else if (code === PLUS) {
      const opens = i === 0 || filter.charCodeAt(i - 1) === SLASH;
      const closes = i + 1 === filter.length || filter.charCodeAt(i + 1) === SLASH;
      if (!opens || !closes) return '+ is alone in its level [MQTT-4.7.1-2]';
    } else if (code === NUL) return 'a topic filter does not hold U+0000 [MQTT-4.7.3-2]';
    else if ((code & 0xf800) === 0xd800) {
      if (!isSurrogatePair(filter, i)) return 'a topic filter is well-formed Unicode [MQTT-1.5.4-1]';
      i++;
    }
  }
  return sizeProblem(filter, levels);
}

/** A filter without wildcards matches the one topic that reads the same. */
export function hasWildcard(filter: string): boolean {
  return filter.includes('+') || filter.charCodeAt(filter.length - 1) === HASH;
}

/** Splits off the prefix and checks every part of what remains. */
export function parseTopicFilter(text: string): TopicFilterRequest {
  const problem = topicFilterProblem(text);
  if (problem !== undefined) return { kind: 'invalid', problem };
  if (text.startsWith(SHARE_PREFIX)) return parseShared(text);
  if (text.startsWith(QUEUE_BY_FILTER_PREFIX)) {
    const filter = text.slice(QUEUE_BY_FILTER_PREFIX.length);
    const wrong = innerProblem(filter);
    return wrong === undefined ? { kind: 'queue-by-filter', filter } : { kind: 'invalid', problem: wrong };
  }
  if (text.startsWith(QUEUE_BY_NAME_PREFIX)) return parseQueueByName(text);
  return { kind: 'plain', filter: text };
}

function parseShared(text: string): TopicFilterRequest {
  const groupEnd = text.indexOf('/', SHARE_PREFIX.length);
  const group = groupEnd < 0 ? '' : text.slice(SHARE_PREFIX.length, groupEnd);
  if (group === '') return { kind: 'invalid', problem: 'expected $share/<group>/<filter> [MQTT-4.8.2-1]' };
  if (/[+#]/.test(group)) return { kind: 'invalid', problem: 'a share name holds no wildcard [MQTT-4.8.2-2]' };
  const filter = text.slice(groupEnd + 1);
  const problem = innerProblem(filter);
  return problem === undefined ? { kind: 'shared', group, filter } : { kind: 'invalid', problem };
}

function parseQueueByName(text: string): TopicFilterRequest {
  const nameEnd = text.indexOf('/', QUEUE_BY_NAME_PREFIX.length);
  const name = nameEnd < 0 ? text.slice(QUEUE_BY_NAME_PREFIX.length) : text.slice(QUEUE_BY_NAME_PREFIX.length, nameEnd);
  if (!QUEUE_NAME.test(name)) {
    return { kind: 'invalid', problem: 'a queue name has letters, digits, - . _ and starts with a letter or digit' };
  }
  if (nameEnd < 0) return { kind: 'queue-by-name', name, filter: undefined };
  const filter = text.slice(nameEnd + 1);
  const problem = innerProblem(filter);
  return problem === undefined ? { kind: 'queue-by-name', name, filter } : { kind: 'invalid', problem };
}

/** The whole string was a valid filter, so a part of it is one unless it is empty; what is left is nesting. */
function innerProblem(filter: string): string | undefined {
  if (filter === '') return 'a topic filter has at least one character [MQTT-4.7.3-1]';
  for (const prefix of [SHARE_PREFIX, QUEUE_BY_FILTER_PREFIX, QUEUE_BY_NAME_PREFIX]) {
    if (!filter.startsWith(prefix)) continue;
    const shares = prefix === SHARE_PREFIX ? '' : ': all who subscribe to a queue share its messages';
    return `${prefix} may stand at the beginning only${shares}`;
  }
  return undefined;
}

/**
 * Whether a valid filter matches a valid topic, level by level, MQTT 5 section 4.7. For one filter against one topic,
 * and the oracle of `TopicTrie`; many filters belong into the trie.
 */
export function matches(filter: string, topic: string): boolean {
  if (isDollarTopic(topic)) {
    const first = filter.charCodeAt(0);
    if (first === PLUS || first === HASH) return false; // [MQTT-4.7.2-1]
  }
  let f = 0;
  let t = 0;
  for (;;) {
    if (filter.charCodeAt(f) === HASH) return true;
    const filterEnd = levelEnd(filter, f);
    const topicEnd = levelEnd(topic, t);
    const any = filter.charCodeAt(f) === PLUS;
    if (!any && (filterEnd - f !== topicEnd - t || !topic.startsWith(filter.slice(f, filterEnd), t))) return false;
    const filterDone = filterEnd === filter.length;
    if (topicEnd === topic.length) {
      // `a/#` also matches its parent `a`.
      return filterDone || (filter.length === filterEnd + 2 && filter.charCodeAt(filterEnd + 1) === HASH);
    }
    if (filterDone) return false;
    f = filterEnd + 1;
    t = topicEnd + 1;
  }
}

function levelEnd(text: string, from: number): number {
  const slash = text.indexOf('/', from);
  return slash < 0 ? text.length : slash;
}
