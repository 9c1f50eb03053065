import type { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { LiveRequest, LiveResponse, LiveRoute } from '../contract/live.ts';
import { type Codec, wireInvalid } from './codec.ts';
import { type HeadReader, packedCodec, writeFlag, writeName } from './packed.ts';

const REQUESTS = ['routes', 'routes-changed', 'publish', 'client-connected'] as const;
const RESPONSES = ['seen'] as const;

export const liveRequestCodec: Codec<LiveRequest> = packedCodec(
  'live request',
  (message, head, data) => {
    writeName(head, REQUESTS, message.type);
    switch (message.type) {
      case 'routes':
        head.varint(message.version);
        writeRoutes(head, message.filters);
        return;
      case 'routes-changed':
        head.varint(message.version);
        writeRoutes(head, message.added);
        writeRoutes(head, message.removed);
        return;
      case 'publish':
        head.varint(message.messages.length);
        for (const { record, qos, retain, shares } of message.messages) {
          head.u8(qos);
          writeFlag(head, retain);
          writeRoutes(head, shares);
          data.push(record);
        }
        return;
      case 'client-connected':
        head.text(message.clientId).text(message.identity).varint(message.connectedAtMs);
    }
  },
  (head) => {
    const type = head.name(REQUESTS, 'live request');
    switch (type) {
      case 'routes':
        return { type, version: head.integer(), filters: readRoutes(head) };
      case 'routes-changed':
        return { type, version: head.integer(), added: readRoutes(head), removed: readRoutes(head) };
      case 'publish':
        return {
          type,
          messages: head.list(3, () => ({
            qos: readQos(head),
            retain: head.flag(),
            shares: readRoutes(head),
            record: head.data(),
          })),
        };
      case 'client-connected':
        return { type, clientId: head.text(), identity: head.text(), connectedAtMs: head.integer() };
    }
  },
);

export const liveResponseCodec: Codec<LiveResponse> = packedCodec(
  'live response',
  (message, head) => {
    writeName(head, RESPONSES, message.type);
    head.varint(message.version);
  },
  (head) => ({ type: head.name(RESPONSES, 'live response'), version: head.integer() }),
);

function writeRoutes(head: ByteWriter, routes: readonly LiveRoute[]): void {
  head.varint(routes.length);
  for (const { filter, share } of routes) head.text(filter).text(share);
}

function readRoutes(head: HeadReader): LiveRoute[] {
  return head.list(2, () => ({ filter: head.text(), share: head.text() }));
}

function readQos(head: HeadReader): 0 | 1 | 2 {
  const qos = head.u8();
  if (qos === 0 || qos === 1 || qos === 2) return qos;
  throw wireInvalid(`${qos} is no quality of service`);
}
