import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encode } from '../src/wire/codec.ts';
import { CALL_CODECS, CHANNEL_CODECS } from '../src/wire/codecs.ts';
import { bytes, type CodecCase, integer, list, message, testCodecs, text } from './support/codec-cases.ts';

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

const CASES: CodecCase[] = [
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
        nodeTroubles: list(fc.record({ nodeId: integer, kind: fc.constantFrom('parted', 'disk-low', 'disk-failed') })),
        clocks: list(
          fc.record(
            { nodeId: integer, wallMs: fc.maxSafeInteger(), monotonicMs: integer, aheadMs: fc.maxSafeInteger() },
            { requiredKeys: ['nodeId', 'wallMs', 'monotonicMs'] },
          ),
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

describe('codecs of the cluster', () => {
  testCodecs(CASES);

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
