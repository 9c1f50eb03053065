import { ReasonCode } from '../codec/reason-code.ts';

/**
 * What the reason codes of acknowledgements mean here, in words for whoever debugs a client: a code is shared by causes
 * that have nothing in common elsewhere. Undefined where there is nothing to explain.
 */
export function reasonText(reasonCode: number): string | undefined {
  return TEXTS.get(reasonCode);
}

const TEXTS: ReadonlyMap<number, string> = new Map([
  [ReasonCode.NO_SUBSCRIPTION_EXISTED, 'there was no subscription with this filter'],
  [ReasonCode.UNSPECIFIED_ERROR, 'it may not be stored, its partition gave no answer in time: publish it again'],
  [ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, 'the queue is being made, changed or deleted: try again'],
  [ReasonCode.NOT_AUTHORIZED, 'this client may not publish to this topic'],
  [ReasonCode.TOPIC_NAME_INVALID, 'a subscription prefix is no topic'],
  [ReasonCode.PACKET_IDENTIFIER_NOT_FOUND, 'no exchange has this packet identifier'],
  [ReasonCode.QUOTA_EXCEEDED, 'a queue, or the store of retained messages, takes no more'],
  [ReasonCode.PAYLOAD_FORMAT_INVALID, 'the payload is not the UTF-8 text that it is said to be'],
]);
