import { topicFilterProblem } from '../topic/topic-filter.ts';
import type { PacketBody } from './packet-body.ts';
import { ReasonCode } from './reason-code.ts';
import { decodeUtf8 } from './utf8.ts';

/**
 * Topic names and filters as they come off the wire, MQTT 5 section 4.7. A name that holds a wildcard must not get in:
 * it would later be matched, logged and authorised as if it were a filter. Names are checked in one pass over their
 * bytes, since the topic of a PUBLISH is the most frequent string a broker sees; filters are rare and checked as text.
 *
 * @hotpath
 */
const NUL = 0x00;
const HASH = 0x23;
const PLUS = 0x2b;
const SLASH = 0x2f;

const SHARE_PREFIX = '$share/';

/** The topic of a PUBLISH. An empty one is returned: only the caller knows whether a topic alias stands in for it. */
export function readPublishTopic(body: PacketBody): string {
  const length = body.u16();
  const start = body.at;
  const end = start + length;
  if (end > body.end) body.endsEarly();
  const repeated = body.repeatedTopic(length);
  if (repeated !== undefined) {
    body.at = end;
    return repeated;
  }
  const topic = decodeTopicName(body, start, end, ReasonCode.TOPIC_NAME_INVALID);
  body.rememberTopic(topic, start, length);
  return topic;
}

/** Another topic name, which may be empty too. `reasonCode` is what a wildcard or too many levels give. */
export function readTopicName(body: PacketBody, reasonCode: number): string {
  const length = body.u16();
  const end = body.at + length;
  if (end > body.end) body.endsEarly();
  return decodeTopicName(body, body.at, end, reasonCode);
}

function decodeTopicName(body: PacketBody, start: number, end: number, reasonCode: number): string {
  body.at = end;
  if (start === end) return '';
  const bytes = body.bytes;
  let bits = 0;
  let levels = 1;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    bits |= byte;
    if (byte <= SLASH) {
      if (byte === SLASH) levels++;
      else if (byte === PLUS || byte === HASH) {
        body.fail(reasonCode, 'a topic name contains a wildcard [MQTT-3.3.2-2]');
      } else if (byte === NUL) body.malformed('a topic name contains U+0000 [MQTT-4.7.3-2]');
    }
  }
  if (levels > body.limits.topicLevelsMax) {
    body.fail(reasonCode, `a topic name has more than ${body.limits.topicLevelsMax} levels`);
  }
  if (bits < 0x80) return bytes.latin1Slice(start, end);
  const topic = decodeUtf8(bytes, start, end);
  if (topic === undefined) return body.malformed('a topic name is not UTF-8 [MQTT-1.5.4-1]');
  return topic;
}

/**
 * Reads a topic filter, `$share/<group>/<filter>` included, in both protocol versions. What the broker's own prefixes
 * ask for is not syntax of MQTT and left to the connection.
 */
export function readTopicFilter(body: PacketBody): string {
  const filter = body.string();
  const problem = topicFilterProblem(filter) ?? sharedFilterProblem(filter) ?? levelsProblem(filter, body);
  if (problem !== undefined) body.fail(ReasonCode.TOPIC_FILTER_INVALID, problem);
  return filter;
}

export function isSharedFilter(filter: string): boolean {
  return filter.startsWith(SHARE_PREFIX);
}

/** Of a valid filter: the share name and the filter behind it, section 4.8.2. */
function sharedFilterProblem(filter: string): string | undefined {
  if (!isSharedFilter(filter)) return undefined;
  const groupEnd = filter.indexOf('/', SHARE_PREFIX.length);
  const group = groupEnd < 0 ? '' : filter.slice(SHARE_PREFIX.length, groupEnd);
  if (group === '') return 'a shared subscription has a share name and a filter [MQTT-4.8.2-1]';
  if (group === '+' || group === '#') return 'a share name holds no wildcard [MQTT-4.8.2-2]';
  if (groupEnd + 1 === filter.length) return 'a shared subscription has a filter behind its share name [MQTT-4.8.2-2]';
  return undefined;
}

function levelsProblem(filter: string, body: PacketBody): string | undefined {
  let levels = 1;
  for (let at = filter.indexOf('/'); at >= 0; at = filter.indexOf('/', at + 1)) levels++;
  const levelsMax = body.limits.topicLevelsMax;
  return levels > levelsMax ? `a topic filter has more than ${levelsMax} levels` : undefined;
}
