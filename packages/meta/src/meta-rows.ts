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

/** @throws SluiceError `META_ROW_UNKNOWN` when a newer build wrote it. */
export function decodeMetaRow(key: Uint8Array, value: Uint8Array): MetaRow {
  const row = JSON.parse(Buffer.from(value).toString('utf8')) as unknown;
  switch (key[0]) {
    case HEAD_KEY[0]: {
      const head = row as HeadRow;
      if (head.format > 3) break;
      return { table: 'head', row: head };
    }
    case QUEUE_TABLE:
      return { table: 'queue', row: row as QueueDefinition };
    case NODE_TABLE:
      return { table: 'node', row: row as NodeInfo };
    case PARTITION_TABLE:
      return { table: 'partition', row: row as PartitionInfo };
    case ACCESS_TABLE:
      return { table: 'access', row: row as AccessRow };
  }
  throw new SluiceError('META_ROW_UNKNOWN', `a row of the metadata (table ${key[0]}) has a form that is not known`, {
    hint: 'this data directory was written by a newer version of Sluice: start that version instead',
  });
}
