import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { AccessRow } from './access/access-table.ts';
import { LONE_FOUNDER, type NodeInfo, type NodeRegistration } from './node-info.ts';
import type { PartitionInfo } from './partition-info.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { QueueSubsystemConfig } from './queue-subsystem-config.ts';

/**
 * Entries of the metadata group. They are rare and read by people in a crisis, so their body is JSON behind the same
 * head as every entry: kind, version, time stamp of the leader. A kind or version this build does not know stops the
 * group: guessing would let replicas differ.
 */
export type MetaCommand =
  /** Once in a cluster's life; a second one is refused. Written alike by every founder that comes to lead. */
  | {
      kind: 'form-cluster';
      clusterId: string;
      partitionCount: number;
      replicationFactor: number;
      queueCountMax: number;
      founders: readonly NodeInfo[];
    }
  | { kind: 'define-queue'; queue: QueueDraft }
  | { kind: 'update-queue'; queueId: number; expectedVersion: number; queue: QueueDraft }
  | { kind: 'remove-queue'; queueId: number }
  | { kind: 'set-config'; config: QueueSubsystemConfig }
  /**
   * A node that starts says who it is. `nodeId` is the id that its own data directory holds, 0 when it holds none: how
   * the node of a cluster that was formed before nodes had incarnations is recognised.
   */
  | { kind: 'register-node'; node: NodeRegistration; nodeId: number }
  | { kind: 'set-node-state'; nodeId: number; state: NodeInfo['state'] }
  /**
   * Only the places that change. Refused when nodes, places or the factor have changed after `expectedEpoch`: whoever
   * computed it has not seen that. 0 does not ask.
   */
  | { kind: 'place-partitions'; placements: readonly PartitionInfo[]; expectedEpoch: number }
  /** A leader of the partition was seen: from now on a replica without a log waits to be added. */
  | { kind: 'partition-formed'; partition: number }
  | { kind: 'set-replication-factor'; replicationFactor: number }
  /**
   * A user, a list of rules or a ban. `expect`: it must be there, or must not be. `rowsMax`: how many its table may have
   * after it; part of the command, since every replica must decide alike whatever its version takes for enough.
   */
  | { kind: 'put-access'; row: AccessRow; expect: 'new' | 'existing' | 'any'; rowsMax: number }
  | { kind: 'remove-access'; table: AccessRow['table']; key: string }
  /**
   * Every node said that it supports the level. Refused when nodes came after `expectedEpoch`: whoever counted them has not
   * counted those. Never written before all nodes are of a build that knows this command.
   */
  | { kind: 'raise-feature-level'; level: number; expectedEpoch: number }
  /** While it is held it does not rise. */
  | { kind: 'hold-feature-level'; isHeld: boolean };

/** A definition before the machine has given it identity, place and time. */
export type QueueDraft = Omit<QueueDefinition, 'queueId' | 'partitions' | 'version' | 'createdAtMs'> & {
  /** How many partitions it spreads over. */
  partitionCount: number;
};

/** Their order is the format: a new kind goes to the end. */
const KINDS = [
  'form-cluster',
  'define-queue',
  'update-queue',
  'remove-queue',
  'set-config',
  'register-node',
  'set-node-state',
  'place-partitions',
  'partition-formed',
  'set-replication-factor',
  'put-access',
  'remove-access',
  'raise-feature-level',
  'hold-feature-level',
] as const satisfies readonly MetaCommand['kind'][];

/** What is written today; every version from 1 on is read for ever. */
const VERSIONS: Partial<Record<MetaCommand['kind'], number>> = { 'form-cluster': 2 };

/** @throws SluiceError `META_COMMAND_UNKNOWN` when a newer build asks for it: written down, it would stop every replica. */
export function encodeMetaCommand(command: MetaCommand, stampMs: number): Uint8Array {
  const { kind, ...body } = command;
  const at = KINDS.indexOf(kind);
  if (at < 0) {
    throw new SluiceError('META_COMMAND_UNKNOWN', `the metadata has no command ${kind}`, {
      hint: 'a node of a newer build asked for it: upgrade the coordinators as well',
    });
  }
  return new ByteWriter()
    .u8(at + 1)
    .u8(VERSIONS[kind] ?? 1)
    .u53(stampMs)
    .text(JSON.stringify(body))
    .finish();
}

/** @throws SluiceError `META_COMMAND_UNKNOWN` when a newer build wrote it, `META_COMMAND_MALFORMED` when nobody did. */
export function decodeMetaCommand(bytes: Uint8Array): { command: MetaCommand; stampMs: number } {
  const reader = new ByteReader(bytes);
  const kind = KINDS[reader.u8() - 1];
  const version = reader.u8();
  const stampMs = reader.u53();
  if (kind === undefined || version < 1 || version > (VERSIONS[kind] ?? 1)) {
    throw new SluiceError(
      'META_COMMAND_UNKNOWN',
      `metadata entry of kind ${bytes[0]} version ${version} is not known`,
      {
        hint: 'this log was written by a newer version of Sluice: start that version instead',
      },
    );
  }
  const body = bodyOf(kind, reader.text());
  const before = kind === 'form-cluster' && version === 1 ? ALONE : {};
  return { command: { kind, ...before, ...body } as MetaCommand, stampMs };
}

function bodyOf(kind: string, text: string): object {
  try {
    return JSON.parse(text) as object;
  } catch (cause) {
    const message = `a metadata entry of kind ${kind} cannot be read: ${text.length} characters that are no JSON`;
    throw new SluiceError('META_COMMAND_MALFORMED', message, { cause });
  }
}

/** What version 1 of `form-cluster` left unsaid: a cluster was one node. */
const ALONE = { replicationFactor: 1, founders: [LONE_FOUNDER] };
