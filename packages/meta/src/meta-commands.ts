import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { QueueDefinition } from './queue-definition.ts';
import type { QueueSubsystemConfig } from './queue-subsystem-config.ts';

/**
 * Entries of the metadata group. They are rare and read by people in a crisis, so their body is JSON behind the same
 * head as every entry: kind, version, time stamp of the leader. A kind or version this build does not know stops the
 * group: guessing would let replicas differ.
 */
export type MetaCommand =
  /** Once in a cluster's life; a second one is refused. */
  | { kind: 'form-cluster'; clusterId: string; partitionCount: number; queueCountMax: number }
  | { kind: 'define-queue'; queue: QueueDraft }
  | { kind: 'update-queue'; queueId: number; expectedVersion: number; queue: QueueDraft }
  | { kind: 'remove-queue'; queueId: number }
  | { kind: 'set-config'; config: QueueSubsystemConfig };

/** A definition before the machine has given it identity, place and time. */
export type QueueDraft = Omit<QueueDefinition, 'queueId' | 'partitions' | 'version' | 'createdAtMs'> & {
  /** How many partitions it spreads over. */
  partitionCount: number;
};

const KINDS = ['form-cluster', 'define-queue', 'update-queue', 'remove-queue', 'set-config'] as const;
const VERSION = 1;

export function encodeMetaCommand(command: MetaCommand, stampMs: number): Uint8Array {
  const { kind, ...body } = command;
  return new ByteWriter()
    .u8(KINDS.indexOf(kind) + 1)
    .u8(VERSION)
    .u53(stampMs)
    .text(JSON.stringify(body))
    .finish();
}

/** @throws SluiceError `META_COMMAND_UNKNOWN` when a newer build wrote it. */
export function decodeMetaCommand(bytes: Uint8Array): { command: MetaCommand; stampMs: number } {
  const reader = new ByteReader(bytes);
  const kind = KINDS[reader.u8() - 1];
  const version = reader.u8();
  const stampMs = reader.u53();
  if (kind === undefined || version !== VERSION) {
    throw new SluiceError(
      'META_COMMAND_UNKNOWN',
      `metadata entry of kind ${bytes[0]} version ${version} is not known`,
      {
        hint: 'this log was written by a newer version of Sluice: start that version instead',
      },
    );
  }
  return { command: { kind, ...(JSON.parse(reader.text()) as object) } as MetaCommand, stampMs };
}
