import type { PacketBody } from './packet-body.ts';
import { ReasonCode } from './reason-code.ts';
import { decodeUtf8 } from './utf8.ts';

/**
 * The syntax of topic names and filters, MQTT 5 section 4.7. A name that holds a wildcard must not get in: it would
 * later be matched, logged and authorised as if it were a filter. The topic of a PUBLISH is read and checked in one
 * pass over its bytes, since that is the most frequent string a broker sees.
 *
 * @hotpath
 */
const NUL = 0x00;
const HASH = 0x23;
const PLUS = 0x2b;
const SLASH = 0x2f;

const SHARE_PREFIX = '$share/';

/**
 * Reads a topic name. An empty one is returned: only the caller knows whether a topic alias stands in for it.
 * `reasonCode` is what a wildcard or too many levels give.
 */
export function readTopicName(body: PacketBody, reasonCode: number): string {
  const length = body.u16();
  const start = body.at;
  const end = start + length;
  if (end > body.end) body.endsEarly();
  body.at = end;
  if (length === 0) return '';
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

/** Reads a topic filter, `$share/<group>/<filter>` included. */
export function readTopicFilter(body: PacketBody): string {
  const filter = body.string();
  const objection = topicFilterObjection(filter, body.limits.topicLevelsMax);
  if (objection !== undefined) body.fail(ReasonCode.TOPIC_FILTER_INVALID, objection);
  return filter;
}

export function isSharedFilter(filter: string): boolean {
  return filter.startsWith(SHARE_PREFIX);
}

/** Why this is no topic filter; undefined when it is one. The shared form is understood in both protocol versions. */
export function topicFilterObjection(filter: string, levelsMax: number): string | undefined {
  let start = 0;
  if (isSharedFilter(filter)) {
    const groupStart = SHARE_PREFIX.length;
    const groupEnd = filter.indexOf('/', groupStart);
    if (groupEnd === -1) return 'a shared subscription has no topic filter [MQTT-4.8.2-2]';
    if (groupEnd === groupStart) return 'a shared subscription has an empty share name [MQTT-4.8.2-1]';
    for (let at = groupStart; at < groupEnd; at++) {
      const code = filter.charCodeAt(at);
      if (code === PLUS || code === HASH) return 'a share name contains a wildcard [MQTT-4.8.2-2]';
    }
    start = groupEnd + 1;
  }
  if (start === filter.length) return 'a topic filter is empty [MQTT-4.7.3-1]';
  let levels = 1;
  for (let at = start; at < filter.length; at++) {
    const code = filter.charCodeAt(at);
    if (code === SLASH) levels++;
    else if (code === HASH || code === PLUS) {
      if (at > start && filter.charCodeAt(at - 1) !== SLASH) return 'a wildcard does not fill its level [MQTT-4.7.1-1]';
      if (code === HASH && at + 1 < filter.length) return 'a # is not the last character [MQTT-4.7.1-1]';
      if (at + 1 < filter.length && filter.charCodeAt(at + 1) !== SLASH) {
        return 'a wildcard does not fill its level [MQTT-4.7.1-2]';
      }
    }
  }
  return levels > levelsMax ? `a topic filter has more than ${levelsMax} levels` : undefined;
}
