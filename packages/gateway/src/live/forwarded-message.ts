import { PacketType, type Properties } from '@sluice/mqtt/codec/packet';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { RecordInput } from '@sluice/queue/record/record';
import { EncodedRecord } from '@sluice/queue/record/record-view';

/**
 * A live message between gateways has the form of a queue's record, which carries everything of a PUBLISH that travels:
 * publisher (No Local holds on the other gateway, too), absolute expiry, and the properties. It has no queue: the one
 * target that the format asks for means nothing.
 */
export function recordOf(message: PublishedMessage, publishedAtMs: number): RecordInput {
  return {
    targets: NO_QUEUE,
    topic: message.topic,
    payload: message.payload,
    qos: message.qos,
    retain: message.retain,
    publisher: message.publisher,
    publishedAtMs,
    expiresAtMs: message.expiresAtMs,
    properties: message.properties,
  };
}

const NO_QUEUE = [{ queueId: 1, key: undefined }];

/**
 * The message as its publisher's gateway had it. Its payload is a view into `record`.
 * @throws SluiceError `RECORD_BATCH_MALFORMED` or `BYTES_MALFORMED`
 */
export function publishedFrom(bytes: Uint8Array): PublishedMessage {
  const record = new EncodedRecord(bytes);
  record.check();
  const { publishedAtMs, expiresAtMs } = record;
  const properties: Properties | undefined = record.properties;
  const packet = {
    type: PacketType.PUBLISH,
    topic: record.topic,
    payload: record.payload,
    qos: record.qos,
    retain: record.retain,
    dup: false,
    packetId: 0,
    properties:
      expiresAtMs === 0 ? properties : { ...properties, messageExpiryIntervalS: (expiresAtMs - publishedAtMs) / 1000 },
  };
  return new PublishedMessage(packet, record.publisher, publishedAtMs);
}
