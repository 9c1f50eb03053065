import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encode } from '../src/wire/codec.ts';
import { CALL_CODECS, CHANNEL_CODECS } from '../src/wire/codecs.ts';
import { bytes, type CodecCase, integer, list, message, testCodecs, text, uint32 } from './support/codec-cases.ts';

const route = fc.record({ filter: text, share: text });
const place = fc.record({ partition: integer, at: bytes });

const CASES: CodecCase[] = [
  ['append request', CHANNEL_CODECS.append.request, fc.record({ sequence: integer, partition: uint32, batch: bytes })],
  [
    'append response',
    CHANNEL_CODECS.append.response,
    fc.oneof(
      message('answer', {
        sequence: integer,
        status: fc.constantFrom(
          'committed',
          'unknown',
          'not-leader',
          'storage-full',
          'busy',
          'unavailable',
          'out-of-order',
        ),
        refused: list(
          fc.record({
            slot: uint32,
            queueId: integer,
            code: fc.constantFrom('queue-full', 'queue-unknown', 'queue-removed'),
          }),
        ),
        leader: integer,
      }),
      message('leading', { partition: uint32, term: integer }),
    ),
  ],
  [
    'consume request',
    CHANNEL_CODECS.consume.request,
    fc.oneof(
      message('attach', {
        consumerId: integer,
        partition: integer,
        queueId: integer,
        window: integer,
        clientId: text,
        generation: integer,
        held: list(fc.record({ offset: integer, rowBase: integer, deliveryCount: integer, sizeBytes: integer })),
      }),
      message('attach', {
        ...{ consumerId: integer, partition: integer, queueId: integer, window: integer },
        ...{ clientId: text, generation: integer, held: fc.constant([]) },
        recordBytesMax: integer,
      }),
      message('limit', { consumerId: integer, recordBytesMax: integer }),
      message('too-large', { consumerId: integer, offset: integer }),
      message('window', { consumerId: integer, window: integer }),
      message('detach', { consumerId: integer }),
      message('settle', {
        partition: integer,
        term: integer,
        upTo: integer,
        items: list(fc.record({ consumerId: integer, offset: integer, accepted: fc.boolean() })),
      }),
      message('settle-late', {
        partition: integer,
        term: integer,
        upTo: integer,
        items: list(fc.record({ queueId: integer, rowBase: integer, offset: integer })),
      }),
      message('resumed', { partition: integer, term: integer }),
    ),
  ],
  [
    'consume response',
    CHANNEL_CODECS.consume.response,
    fc.oneof(
      message('deliver', {
        consumerId: integer,
        deliveries: list(fc.record({ offset: integer, rowBase: integer, deliveryCount: integer, record: bytes })),
      }),
      message('detached', {
        consumerId: integer,
        reason: fc.constantFrom('queue-removed', 'not-leader', 'fenced'),
        leader: integer,
      }),
      message('waiting', { consumerId: integer, waiting: fc.boolean() }),
      message('lost', { consumerId: integer, offsets: list(integer) }),
      message('leading', { partition: integer, term: integer }),
      message('settled', { partition: integer, upTo: integer }),
    ),
  ],
  [
    'live request',
    CHANNEL_CODECS.live.request,
    fc.oneof(
      message('routes', { version: integer, filters: list(route) }),
      message('routes-changed', { version: integer, added: list(route), removed: list(route) }),
      message('publish', {
        messages: list(
          fc.record({ record: bytes, qos: fc.constantFrom(0, 1, 2), retain: fc.boolean(), shares: list(route) }),
        ),
      }),
      message('client-connected', { clientId: text, identity: text, connectedAtMs: integer }),
    ),
  ],
  ['live response', CHANNEL_CODECS.live.response, message('seen', { version: integer })],
  [
    'sessions request',
    CHANNEL_CODECS.sessions.request,
    fc.oneof(
      message('open', {
        partition: integer,
        requestId: integer,
        clientId: text,
        identity: text,
        cleanStart: fc.boolean(),
        expiryS: integer,
        ticket: integer,
        will: fc.option(fc.record({ ticket: integer, delayS: integer, message: bytes }), { nil: undefined }),
      }),
      message('subscribe', {
        partition: integer,
        requestId: integer,
        clientId: text,
        epoch: integer,
        subscriptions: list(
          fc.record({
            filter: text,
            options: fc.integer({ min: 0, max: 255 }),
            subscriptionId: integer,
            isStored: fc.boolean(),
          }),
        ),
      }),
      message('unsubscribe', {
        partition: integer,
        requestId: integer,
        clientId: text,
        epoch: integer,
        filters: list(text),
      }),
      message('close', {
        partition: integer,
        requestId: integer,
        clientId: text,
        epoch: integer,
        expiryS: integer,
        takesWillBack: fc.boolean(),
        leavesUnsure: fc.boolean(),
      }),
      message('attach', { partition: integer, clientId: text, epoch: integer, window: integer }),
      message('pass', {
        partition: integer,
        items: list(fc.record({ clientId: text, epoch: integer, streamId: integer, offset: integer })),
      }),
      message('seen', { partition: integer, version: integer }),
      message('exchange', {
        partition: integer,
        requestId: integer,
        clientId: text,
        epoch: integer,
        serial: integer,
        steps: list(
          fc.oneof(
            fc.record({ type: fc.constantFrom('take', 'release', 'finish'), packetId: integer }),
            fc.record({
              type: fc.constant('bind'),
              packetId: integer,
              qos: fc.constantFrom(1, 2),
              streamId: integer,
              offset: integer,
            }),
            fc.record({ type: fc.constant('receive'), packetId: integer, streamId: integer, offset: integer }),
          ),
        ),
      }),
      message('wills-published', { partition: integer, group: integer }),
      message('next-page', { partition: integer }),
    ),
  ],
  [
    'sessions response',
    CHANNEL_CODECS.sessions.response,
    fc.oneof(
      message('answer', {
        requestId: integer,
        status: fc.constantFrom('done', 'fenced', 'denied', 'not-leader', 'busy', 'unavailable'),
        leader: integer,
        epoch: integer,
        present: fc.boolean(),
        subscriptions: list(
          fc.record({
            filter: text,
            options: fc.integer({ min: 0, max: 255 }),
            subscriptionId: integer,
            streamId: fc.oneof(fc.constantFrom(-1, 0), fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER })),
          }),
        ),
        taken: list(fc.record({ packetId: integer, number: integer })),
        bound: list(
          fc.record({
            packetId: integer,
            state: fc.constantFrom('sent-qos1', 'sent-qos2', 'received'),
            streamId: integer,
            offset: integer,
          }),
        ),
        numbers: list(integer),
        refused: list(fc.record({ packetId: integer, reasonCode: fc.integer({ min: 128, max: 255 }) })),
        unsure: list(fc.record({ streamId: integer, before: integer })),
      }),
      message('deliver', {
        partition: integer,
        clientId: text,
        epoch: integer,
        deliveries: list(fc.record({ streamId: integer, offset: integer, record: bytes })),
      }),
      message('lost', { partition: integer, clientId: text, epoch: integer }),
      message('leading', { partition: integer, term: integer }),
      message('streams', {
        partition: integer,
        version: integer,
        part: fc.constantFrom('first-page', 'page', 'change'),
        isComplete: fc.boolean(),
        added: list(fc.record({ streamId: integer, filter: text })),
        removed: list(integer),
      }),
      message('publish-wills', {
        partition: integer,
        group: integer,
        wills: list(fc.record({ clientId: text, message: bytes })),
      }),
    ),
  ],
  [
    'retained request',
    CALL_CODECS.retained.request,
    fc.record({ asks: list(fc.record({ filter: text, places: list(place) })) }),
  ],
  [
    'retained response',
    CALL_CODECS.retained.response,
    fc.record({
      pages: list(
        fc.record({
          records: list(bytes),
          left: list(place),
          elsewhere: list(fc.record({ partition: integer, leader: integer })),
        }),
      ),
    }),
  ],
];

