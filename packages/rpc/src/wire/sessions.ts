import type { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { ExchangeStep } from '@sluice/queue/session/commands';
import type { BoundId, BoundState, RefusedId } from '@sluice/queue/session/exchanges';
import type {
  SessionsRequest,
  SessionsResponse,
  SessionsStatus,
  StoredSubscriptionView,
  UnsureStream,
} from '../contract/sessions.ts';
import type { Codec } from './codec.ts';
import { type HeadReader, packedCodec, writeFlag, writeIntegers, writeName } from './packed.ts';

const REQUESTS = [
  'open',
  'subscribe',
  'unsubscribe',
  'close',
  'attach',
  'pass',
  'seen',
  'wills-published',
  'next-page',
  'exchange',
] as const;
const RESPONSES = ['answer', 'deliver', 'lost', 'leading', 'streams', 'publish-wills'] as const;
const PARTS = ['first-page', 'page', 'change'] as const;
const STEPS: readonly ExchangeStep['type'][] = ['take', 'release', 'bind', 'receive', 'finish', 'refuse'];
const BOUND_STATES: readonly BoundState[] = ['sent-qos1', 'sent-qos2', 'received'];
const STATUSES: readonly SessionsStatus[] = ['done', 'fenced', 'denied', 'not-leader', 'busy', 'unavailable'];

export const sessionsRequestCodec: Codec<SessionsRequest> = packedCodec(
  'sessions request',
  (message, head, data) => {
    writeName(head, REQUESTS, message.type);
    head.varint(message.partition);
    switch (message.type) {
      case 'open':
        head.varint(message.requestId).text(message.clientId).text(message.identity);
        writeFlag(head, message.cleanStart);
        head.varint(message.expiryS);
        writeFlag(head, message.will !== undefined);
        if (message.will !== undefined) {
          head.varint(message.will.ticket).varint(message.will.delayS);
          data.push(message.will.message);
        }
        head.varint(message.ticket);
        return;
      case 'subscribe':
        head.varint(message.requestId).text(message.clientId).varint(message.epoch);
        head.varint(message.subscriptions.length);
        for (const { filter, options, subscriptionId, isStored } of message.subscriptions) {
          head.text(filter).u8(options).varint(subscriptionId);
          writeFlag(head, isStored);
        }
        return;
      case 'unsubscribe':
        head.varint(message.requestId).text(message.clientId).varint(message.epoch).varint(message.filters.length);
        for (const filter of message.filters) head.text(filter);
        return;
      case 'close':
        head.varint(message.requestId).text(message.clientId).varint(message.epoch).varint(message.expiryS);
        writeFlag(head, message.takesWillBack);
        // Stores of before it was first said read up to here.
        if (message.leavesUnsure) writeFlag(head, true);
        return;
      case 'attach':
        head.text(message.clientId).varint(message.epoch).varint(message.window);
        return;
      case 'pass':
        head.varint(message.items.length);
        for (const { clientId, epoch, streamId, offset } of message.items) {
          head.text(clientId).varint(epoch).varint(streamId).varint(offset);
        }
        return;
      case 'seen':
        head.varint(message.version);
        return;
      case 'wills-published':
        head.varint(message.group);
        return;
      case 'exchange':
        head.varint(message.requestId).text(message.clientId).varint(message.epoch).varint(message.serial);
        head.varint(message.steps.length);
        for (const step of message.steps) writeStep(head, step);
        return;
      case 'next-page':
    }
  },
  (head) => {
    const type = head.name(REQUESTS, 'sessions request');
    const partition = head.integer();
    switch (type) {
      case 'open':
        return readOpen(head, partition);
      case 'subscribe':
        return {
          type,
          partition,
          requestId: head.integer(),
          clientId: head.text(),
          epoch: head.integer(),
          subscriptions: head.list(4, () => ({
            filter: head.text(),
            options: head.u8(),
            subscriptionId: head.integer(),
            isStored: head.flag(),
          })),
        };
      case 'unsubscribe':
        return {
          type,
          partition,
          requestId: head.integer(),
          clientId: head.text(),
          epoch: head.integer(),
          filters: head.list(1, () => head.text()),
        };
      case 'close':
        return {
          type,
          partition,
          requestId: head.integer(),
          clientId: head.text(),
          epoch: head.integer(),
          expiryS: head.integer(),
          takesWillBack: head.flag(),
          leavesUnsure: head.hasMore && head.flag(),
        };
      case 'attach':
        return { type, partition, clientId: head.text(), epoch: head.integer(), window: head.integer() };
      case 'pass':
        return {
          type,
          partition,
          items: head.list(4, () => ({
            clientId: head.text(),
            epoch: head.integer(),
            streamId: head.integer(),
            offset: head.integer(),
          })),
        };
      case 'seen':
        return { type, partition, version: head.integer() };
      case 'wills-published':
        return { type, partition, group: head.integer() };
      case 'exchange':
        return {
          type,
          partition,
          requestId: head.integer(),
          clientId: head.text(),
          epoch: head.integer(),
          serial: head.integer(),
          steps: head.list(2, () => readStep(head)),
        };
      case 'next-page':
        return { type, partition };
    }
  },
);

export const sessionsResponseCodec: Codec<SessionsResponse> = packedCodec(
  'sessions response',
  (message, head, data) => {
    writeName(head, RESPONSES, message.type);
    switch (message.type) {
      case 'answer':
        head.varint(message.requestId);
        writeName(head, STATUSES, message.status);
        head.varint(message.leader).varint(message.epoch);
        writeFlag(head, message.present);
        writeSubscriptions(head, message.subscriptions);
        head.varint(message.taken.length);
        for (const { packetId, number } of message.taken) head.varint(packetId).varint(number);
        writeBound(head, message.bound);
        writeIntegers(head, message.numbers);
        // Gateways of before the first of them read up to here.
        if (message.refused.length > 0 || message.unsure.length > 0) writeRefused(head, message.refused);
        if (message.unsure.length > 0) writeUnsure(head, message.unsure);
        return;
      case 'deliver':
        head.varint(message.partition).text(message.clientId).varint(message.epoch).varint(message.deliveries.length);
        for (const { streamId, offset, record } of message.deliveries) {
          head.varint(streamId).varint(offset);
          data.push(record);
        }
        return;
      case 'lost':
        head.varint(message.partition).text(message.clientId).varint(message.epoch);
        return;
      case 'leading':
        head.varint(message.partition).varint(message.term);
        return;
      case 'streams':
        head.varint(message.partition).varint(message.version);
        writeName(head, PARTS, message.part);
        writeFlag(head, message.isComplete);
        head.varint(message.added.length);
        for (const { streamId, filter } of message.added) head.varint(streamId).text(filter);
        writeIntegers(head, message.removed);
        return;
      case 'publish-wills':
        head.varint(message.partition).varint(message.group).varint(message.wills.length);
        for (const { clientId, message: will } of message.wills) {
          head.text(clientId);
          data.push(will);
        }
    }
  },
  (head) => {
    const type = head.name(RESPONSES, 'sessions response');
    switch (type) {
      case 'answer':
        return {
          type,
          requestId: head.integer(),
          status: head.name(STATUSES, 'status'),
          leader: head.integer(),
          epoch: head.integer(),
          present: head.flag(),
          subscriptions: readSubscriptions(head),
          taken: head.list(2, () => ({ packetId: head.integer(), number: head.integer() })),
          bound: readBound(head),
          numbers: head.integers(),
          refused: head.hasMore ? readRefused(head) : [],
          unsure: head.hasMore ? readUnsure(head) : [],
        };
      case 'deliver':
        return {
          type,
          partition: head.integer(),
          clientId: head.text(),
          epoch: head.integer(),
          deliveries: head.list(2, () => ({
            streamId: head.integer(),
            offset: head.integer(),
            record: head.data(),
          })),
        };
      case 'lost':
        return { type, partition: head.integer(), clientId: head.text(), epoch: head.integer() };
      case 'leading':
        return { type, partition: head.integer(), term: head.integer() };
      case 'streams':
        return {
          type,
          partition: head.integer(),
          version: head.integer(),
          part: head.name(PARTS, 'part of the streams'),
          isComplete: head.flag(),
          added: head.list(2, () => ({ streamId: head.integer(), filter: head.text() })),
          removed: head.integers(),
        };
      case 'publish-wills':
        return {
          type,
          partition: head.integer(),
          group: head.integer(),
          wills: head.list(1, () => ({ clientId: head.text(), message: head.data() })),
        };
    }
  },
);

/** A stream id of -1 is written as 1, which no stream has. */
function writeSubscriptions(head: ByteWriter, subscriptions: readonly StoredSubscriptionView[]): void {
  head.varint(subscriptions.length);
  for (const { filter, options, subscriptionId, streamId } of subscriptions) {
    head
      .text(filter)
      .u8(options)
      .varint(subscriptionId)
      .varint(streamId === -1 ? REFUSED : streamId);
  }
}

function readSubscriptions(head: HeadReader): StoredSubscriptionView[] {
  return head.list(4, () => {
    const filter = head.text();
    const options = head.u8();
    const subscriptionId = head.integer();
    const streamId = head.integer();
    return { filter, options, subscriptionId, streamId: streamId === REFUSED ? -1 : streamId };
  });
}

const REFUSED = 1;

function readOpen(head: HeadReader, partition: number): Extract<SessionsRequest, { type: 'open' }> {
  const requestId = head.integer();
  const clientId = head.text();
  const identity = head.text();
  const cleanStart = head.flag();
  const expiryS = head.integer();
  const will = head.flag() ? { ticket: head.integer(), delayS: head.integer(), message: head.data() } : undefined;
  // The gateway's release decides which command is written: stores of its own release and older gateways may meet.
  const ticket = head.hasMore ? head.integer() : 0;
  return { type: 'open', partition, requestId, clientId, identity, cleanStart, expiryS, ticket, will };
}

function writeStep(head: ByteWriter, step: ExchangeStep): void {
  writeName(head, STEPS, step.type);
  head.varint(step.packetId);
  if (step.type === 'bind') head.u8(step.qos);
  if (step.type === 'refuse') head.u8(step.reasonCode);
  if (step.type === 'bind' || step.type === 'receive') head.varint(step.streamId).varint(step.offset);
}

function readStep(head: HeadReader): ExchangeStep {
  const type = head.name(STEPS, 'step');
  const packetId = head.integer();
  switch (type) {
    case 'bind': {
      const qos = head.u8() === 1 ? 1 : 2;
      return { type, packetId, qos, streamId: head.integer(), offset: head.integer() };
    }
    case 'receive':
      return { type, packetId, streamId: head.integer(), offset: head.integer() };
    case 'refuse':
      return { type, packetId, reasonCode: head.u8() };
    default:
      return { type, packetId };
  }
}

function writeBound(head: ByteWriter, bound: readonly BoundId[]): void {
  head.varint(bound.length);
  for (const { packetId, state, streamId, offset } of bound) {
    head.varint(packetId);
    writeName(head, BOUND_STATES, state);
    head.varint(streamId).varint(offset);
  }
}

function readBound(head: HeadReader): BoundId[] {
  return head.list(4, () => ({
    packetId: head.integer(),
    state: head.name(BOUND_STATES, 'state of a packet id'),
    streamId: head.integer(),
    offset: head.integer(),
  }));
}

function writeRefused(head: ByteWriter, refused: readonly RefusedId[]): void {
  head.varint(refused.length);
  for (const { packetId, reasonCode } of refused) head.varint(packetId).u8(reasonCode);
}

function readRefused(head: HeadReader): RefusedId[] {
  return head.list(2, () => ({ packetId: head.integer(), reasonCode: head.u8() }));
}

function writeUnsure(head: ByteWriter, unsure: readonly UnsureStream[]): void {
  head.varint(unsure.length);
  for (const { streamId, before } of unsure) head.varint(streamId).varint(before);
}

function readUnsure(head: HeadReader): UnsureStream[] {
  return head.list(2, () => ({ streamId: head.integer(), before: head.integer() }));
}
