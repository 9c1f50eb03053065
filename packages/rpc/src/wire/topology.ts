import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { TopologyDelta } from '@sluice/meta/topology';
import type { TopologyFeedRequest, TopologyImage, TopologyUpdate } from '../contract/topology-feed.ts';
import { v1 } from '../gen/v1.ts';
import { type Codec, readerOf, reading, type WireWriter, wireInvalid } from './codec.ts';
import { jsonBytes, parseJson } from './json.ts';
import { featureLevelShape, levelRangeShape, nodeInfoShape, partitionInfoShape } from './node-shapes.ts';
import { packQueueDefinitions, unpackQueueDefinitions } from './queue-definitions.ts';
import { anyInteger, anyObject, anyText, anyTime, type Check, listOf, maybe, objectOf, oneOf, typed } from './shape.ts';

const requestShape = typed<TopologyFeedRequest>({
  watch: { clusterId: anyText, epoch: anyInteger },
  reached: { epoch: anyInteger },
  report: {
    report: objectOf({
      leads: listOf(
        objectOf({
          partition: anyInteger,
          term: anyInteger,
          membershipIndex: anyInteger,
          voters: listOf(anyInteger),
          learners: listOf(anyInteger),
          depth: anyInteger,
          behind: maybe(listOf(anyInteger)),
          unheard: maybe(listOf(anyInteger)),
        }),
      ),
      impaired: listOf(anyInteger),
      replicas: listOf(anyInteger),
      consumers: listOf(objectOf({ queueId: anyInteger, consumers: anyInteger, windowTotal: anyInteger })),
      connections: maybe(anyInteger),
      disk: maybe(anyText),
      levels: maybe(levelRangeShape),
      clock: maybe(objectOf({ wallMs: anyTime, nowMs: anyInteger, monotonicMs: anyInteger })),
    }),
  },
});

const accessTable = oneOf('user', 'rules', 'ban');
const accessRowShape = objectOf({ table: accessTable, key: anyText, value: anyObject });

const updateShape = typed<WithoutQueues>({
  image: {
    epoch: anyInteger,
    clusterId: anyText,
    partitionCount: anyInteger,
    replicationFactor: anyInteger,
    nodes: listOf(nodeInfoShape),
    partitions: listOf(partitionInfoShape),
    config: anyObject,
    ahead: maybe(anyInteger),
    accessAhead: maybe(anyInteger),
    access: maybe(listOf(accessRowShape)),
    featureLevel: maybe(featureLevelShape),
  },
  'image-part': { epoch: anyInteger },
  'access-part': { epoch: anyInteger, rows: listOf(accessRowShape) },
  delta: {
    epoch: anyInteger,
    removed: listOf(anyInteger),
    nodes: listOf(nodeInfoShape),
    removedNodes: listOf(anyInteger),
    partitions: listOf(partitionInfoShape),
    config: maybe(anyObject),
    access: maybe(
      objectOf({ put: listOf(accessRowShape), removed: listOf(objectOf({ table: accessTable, key: anyText })) }),
    ),
    featureLevel: maybe(featureLevelShape),
  },
  liveness: {
    leaders: listOf(objectOf({ partition: anyInteger, nodeId: anyInteger, term: anyInteger })),
    alive: listOf(anyInteger),
    troubles: maybe(listOf(objectOf({ partition: anyInteger, nodeId: anyInteger, kind: anyText }))),
    nodeTroubles: maybe(listOf(objectOf({ nodeId: anyInteger, kind: anyText }))),
    levels: maybe(listOf(objectOf({ nodeId: anyInteger, min: anyInteger, max: anyInteger }))),
    clocks: maybe(
      listOf(objectOf({ nodeId: anyInteger, wallMs: anyTime, monotonicMs: anyInteger, aheadMs: maybe(anyTime) })),
    ),
  },
  assignments: {
    assignments: listOf(
      objectOf({
        queueId: anyInteger,
        generation: anyInteger,
        nodes: listOf(objectOf({ nodeId: anyInteger, partitions: listOf(anyInteger) })),
      }),
    ),
  },
  elsewhere: { leader: anyInteger, address: maybe(anyText), name: maybe(anyText) },
});

export const topologyRequestCodec: Codec<TopologyFeedRequest> = {
  write(message, writer) {
    writeMessage(message, undefined, writer);
  },
  read(bytes) {
    return reading('topology request', () => {
      const { json, queues } = readMessage(bytes, requestShape, 'topology request');
      if (queues !== undefined) throw wireInvalid('a topology request holds no queues');
      return json as TopologyFeedRequest;
    });
  },
};

/** Queue definitions leave the JSON; see `queue-definitions`. */
export const topologyUpdateCodec: Codec<TopologyUpdate> = {
  write(message, writer) {
    if (message.type === 'image' || message.type === 'image-part') {
      const { queues, ...rest } = message;
      writeMessage(rest, queues, writer);
    } else if (message.type === 'delta') {
      const { changed, ...rest } = message;
      writeMessage(rest, changed, writer);
    } else {
      writeMessage(message, undefined, writer);
    }
  },
  read(bytes) {
    return reading('topology update', () => {
      const { json, queues } = readMessage(bytes, updateShape, 'topology update');
      const update = json as WithoutQueues;
      if (update.type === 'image' || update.type === 'image-part') return { ...update, queues: queues ?? [] };
      // Undefined does not travel in JSON.
      if (update.type === 'delta') return { ...update, config: update.config, changed: queues ?? [] };
      if (queues !== undefined) throw wireInvalid(`${update.type} holds no queues`);
      return update;
    });
  },
};

type WithoutQueues =
  | ({ type: 'image'; ahead?: number | undefined; accessAhead?: number | undefined } & Omit<TopologyImage, 'queues'>)
  | { type: 'image-part'; epoch: number }
  | ({ type: 'delta' } & Omit<TopologyDelta, 'changed'>)
  | Exclude<TopologyUpdate, { type: 'image' | 'image-part' | 'delta' }>;

function writeMessage(message: unknown, queues: readonly QueueDefinition[] | undefined, writer: WireWriter): void {
  const json = jsonBytes(message);
  if (queues === undefined || queues.length === 0) v1.TopologyMessage.encode({ json }, writer);
  else v1.TopologyMessage.encode({ json, queues: packQueueDefinitions(queues) }, writer);
}

function readMessage(
  bytes: Uint8Array,
  check: Check,
  where: string,
): { json: unknown; queues: QueueDefinition[] | undefined } {
  const message = v1.TopologyMessage.decode(readerOf(bytes));
  const json = parseJson(message.json);
  check(json, where);
  return { json, queues: message.queues.length === 0 ? undefined : unpackQueueDefinitions(message.queues) };
}