describe('codecs of publishing and delivery', () => {
  testCodecs(CASES);

  test('byte arrays are plain ones, so that slice copies, and views into the frame, so that nothing else does', () => {
    const codec = CHANNEL_CODECS.append.request;
    const encoded = Buffer.from(encode(codec, { sequence: 1, partition: 1, batch: new Uint8Array([1, 2, 3]) }));
    const { batch } = codec.read(encoded) as { batch: Uint8Array };
    expect(Buffer.isBuffer(batch)).toBe(false);
    expect(batch.buffer).toBe(encoded.buffer);
  });

  test('a publish of a release that said which batch resumes is read', () => {
    const older = Uint8Array.of(0x08, 7, 0x10, 3, 0x18, 1, 0x22, 2, 0xab, 0xcd);
    const read = CHANNEL_CODECS.append.request.read(older);
    expect(read).toEqual({ sequence: 7, partition: 3, batch: Uint8Array.of(0xab, 0xcd) });
  });

  test('a number that would arrive as another is not sent', () => {
    const frame = (groupId: number): unknown => ({ messages: [], quiesced: [{ groupId, notice: {} }] });
    expect(() => encode(CHANNEL_CODECS.raft.request, frame(-1))).toThrow();
    expect(() => encode(CHANNEL_CODECS.raft.request, frame(1.5))).toThrow();
    const leading = (term: number, partition: number): unknown => ({ type: 'leading', term, partition });
    expect(() => encode(CHANNEL_CODECS.append.response, leading(2 ** 53, 1))).toThrow('no integer');
    expect(() => encode(CHANNEL_CODECS.append.response, leading(1, 2 ** 32))).toThrow('no integer');
  });
});
