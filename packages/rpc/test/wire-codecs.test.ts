import { describe, expect, test } from '@jest/globals';
import { EntryKind } from '@sluice/raft/entry';
import fc from 'fast-check';
import { appendRequestCodec } from '../src/wire/append.ts';
import { type Codec, encode } from '../src/wire/codec.ts';
import { CALL_CODECS, CHANNEL_CODECS } from '../src/wire/codecs.ts';
import { FrameWriter, PIECE_BYTES_MIN, splitFrame } from '../src/wire/frame.ts';

const integer = fc.oneof(fc.nat(300), fc.maxSafeNat());
const uint32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }));
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const bytes = fc.uint8Array({ maxLength: 40 });
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 4 });
const message = (type: string, fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> =>
  fc.record({ type: fc.constant(type), ...fields });

const entry = fc.record({
  index: integer,
  term: integer,
  kind: fc.constantFrom(...Object.values(EntryKind)),
  data: bytes,
});
const snapshot = fc.record({
  index: integer,
  term: integer,
  membership: fc.record({
    voters: list(integer),
    votersOutgoing: list(integer),
    learners: list(integer),
    learnersNext: list(integer),
  }),
});
const raftMessage = (type: string, fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> =>
  message(type, { from: integer, to: integer, term: integer, ...fields });
const vote = { lastIndex: integer, lastTerm: integer, force: fc.boolean() };
const raftFrame = fc.record({
  messages: list(
    fc.record({
      groupId: integer,
      message: fc.oneof(
        raftMessage('pre-vote', vote),
        raftMessage('vote', vote),
        raftMessage('pre-vote-response', { granted: fc.boolean() }),
        raftMessage('vote-response', { granted: fc.boolean() }),
        raftMessage('append', {
          prevIndex: integer,
          prevTerm: integer,
          first: integer,
          last: integer,
          entries: list(entry),
          commit: integer,
          stint: integer,
        }),
        raftMessage('append-response', {
          index: integer,
          rejected: fc.boolean(),
          hintIndex: integer,
          hintTerm: integer,
          stint: integer,
        }),
        raftMessage('heartbeat', { commit: integer, readContext: integer }),
        raftMessage('heartbeat-response', { readContext: integer }),
        raftMessage('snapshot', { snapshot, stint: integer }),
        raftMessage('timeout-now', {}),
      ),
    }),
  ),
  quiesced: list(
    fc.record({ groupId: integer, notice: fc.record({ leader: integer, term: integer, lastIndex: integer }) }),
  ),
});

const route = fc.record({ filter: text, share: text });
const registration = {
  incarnation: text,
  name: text,
  address: text,
  roles: list(fc.constantFrom('gateway', 'store', 'coordinator')),
  rack: text,
  version: text,
  mqttAddress: text,
};
const nodeInfo = fc.record({
  ...registration,
  nodeId: integer,
  state: fc.constantFrom('active', 'draining', 'leaving', 'gone'),
});
const partitionInfo = fc.record({
  partition: integer,
  replicas: list(integer),
  preferredLeader: integer,
  bootstrap: fc.boolean(),
});
const queue = fc.record({
  queueId: integer,
  name: text,
  topicFilter: text,
  partitions: list(integer),
  version: integer,
  createdAtMs: integer,
  isLastValue: fc.boolean(),
  keyExpression: fc.option(text),
  dispatchStrategy: fc.constantFrom('random', 'round_robin'),
  dataRetentionMs: integer,
  limits: fc.record({ countMax: fc.option(integer), bytesMax: fc.option(integer), overflow: fc.constant('refuse') }),
  localMaxInflight: fc.nat(3),
});
const config = fc.record({ enable: fc.constantFrom(true, false, 'auto'), queueCountMax: integer });
const coordinators = list(fc.record({ nodeId: integer, address: text }));

const statisticsNames = [
  'queueId partition depth depthBytes inflight consumers keys head tail oldestAppendedAtMs publishedTotal',
  'publishedBytesTotal acceptedTotal returnedTotal refusedTotal expiredTotal overwrittenTotal droppedTotal purgedTotal',
  'redeliveredTotal deliveredTotal quietMs jobMs',
].flatMap((line) => line.split(' '));
const peeked = fc.record({
  offset: integer,
  topic: text,
  publisher: text,
  publishedAtMs: integer,
  expiresAtMs: integer,
  deliveryCount: integer,
  inflight: fc.boolean(),
  key: fc.option(bytes, { nil: undefined }),
  qos: fc.constantFrom(0, 1, 2),
  retain: fc.boolean(),
  properties: fc.option(
    fc.record(
      {
        payloadFormatIndicator: fc.constantFrom(0, 1),
        contentType: text,
        responseTopic: text,
        correlationData: bytes,
        userProperties: fc.array(text, { minLength: 2, maxLength: 2 }),
      },
      { requiredKeys: [] },
    ),
    { nil: undefined },
  ),
  payload: bytes,
  payloadSizeBytes: integer,
});

const place = fc.record({ partition: integer, at: bytes });

const CASES: [string, Codec<unknown>, fc.Arbitrary<unknown>][] = [
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
  ['raft frame', CHANNEL_CODECS.raft.request, raftFrame],
  [
    'snapshot chunk',
    CHANNEL_CODECS['raft-snapshot'].request,
    fc.oneof(
      message('begin', { groupId: integer, from: integer, to: integer, term: integer, stint: integer, snapshot }),
      message('rows', { rows: list(fc.record({ key: bytes, value: bytes })), crc: uint32 }),
      message('entries', { entries: list(entry), crc: uint32 }),
      message('end', { rows: integer, entries: integer }),
    ),
  ],
  [
    'snapshot answer',
    CHANNEL_CODECS['raft-snapshot'].response,
    fc.oneof(message('received', { chunks: integer }), message('done', {}), message('refused', { reason: text })),
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
    'topology request',
    CHANNEL_CODECS.topology.request,
    fc.oneof(
      message('watch', { clusterId: text, epoch: integer }),
      message('reached', { epoch: integer }),
      message('report', {
        report: fc.record({
          leads: list(
            fc.record({
              partition: integer,
              term: integer,
              membershipIndex: integer,
              voters: list(integer),
              learners: list(integer),
              depth: integer,
            }),
          ),
          impaired: list(integer),
          replicas: list(integer),
          consumers: list(fc.record({ queueId: integer, consumers: integer, windowTotal: integer })),
          connections: fc.option(integer, { nil: undefined }),
        }),
      }),
    ),
  ],
  [
    'topology update',
    CHANNEL_CODECS.topology.response,
    fc.oneof(
      message('image', {
        epoch: integer,
        clusterId: text,
        partitionCount: integer,
        replicationFactor: integer,
        nodes: list(nodeInfo),
        partitions: list(partitionInfo),
        config,
        queues: list(queue),
        ahead: fc.option(integer, { nil: undefined }),
      }),
      message('image-part', { epoch: integer, queues: list(queue) }),
      message('delta', {
        epoch: integer,
        changed: list(queue),
        removed: list(integer),
        nodes: list(nodeInfo),
        removedNodes: list(integer),
        partitions: list(partitionInfo),
        config: fc.option(config, { nil: undefined }),
      }),
      message('liveness', {
        leaders: list(fc.record({ partition: integer, nodeId: integer, term: integer })),
        alive: list(integer),
        troubles: list(
          fc.record({ partition: integer, nodeId: integer, kind: fc.constantFrom('catching-up', 'impaired') }),
        ),
      }),
      message('assignments', {
        assignments: list(
          fc.record({
            queueId: integer,
            generation: integer,
            nodes: list(fc.record({ nodeId: integer, partitions: list(integer) })),
          }),
        ),
      }),
      message('elsewhere', {
        leader: integer,
        address: fc.option(text, { nil: undefined }),
        name: fc.option(text, { nil: undefined }),
      }),
    ),
  ],
  [
    'metadata request',
    CALL_CODECS.metadata.request,
    fc.oneof(
      message('execute', { command: fc.record({ kind: text, queueId: integer }) }),
      message('reach', { epoch: integer }),
      message('wanted', { name: text, topicFilter: text }),
      message('members', {}),
    ),
  ],
  [
    'metadata response',
    CALL_CODECS.metadata.response,
    fc.oneof(
      message('executed', { reply: fc.record({ result: text, epoch: integer }), reached: fc.boolean() }),
      message('reached', { reached: fc.boolean() }),
      message('wanted', { created: fc.boolean() }),
      message('members', { members: list(integer) }),
      message('not-leader', { leader: integer }),
      message('unknown', {}),
    ),
  ],
  [
    'cluster request',
    CALL_CODECS.cluster.request,
    fc.oneof(
      message('hello', { address: text, incarnation: text, founders: list(text) }),
      message('register', { node: fc.record(registration) }),
    ),
  ],
  [
    'cluster response',
    CALL_CODECS.cluster.response,
    fc.oneof(
      message('blank', { address: text, incarnation: text, founders: list(text) }),
      message('member', {
        clusterId: text,
        nodeId: integer,
        foundedWith: list(fc.record({ nodeId: integer, address: text, incarnation: text })),
        coordinators,
      }),
      message('registered', { clusterId: text, nodeId: integer, coordinators }),
      message('elsewhere', { address: text }),
      message('refused', { code: text, message: text, hint: text }),
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
  [
    'gateway-load request',
    CALL_CODECS['gateway-load'].request,
    fc.oneof(message('look', {}), message('shed', { target: integer, perSecond: integer }), message('keep', {})),
  ],
  [
    'gateway-load response',
    CALL_CODECS['gateway-load'].response,
    message('load', { connections: integer, isShedding: fc.boolean(), target: integer, sent: integer }),
  ],
  [
    'backup request',
    CALL_CODECS.backup.request,
    fc.oneof(
      message('open', { group: integer }),
      message('read', { reading: integer }),
      message('close', { reading: integer }),
    ),
  ],
  [
    'backup response',
    CALL_CODECS.backup.response,
    fc.oneof(
      message('opened', { reading: integer }),
      message('piece', { isLast: fc.boolean(), bytes }),
      message('closed', {}),
      message('refused', {
        code: fc.constantFrom('not-leader', 'busy', 'unavailable'),
        message: text,
        leader: integer,
      }),
    ),
  ],
  [
    'store-admin request',
    CALL_CODECS['store-admin'].request,
    fc.oneof(
      message('statistics', { queueIds: list(integer) }),
      message('purge', { queueId: integer, partition: integer }),
      message('peek', {
        queueId: integer,
        partition: integer,
        fromOffset: integer,
        limit: integer,
        payloadBytesMax: integer,
      }),
      message('erase-retained', { partition: integer, topic: text }),
      message('membership', { partition: integer }),
      message('would-lead', { partition: integer }),
    ),
  ],
  [
    'store-admin response',
    CALL_CODECS['store-admin'].response,
    fc.oneof(
      message('statistics', {
        queues: list(fc.record(Object.fromEntries(statisticsNames.map((name) => [name, integer])))),
        elsewhere: list(fc.record({ partition: integer, leader: integer })),
      }),
      message('purged', { count: integer }),
      message('peeked', { records: list(peeked), nextOffset: integer }),
      message('membership', { term: integer, index: integer, members: list(integer) }),
      message('would-lead', { would: fc.boolean() }),
      message('refused', {
        code: fc.constantFrom('queue-unknown', 'not-leader', 'unavailable'),
        message: text,
        leader: integer,
      }),
    ),
  ],
];

/** Any outcome but an error of another kind, or of none. */
function readOrRefuse(codec: Codec<unknown>, encoded: Uint8Array): void {
  try {
    codec.read(encoded);
  } catch (error) {
    expect(error).toMatchObject({ name: 'SluiceError', code: 'WIRE_INVALID' });
  }
}

describe('codecs of the wire', () => {
  test.each(CASES)('%s: comes back as it was', (_, codec, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        expect(codec.read(encode(codec, value))).toEqual(value);
      }),
      { numRuns: 80 },
    );
  });

  test.each(CASES)('%s: cut short or changed, it is read or refused', (_, codec, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, fc.nat(), fc.nat(255), fc.nat(), (value, at, byte, end) => {
        const encoded = Uint8Array.from(encode(codec, value));
        if (encoded.length === 0) return;
        readOrRefuse(codec, encoded.subarray(0, end % encoded.length));
        encoded[at % encoded.length] = byte;
        readOrRefuse(codec, encoded);
      }),
      { numRuns: 150 },
    );
  });

  test.each(CASES)('%s: noise is read or refused', (_, codec) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => readOrRefuse(codec, noise)),
      { numRuns: 100 },
    );
  });

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

  test('a hundred thousand queues made alike fit into a message, quickly', () => {
    const queues = Array.from({ length: 100_000 }, (_, at) => ({
      queueId: at + 1,
      name: `device-${at}`,
      topicFilter: `devices/${at}/commands`,
      partitions: [(at % 16) + 1],
      version: at + 10,
      createdAtMs: 1_795_000_000_000 + at,
      isLastValue: false,
      keyExpression: null,
      dispatchStrategy: 'random',
      dataRetentionMs: 604_800_000,
      limits: { countMax: null, bytesMax: null, overflow: 'refuse' },
    }));
    const image = {
      type: 'image',
      epoch: 1,
      clusterId: 'c',
      partitionCount: 16,
      replicationFactor: 3,
      nodes: [],
      partitions: [],
      config: {},
      queues,
    };
    const encoded = encode(CHANNEL_CODECS.topology.response, image);
    expect(encoded.length).toBeLessThan(8 * 1024 * 1024);
    const read = CHANNEL_CODECS.topology.response.read(encoded) as typeof image;
    expect(read.queues[99_999]).toEqual(queues[99_999]);
    expect(read.queues).toHaveLength(queues.length);
  });
});

