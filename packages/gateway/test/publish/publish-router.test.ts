import { beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { PUBACK_REASON_CODES } from '@sluice/mqtt/codec/reason-code-table';
import type { RecordInput } from '@sluice/queue/record/record';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { RecordCompletion, RecordFailure } from '@sluice/store-client/publish/partition-lane';
import type { PartitionProducer } from '@sluice/store-client/publish/partition-producer';
import { PLAIN_QUEUE } from '../../../../test/harness/plain-queue.ts';
import type { Publisher } from '../../src/publish/durable-publish.ts';
import { NodeKeyEnvironment } from '../../src/publish/key-environment.ts';
import { PublishRouter } from '../../src/publish/publish-router.ts';
import { QueueKeys } from '../../src/publish/queue-keys.ts';
import { RefusedPublishes } from '../../src/publish/refused-publishes.ts';

interface Added {
  partition: number;
  record: RecordInput;
  completion: RecordCompletion;
}

const PUBLISHER = { clientId: 'p', username: undefined } as unknown as Publisher;

let added: Added[];
let topology: Topology;
let router: PublishRouter;
let nowMs: number;
let warned: unknown[];

beforeEach(() => {
  nowMs = 0;
  warned = [];
  added = [];
  topology = new Topology();
  const producer = {
    congested: false,
    onRelief: () => {},
    add: (partition: number, record: RecordInput, completion: RecordCompletion) =>
      added.push({ partition, record, completion }),
  } as unknown as PartitionProducer;
  router = new PublishRouter({
    topology,
    producer,
    keys: new QueueKeys(new NodeKeyEnvironment(systemClock, {})),
    clock: { ...systemClock, monotonicMs: () => nowMs },
    logger: { ...silentLogger, warn: (fields) => warned.push(fields) },
    metrics: new PlainMetrics(),
  });
});

function define(...queues: Partial<QueueDefinition>[]): void {
  const all = queues.map((over, i) => ({
    ...PLAIN_QUEUE,
    queueId: i + 1,
    name: `q${i + 1}`,
    version: topology.epoch + 1,
    ...over,
  }));
  topology.reset({
    epoch: topology.epoch + 1,
    clusterId: 'c',
    partitionCount: 4,
    replicationFactor: 1,
    nodes: [],
    partitions: [],
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues: all,
  });
}

/** No clock's time: what is published has the time at which it was received. */
const RECEIVED_AT_MS = 5_000;

function publish(over: Partial<PublishPacket> = {}, clientId = 'p'): { durable: boolean; said: number[] } {
  const said: number[] = [];
  const packet = { type: PacketType.PUBLISH, topic: 't', payload: Buffer.from('x'), qos: 1, retain: false, ...over };
  const durable = router.publish(
    packet as PublishPacket,
    { ...PUBLISHER, clientId },
    { complete: (code) => said.push(code) },
    false,
    RECEIVED_AT_MS,
  );
  return { durable, said };
}

const targets = (): unknown[] =>
  added.map(({ partition, record }) => [partition, record.targets.map(({ queueId }) => queueId)]);

/** Of a record, as its batch has it. */
function encodedBytes(record: RecordInput): number {
  const builder = new RecordBatchBuilder();
  const before = builder.sizeBytes;
  builder.add(record);
  return builder.sizeBytes - before;
}

describe('a message', () => {
  test('gives its buffer away where it is for one partition, and to none of several', () => {
    define({}, { topicFilter: 'two', partitions: [1] }, { topicFilter: 'two', partitions: [2] });
    publish({ ownsBuffer: true });
    publish({});
    publish({ topic: 'two', ownsBuffer: true });
    expect(added.map(({ record }) => record.ownsBuffer)).toEqual([true, undefined, undefined, undefined]);
  });

  test('that no queue wants is nobody’s here', () => {
    define({ topicFilter: 'other' });
    expect(publish()).toEqual({ durable: false, said: [] });
    expect(added).toEqual([]);
  });

  test('is one record for all queues of a partition, and acknowledged when every partition has it', () => {
    define({}, { partitions: [2] }, {}, { topicFilter: '#', partitions: [2] });
    const { durable, said } = publish();
    expect(durable).toBe(true);
    expect(targets()).toEqual([
      [1, [1, 3]],
      [2, [2, 4]],
    ]);
    added[1]?.completion.recordStored();
    expect(said).toEqual([]);
    added[0]?.completion.recordStored();
    expect(said).toEqual([ReasonCode.SUCCESS]);
  });

  test('that is larger than a queue may be, which drops its oldest, is refused for it: all of it would be dropped, and the message too', () => {
    const limits = { countMax: null, bytesMax: 1_000, overflow: 'drop_oldest' } as const;
    define({ limits });
    const payload = Buffer.alloc(1_000);
    expect(publish({ payload })).toEqual({ durable: true, said: [ReasonCode.QUOTA_EXCEEDED] });
    expect(added).toEqual([]);
    publish({ payload: Buffer.alloc(900) });
    expect(targets()).toEqual([[1, [1]]]);
    added = [];
    define({ limits }, { partitions: [2] }, { limits: { ...limits, overflow: 'refuse' }, partitions: [3] });
    const { said } = publish({ payload });
    expect(targets()).toEqual([
      [2, [2]],
      [3, [3]],
    ]);
    for (const { completion } of added) completion.recordStored();
    expect(said).toEqual([ReasonCode.QUOTA_EXCEEDED]);
  });

  test('is refused by its exact size with all that is around the payload, and kept where it just fits', () => {
    const packet = {
      payload: Buffer.alloc(10),
      properties: { userProperties: ['näme', 'v'.repeat(900)], messageExpiryIntervalS: 60 },
    };
    const limits = { countMax: null, overflow: 'drop_oldest' } as const;
    define({}, { partitions: [2], isLastValue: true, keyExpression: 'message.topic' });
    publish(packet);
    const sizes = added.map(({ record }) => encodedBytes(record));
    const bounded = (lessBytes: number): void =>
      define(
        { limits: { ...limits, bytesMax: (sizes[0] as number) - lessBytes } },
        {
          partitions: [2],
          isLastValue: true,
          keyExpression: 'message.topic',
          limits: { ...limits, bytesMax: (sizes[1] as number) - lessBytes },
        },
      );
    added = [];
    bounded(1);
    expect(publish(packet)).toEqual({ durable: true, said: [ReasonCode.QUOTA_EXCEEDED] });
    expect(added).toEqual([]);
    bounded(0);
    expect(publish(packet)).toEqual({ durable: true, said: [] });
    expect(added.map(({ record }) => encodedBytes(record))).toEqual(sizes);
  });

  test('shared by queues of a partition is left out of one that it would empty, and no other', () => {
    define({}, {});
    publish();
    const bytesMax = encodedBytes((added[0] as Added).record) - 1;
    added = [];
    define({ limits: { countMax: null, bytesMax, overflow: 'drop_oldest' } }, {});
    expect(publish().said).toEqual([ReasonCode.QUOTA_EXCEEDED]);
    expect(targets()).toEqual([[1, [2]]]);
  });

  test('that one queue refuses is refused once, whatever the others say and in whatever order', () => {
    define({}, { partitions: [2] });
    const first = publish();
    added[0]?.completion.recordFailed('queue-full');
    added[0]?.completion.recordFailed('queue-full');
    added[1]?.completion.recordStored();
    expect(first.said).toEqual([ReasonCode.QUOTA_EXCEEDED]);
    const second = publish();
    added[2]?.completion.recordStored();
    added[3]?.completion.recordFailed('storage-full');
    expect(second.said).toEqual([ReasonCode.QUOTA_EXCEEDED]);
  });

  test.each<RecordFailure>(['queue-full', 'storage-full', 'queue-unknown', 'queue-removed', 'unavailable'])(
    'refused because of %s is answered with a code that PUBACK and PUBREC may carry',
    (failure) => {
      define({});
      const { said } = publish();
      added[0]?.completion.recordFailed(failure);
      expect(said).toHaveLength(1);
      expect(said[0]).toBeGreaterThanOrEqual(0x80);
      expect([...PUBACK_REASON_CODES]).toContain(said[0]);
    },
  );

  test('keeps what belongs to it and drops what belongs to this hop', () => {
    define({});
    const userProperties = ['b', '2', 'a', '1'];
    publish({ properties: { userProperties, contentType: 'c', topicAlias: 3, messageExpiryIntervalS: 0 } });
    const { properties, expiresAtMs, publishedAtMs } = (added[0] as Added).record;
    expect(properties).toEqual({ userProperties, contentType: 'c' });
    expect(publishedAtMs).toBe(RECEIVED_AT_MS);
    expect(expiresAtMs).toBe(RECEIVED_AT_MS);
    publish();
    expect((added[1] as Added).record.expiresAtMs).toBe(0);
  });
});

describe('the log', () => {
  const refuse = (reason: RecordFailure): void => added.at(-1)?.completion.recordFailed(reason);

  test('says who was refused, why, and which queues wanted the message; then nothing for a while', () => {
    define({}, { topicFilter: 'other' });
    publish({}, 'camera');
    refuse('queue-full');
    expect(warned).toEqual([{ client: 'camera', topic: 't', reason: 'queue-full', queues: ['q1'] }]);
    publish({}, 'lamp');
    refuse('queue-full');
    expect(warned).toHaveLength(1);
    nowMs += RefusedPublishes.WARNING_INTERVAL_MS;
    publish({}, 'lamp');
    refuse('unavailable');
    expect(warned[1]).toMatchObject({ client: 'lamp', reason: 'unavailable' });
  });
});

describe('a last-value queue', () => {
  const lastValue = { isLastValue: true, keyExpression: 'message.headers.properties.User-Property.key' };

  test('gets the key with its target; one without a key is left out, the others get it', () => {
    define(lastValue, { partitions: [1] });
    publish({ properties: { userProperties: ['key', 'k1'] } });
    expect(added[0]?.record.targets).toEqual([
      { queueId: 1, key: Buffer.from('k1') },
      { queueId: 2, key: undefined },
    ]);
    expect(publish().durable).toBe(true);
    expect(added[1]?.record.targets).toEqual([{ queueId: 2, key: undefined }]);
  });

  test('alone, and no key: the message is nobody’s here, so that its publisher is not kept waiting', () => {
    define(lastValue);
    expect(publish()).toEqual({ durable: false, said: [] });
  });

  test('with a key that is too long does not keep it', () => {
    define({ isLastValue: true, keyExpression: 'pad(message.topic, 66000)' }, {});
    publish();
    expect(targets()).toEqual([[1, [2]]]);
  });

  test('follows a changed expression with the next message', () => {
    define({ isLastValue: true, keyExpression: 'message.topic' });
    publish();
    define({ isLastValue: true, keyExpression: 'message.from', version: 2 });
    publish();
    expect(added.map(({ record }) => Buffer.from(record.targets[0]?.key as Uint8Array).toString())).toEqual(['t', 'p']);
  });
});

describe('a queue over several partitions', () => {
  const partitions = [1, 2, 3, 4];
  const chosen = (): number[] => added.map(({ partition }) => partition);

  test('keeps the messages of a publisher together, and spreads publishers', () => {
    define({ partitions });
    for (let round = 0; round < 3; round++) for (let i = 0; i < 20; i++) publish({}, `p${i}`);
    expect(chosen().slice(0, 20)).toEqual(chosen().slice(20, 40));
    expect(chosen().slice(0, 20)).toEqual(chosen().slice(40));
    expect(new Set(chosen())).toEqual(new Set(partitions));
  });

  test('keeps the values of a key together, whoever publishes them', () => {
    define({ partitions, isLastValue: true, keyExpression: 'message.headers.properties.User-Property.key' });
    for (let i = 0; i < 20; i++) publish({ properties: { userProperties: ['key', `k${i}`] } }, `p${i}`);
    for (let i = 0; i < 20; i++) publish({ properties: { userProperties: ['key', `k${i}`] } }, `q${i}`);
    expect(chosen().slice(0, 20)).toEqual(chosen().slice(20));
    expect(new Set(chosen())).toEqual(new Set(partitions));
  });

  test('shares a record with the others of the partition it chose', () => {
    define({ partitions }, { partitions: [3] }, { partitions });
    publish({}, 'somebody');
    const [first, second] = targets() as [number, number[]][];
    if (first?.[0] === 3) expect(targets()).toEqual([[3, [1, 2, 3]]]);
    else
      expect([first?.[1], second]).toEqual([
        [1, 3],
        [3, [2]],
      ]);
  });
});
