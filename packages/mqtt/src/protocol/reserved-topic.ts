import { ReasonCode } from '../codec/reason-code.ts';

/**
 * Topics beginning with `$` that clients may not publish to: `$SYS/` is the server's voice, and the subscription
 * prefixes name no topic at all. Other `$` topics are theirs to use. The reason code of the refusal, or undefined.
 */
export function publishRefusal(topic: string): number | undefined {
  if (topic.charCodeAt(0) !== DOLLAR) return undefined;
  if (isBelow(topic, '$SYS')) return ReasonCode.NOT_AUTHORIZED;
  if (isBelow(topic, '$share') || isBelow(topic, '$q') || isBelow(topic, '$queue')) {
    return ReasonCode.TOPIC_NAME_INVALID;
  }
  return undefined;
}

function isBelow(topic: string, root: string): boolean {
  return topic.startsWith(root) && (topic.length === root.length || topic.charCodeAt(root.length) === SLASH);
}

const DOLLAR = 0x24;
const SLASH = 0x2f;
