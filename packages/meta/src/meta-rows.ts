import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { AccessKey, AccessRow } from './access/access-table.ts';
import type { FeatureLevel } from './feature-levels.ts';
import type { NodeInfo } from './node-info.ts';
import type { PartitionInfo } from './partition-info.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { QueueSubsystemConfig } from './queue-subsystem-config.ts';

/**
 * The rows of the metadata: one for the head, and one a queue, node and partition, so that a change writes what it
 * changed and the head, however much there is. Bodies are JSON for the same reason as in the entries.
 */
export const HEAD_KEY: Uint8Array = Uint8Array.of(0x4d); // M
const QUEUE_TABLE = 0x51; // Q
const NODE_TABLE = 0x4e; // N
const PARTITION_TABLE = 0x50; // P
const ACCESS_TABLE = 0x41; // A

/** 1: a cluster of one node, without rows of nodes and partitions. 3: a cluster beyond its first feature level. */
export interface HeadRow {
  format: 1 | 2 | 3;
  epoch: number;
  clusterId: string;
  partitionCount: number;
  nextQueueId: number;
  nowMs: number;
  config: QueueSubsystemConfig;
  /** From format 2 on. */
  replicationFactor?: number;
  nextNodeId?: number;
  layoutEpoch?: number;
  /** From format 3 on. */
  featureLevel?: FeatureLevel;
}

export type MetaRow =
  | { table: 'head'; row: HeadRow }
  | { table: 'queue'; row: QueueDefinition }
  | { table: 'node'; row: NodeInfo }
  | { table: 'partition'; row: PartitionInfo }
  | { table: 'access'; row: AccessRow };

export const keyOfQueue = (queueId: number): Uint8Array => new ByteWriter(9).u8(QUEUE_TABLE).u53(queueId).finish();
export const keyOfNode = (nodeId: number): Uint8Array => new ByteWriter(9).u8(NODE_TABLE).u53(nodeId).finish();
export const keyOfPartition = (partition: number): Uint8Array =>
  new ByteWriter(9).u8(PARTITION_TABLE).u53(partition).finish();

export const keyOfAccess = ({ table, key }: AccessKey): Uint8Array =>
  new ByteWriter(64).u8(ACCESS_TABLE).text(table).text(key).finish();

export function encodeMetaRow(value: MetaRow['row']): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

/**
 * A row says whose it is twice, by its key and in its body: one that says two things is damaged as well.
 *
 * @throws SluiceError `META_ROW_UNKNOWN` when a newer build wrote it, `META_ROW_DAMAGED`
 */
export function decodeMetaRow(key: Uint8Array, value: Uint8Array): MetaRow {
  switch (key[0]) {
    case HEAD_KEY[0]: {
      const row = bodyOf<HeadRow>(key, value);
      if (row.format > 3) break;
      if (key.length !== HEAD_KEY.length || !(row.format >= 1)) throw damaged(key);
      return { table: 'head', row };
    }
    case QUEUE_TABLE: {
      const row = bodyOf<QueueDefinition>(key, value);
      if (row.queueId !== idOf(key)) throw damaged(key);
      return { table: 'queue', row };
    }
    case NODE_TABLE: {
      const row = bodyOf<NodeInfo>(key, value);
      if (row.nodeId !== idOf(key)) throw damaged(key);
      return { table: 'node', row };
    }
    case PARTITION_TABLE: {
      const row = bodyOf<PartitionInfo>(key, value);
      if (row.partition !== idOf(key)) throw damaged(key);
      return { table: 'partition', row };
    }
    case ACCESS_TABLE: {
      const row = bodyOf<AccessRow>(key, value);
      if (typeof row.table !== 'string' || typeof row.key !== 'string') throw damaged(key);
      if (Buffer.compare(keyOfAccess(row), key) !== 0) throw damaged(key);
      return { table: 'access', row };
    }
  }
  throw new SluiceError('META_ROW_UNKNOWN', `a row of the metadata (table ${key[0]}) has a form that is not known`, {
    hint: 'this data directory was written by a newer version of Sluice: start that version instead',
  });
}

function bodyOf<Row extends MetaRow['row']>(key: Uint8Array, value: Uint8Array): Row {
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(value).toString('utf8'));
  } catch (cause) {
    throw damaged(key, cause);
  }
  if (typeof body !== 'object' || body === null) throw damaged(key);
  return body as Row;
}

function idOf(key: Uint8Array): number {
  if (key.length !== ID_KEY_BYTES) throw damaged(key);
  return new ByteReader(key, 1).u53();
}

const ID_KEY_BYTES = 9;

function damaged(key: Uint8Array, cause?: unknown): SluiceError {
  return new SluiceError('META_ROW_DAMAGED', `the metadata's row of ${nameOf(key)} is damaged`, {
    hint:
      'Nothing was changed. Rows are derived: stop this node, move the directory state away from its data directory, and start ' +
      'it; the rows are made again from the last images and the log. If that does not help, and other coordinators run, start ' +
      'it on an empty directory under its name, to join anew; alone, restore a backup.',
    cause,
  });
}

/** As far as the key can be read. */
function nameOf(key: Uint8Array): string {
  const table = TABLE_NAMES.get(key[0] as number) ?? `table ${key[0]}`;
  try {
    const reader = new ByteReader(key, 1);
    if (key[0] === ACCESS_TABLE) return `${reader.text()} ${reader.text()}`;
    return key.length === ID_KEY_BYTES ? `${table} ${reader.u53()}` : table;
  } catch {
    return `${table}, key ${Buffer.from(key).toString('hex')}`;
  }
}

const TABLE_NAMES: ReadonlyMap<number, string> = new Map([
  [HEAD_KEY[0] as number, 'the cluster'],
  [QUEUE_TABLE, 'queue'],
  [NODE_TABLE, 'node'],
  [PARTITION_TABLE, 'partition'],
  [ACCESS_TABLE, 'access'],
]);