describe('frames', () => {
  test('hold the messages of a turn, and say how large they are', () => {
    const [, codec, arbitrary] = CASES[4] as (typeof CASES)[number];
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 5 }), (values) => {
        const writer = new FrameWriter(codec);
        let grown = 0;
        for (const value of values) grown += writer.add(value);
        expect(writer.sizeBytes).toBe(grown);
        const finished = writer.finish();
        expect(finished.length).toBe(grown);
        expect(writer.sizeBytes).toBe(0);
        const memory = Buffer.concat(finished.pieces(5));
        expect(memory).toHaveLength(5 + grown);
        const frame = memory.subarray(5);
        expect(splitFrame(frame).map((one) => codec.read(one))).toEqual(values);
      }),
      { numRuns: 50 },
    );
  });

  test('leave large payloads where they were', () => {
    const batches = [PIECE_BYTES_MIN - 1, PIECE_BYTES_MIN, 5, 3 * PIECE_BYTES_MIN].map((sizeBytes, at) =>
      new Uint8Array(sizeBytes).fill(at + 1),
    );
    const writer = new FrameWriter(appendRequestCodec);
    for (const [sequence, batch] of batches.entries()) writer.add({ sequence, partition: 1, batch });
    const frame = writer.finish();
    const pieces = frame.pieces(5);
    const read = splitFrame(Buffer.concat(pieces).subarray(5)).map((bytes) => appendRequestCodec.read(bytes));
    expect(read).toEqual(batches.map((batch, sequence) => ({ sequence, partition: 1, batch })));
    for (const batch of batches) expect(pieces.includes(batch)).toBe(batch.length >= PIECE_BYTES_MIN);
    const small = new FrameWriter(appendRequestCodec);
    small.add({ sequence: 1, partition: 1, batch: new Uint8Array(9) });
    expect(small.finish().pieces(5)).toHaveLength(1);
  });
});
