import type { PeekedRecord, StoreAdminRequest, StoreAdminResponse } from '../contract/store-admin.ts';
import { v1 } from '../gen/v1.ts';
import { type Codec, readerOf, reading, wireInvalid } from './codec.ts';
import { jsonBytes, parseJson } from './json.ts';
import { anyAmount, anyFlag, anyInteger, anyText, listOf, maybe, objectOf, oneOf, typed } from './shape.ts';

const requestShape = typed<StoreAdminRequest>({
  statistics: { queueIds: listOf(anyInteger) },
  purge: { queueId: anyInteger, partition: anyInteger },
  peek: {
    queueId: anyInteger,
    partition: anyInteger,
    fromOffset: anyInteger,
    limit: anyInteger,
    payloadBytesMax: anyInteger,
  },
  'erase-retained': { partition: anyInteger, topic: anyText },
  membership: { partition: anyInteger },
  'would-lead': { partition: anyInteger },
});

const statisticsShape = objectOf({
  queueId: anyInteger,
  partition: anyInteger,
  depth: anyInteger,
  depthBytes: anyInteger,
  inflight: anyInteger,
  consumers: anyInteger,
  keys: anyInteger,
  head: anyInteger,
  tail: anyInteger,
  oldestAppendedAtMs: anyInteger,
  publishedTotal: anyInteger,
  publishedBytesTotal: anyInteger,
  acceptedTotal: anyInteger,
  returnedTotal: anyInteger,
  refusedTotal: anyInteger,
  expiredTotal: anyInteger,
  overwrittenTotal: anyInteger,
  droppedTotal: anyInteger,
  purgedTotal: anyInteger,
  redeliveredTotal: anyInteger,
  deliveredTotal: anyInteger,
  publishedPace: maybe(anyAmount),
  gonePace: maybe(anyAmount),
  quietMs: anyAmount,
  jobMs: anyAmount,
});

const recordShape = objectOf({
  offset: anyInteger,
  topic: anyText,
  publisher: anyText,
  publishedAtMs: anyInteger,
  expiresAtMs: anyInteger,
  deliveryCount: anyInteger,
  inflight: anyFlag,
  hasKey: anyFlag,
  qos: (value) => {
    if (value !== 0 && value !== 1 && value !== 2) throw wireInvalid('no quality of service');
  },
  retain: anyFlag,
  properties: maybe(
    objectOf({
      payloadFormatIndicator: maybe(anyInteger),
      contentType: maybe(anyText),
      responseTopic: maybe(anyText),
      hasCorrelationData: anyFlag,
      userProperties: maybe(listOf(anyText)),
    }),
  ),
  payloadSizeBytes: anyInteger,
});

const responseShape = typed<StoreAdminResponse>({
  statistics: {
    queues: listOf(statisticsShape),
    elsewhere: listOf(objectOf({ partition: anyInteger, leader: anyInteger })),
  },
  purged: { count: anyInteger },
  peeked: { records: listOf(recordShape), nextOffset: anyInteger },
  membership: { term: anyInteger, index: anyInteger, members: listOf(anyInteger) },
  'would-lead': { would: anyFlag },
  refused: {
    code: oneOf('queue-unknown', 'not-leader', 'unavailable'),
    message: anyText,
    leader: anyInteger,
  },
});

export const storeAdminRequestCodec: Codec<StoreAdminRequest> = {
  write(message, writer) {
    v1.StoreAdminMessage.encode({ json: jsonBytes(message) }, writer);
  },
  read(bytes) {
    return reading('store-admin request', () => {
      const { json, data } = v1.StoreAdminMessage.decode(readerOf(bytes));
      const value = parseJson(json);
      requestShape(value, 'store-admin request');
      if (data.length > 0) throw wireInvalid('a store-admin request has no data');
      return value as StoreAdminRequest;
    });
  },
};

export const storeAdminResponseCodec: Codec<StoreAdminResponse> = {
  write(message, writer) {
    if (message.type !== 'peeked') {
      v1.StoreAdminMessage.encode({ json: jsonBytes(message) }, writer);
      return;
    }
    const data: Uint8Array[] = [];
    const records = message.records.map((record) => takeBytes(record, data));
    v1.StoreAdminMessage.encode({ json: jsonBytes({ ...message, records }), data }, writer);
  },
  read(bytes) {
    return reading('store-admin response', () => {
      const { json, data } = v1.StoreAdminMessage.decode(readerOf(bytes));
      const value = parseJson(json);
      responseShape(value, 'store-admin response');
      const response = value as Exclude<StoreAdminResponse, { type: 'peeked' }> | JsonPeeked;
      const rest = data.values();
      const message =
        response.type === 'peeked'
          ? { ...response, records: response.records.map((record) => giveBytes(record, rest)) }
          : response;
      if (!rest.next().done) throw wireInvalid('data that no record speaks of');
      return message;
    });
  },
};

interface JsonPeeked {
  type: 'peeked';
  records: readonly JsonRecord[];
  nextOffset: number;
}

type JsonRecord = Omit<PeekedRecord, 'key' | 'payload' | 'properties'> & {
  hasKey: boolean;
  properties?: Omit<NonNullable<PeekedRecord['properties']>, 'correlationData'> & { hasCorrelationData: boolean };
};

function takeBytes(record: PeekedRecord, data: Uint8Array[]): JsonRecord {
  const { key, payload, properties, ...rest } = record;
  const json: JsonRecord = { ...rest, hasKey: key !== undefined };
  if (key !== undefined) data.push(key);
  if (properties !== undefined) {
    const { correlationData, ...others } = properties;
    json.properties = { ...others, hasCorrelationData: correlationData !== undefined };
    if (correlationData !== undefined) data.push(correlationData);
  }
  data.push(payload);
  return json;
}

function giveBytes(json: JsonRecord, data: Iterator<Uint8Array>): PeekedRecord {
  const { hasKey, properties, ...rest } = json;
  const key = hasKey ? nextOf(data) : undefined;
  if (properties === undefined) return { ...rest, key, properties, payload: nextOf(data) };
  const { hasCorrelationData, ...others } = properties;
  const withBytes = hasCorrelationData ? { ...others, correlationData: nextOf(data) } : others;
  return { ...rest, key, properties: withBytes, payload: nextOf(data) };
}

function nextOf(data: Iterator<Uint8Array>): Uint8Array {
  const { value, done } = data.next();
  if (done) throw wireInvalid('the bytes of a record are missing');
  return value;
}
