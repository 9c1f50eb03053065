import type { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { ConsumeRequest, ConsumeResponse, DetachReason, SettleMark } from '../contract/consume.ts';
import type { Codec } from './codec.ts';
import { type HeadReader, packedCodec, writeFlag, writeIntegers, writeName } from './packed.ts';

const REQUESTS = ['attach', 'window', 'detach', 'settle', 'settle-late', 'resumed', 'limit', 'too-large'] as const;
const RESPONSES = ['deliver', 'detached', 'waiting', 'lost', 'leading', 'settled'] as const;
const REASONS: readonly DetachReason[] = ['queue-removed', 'not-leader', 'fenced'];

export const consumeRequestCodec: Codec<ConsumeRequest> = packedCodec(
  'consume request',
  (message, head) => {
    writeName(head, REQUESTS, message.type);
    switch (message.type) {
      case 'attach':
        head.varint(message.consumerId).varint(message.partition).varint(message.queueId).varint(message.window);
        head.text(message.clientId).varint(message.generation).varint(message.held.length);
        for (const { offset, rowBase, deliveryCount, sizeBytes } of message.held) {
          head.varint(offset).varint(rowBase).varint(deliveryCount).varint(sizeBytes);
        }
        // Nothing where there is no limit: a store of feature level 3 and before knows of none.
        if (message.recordBytesMax !== undefined) head.varint(message.recordBytesMax);
        return;
      case 'window':
        head.varint(message.consumerId).varint(message.window);
        return;
      case 'detach':
        head.varint(message.consumerId);
        return;
      case 'settle':
        writeMark(head, message);
        head.varint(message.items.length);
        for (const { consumerId, offset, accepted } of message.items) {
          head.varint(consumerId).varint(offset);
          writeFlag(head, accepted);
        }
        return;
      case 'settle-late':
        writeMark(head, message);
        head.varint(message.items.length);
        for (const { queueId, rowBase, offset } of message.items) head.varint(queueId).varint(rowBase).varint(offset);
        return;
      case 'resumed':
        head.varint(message.partition).varint(message.term);
        return;
      case 'limit':
        head.varint(message.consumerId).varint(message.recordBytesMax);
        return;
      case 'too-large':
        head.varint(message.consumerId).varint(message.offset);
    }
  },
  (head) => {
    const type = head.name(REQUESTS, 'consume request');
    switch (type) {
      case 'attach':
        return {
          type,
          consumerId: head.integer(),
          partition: head.integer(),
          queueId: head.integer(),
          window: head.integer(),
          clientId: head.text(),
          generation: head.integer(),
          held: head.list(4, () => ({
            offset: head.integer(),
            rowBase: head.integer(),
            deliveryCount: head.integer(),
            sizeBytes: head.integer(),
          })),
          ...(head.hasMore ? { recordBytesMax: head.integer() } : {}),
        };
      case 'window':
        return { type, consumerId: head.integer(), window: head.integer() };
      case 'detach':
        return { type, consumerId: head.integer() };
      case 'settle':
        return {
          type,
          ...markOf(head),
          items: head.list(3, () => ({ consumerId: head.integer(), offset: head.integer(), accepted: head.flag() })),
        };
      case 'settle-late':
        return {
          type,
          ...markOf(head),
          items: head.list(3, () => ({ queueId: head.integer(), rowBase: head.integer(), offset: head.integer() })),
        };
      case 'resumed':
        return { type, partition: head.integer(), term: head.integer() };
      case 'limit':
        return { type, consumerId: head.integer(), recordBytesMax: head.integer() };
      case 'too-large':
        return { type, consumerId: head.integer(), offset: head.integer() };
    }
  },
);

export const consumeResponseCodec: Codec<ConsumeResponse> = packedCodec(
  'consume response',
  (message, head, data) => {
    writeName(head, RESPONSES, message.type);
    switch (message.type) {
      case 'deliver':
        head.varint(message.consumerId).varint(message.deliveries.length);
        for (const { offset, rowBase, deliveryCount, record } of message.deliveries) {
          head.varint(offset).varint(rowBase).varint(deliveryCount);
          data.push(record);
        }
        return;
      case 'detached':
        head.varint(message.consumerId);
        writeName(head, REASONS, message.reason);
        head.varint(message.leader);
        return;
      case 'waiting':
        head.varint(message.consumerId);
        writeFlag(head, message.waiting);
        return;
      case 'lost':
        head.varint(message.consumerId);
        writeIntegers(head, message.offsets);
        return;
      case 'leading':
        head.varint(message.partition).varint(message.term);
        return;
      case 'settled':
        head.varint(message.partition).varint(message.upTo);
    }
  },
  (head) => {
    const type = head.name(RESPONSES, 'consume response');
    switch (type) {
      case 'deliver':
        return {
          type,
          consumerId: head.integer(),
          deliveries: head.list(3, () => ({
            offset: head.integer(),
            rowBase: head.integer(),
            deliveryCount: head.integer(),
            record: head.data(),
          })),
        };
      case 'detached':
        return {
          type,
          consumerId: head.integer(),
          reason: head.name(REASONS, 'reason'),
          leader: head.integer(),
        };
      case 'waiting':
        return { type, consumerId: head.integer(), waiting: head.flag() };
      case 'lost':
        return { type, consumerId: head.integer(), offsets: head.integers() };
      case 'leading':
        return { type, partition: head.integer(), term: head.integer() };
      case 'settled':
        return { type, partition: head.integer(), upTo: head.integer() };
    }
  },
);

function writeMark(head: ByteWriter, { partition, term, upTo }: SettleMark): void {
  head.varint(partition).varint(term).varint(upTo);
}

function markOf(head: HeadReader): SettleMark {
  return { partition: head.integer(), term: head.integer(), upTo: head.integer() };
}
