import type { ConsumeRequest, ConsumeResponse, DetachReason } from '../contract/consume.ts';
import type { Codec } from './codec.ts';
import { packedCodec, writeFlag, writeName } from './packed.ts';

const REQUESTS = ['attach', 'window', 'detach', 'settle'] as const;
const RESPONSES = ['deliver', 'detached', 'waiting'] as const;
const REASONS: readonly DetachReason[] = ['queue-removed', 'not-leader', 'fenced'];

export const consumeRequestCodec: Codec<ConsumeRequest> = packedCodec(
  'consume request',
  (message, head) => {
    writeName(head, REQUESTS, message.type);
    switch (message.type) {
      case 'attach':
        head.varint(message.consumerId).varint(message.partition).varint(message.queueId).varint(message.window);
        head.text(message.clientId).varint(message.generation);
        return;
      case 'window':
        head.varint(message.consumerId).varint(message.window);
        return;
      case 'detach':
        head.varint(message.consumerId);
        return;
      case 'settle':
        head.varint(message.items.length);
        for (const { consumerId, offset, accepted } of message.items) {
          head.varint(consumerId).varint(offset);
          writeFlag(head, accepted);
        }
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
        };
      case 'window':
        return { type, consumerId: head.integer(), window: head.integer() };
      case 'detach':
        return { type, consumerId: head.integer() };
      case 'settle':
        return {
          type,
          items: head.list(3, () => ({ consumerId: head.integer(), offset: head.integer(), accepted: head.flag() })),
        };
    }
  },
);

export const consumeResponseCodec: Codec<ConsumeResponse> = packedCodec(
  'consume response',
  (message, head, data) => {
    writeName(head, RESPONSES, message.type);
    head.varint(message.consumerId);
    switch (message.type) {
      case 'deliver':
        head.varint(message.deliveries.length);
        for (const { offset, rowBase, deliveryCount, record } of message.deliveries) {
          head.varint(offset).varint(rowBase).varint(deliveryCount);
          data.push(record);
        }
        return;
      case 'detached':
        writeName(head, REASONS, message.reason);
        head.varint(message.leader);
        return;
      case 'waiting':
        writeFlag(head, message.waiting);
    }
  },
  (head) => {
    const type = head.name(RESPONSES, 'consume response');
    const consumerId = head.integer();
    switch (type) {
      case 'deliver':
        return {
          type,
          consumerId,
          deliveries: head.list(3, () => ({
            offset: head.integer(),
            rowBase: head.integer(),
            deliveryCount: head.integer(),
            record: head.data(),
          })),
        };
      case 'detached':
        return { type, consumerId, reason: head.name(REASONS, 'reason'), leader: head.integer() };
      case 'waiting':
        return { type, consumerId, waiting: head.flag() };
    }
  },
);
