import { encodeCommand } from '@sluice/queue/machine/command-codec';
import type { Command } from '@sluice/queue/machine/commands';

/** What a store proposes by itself, of any tenant; record batches come encoded. */
export type PartitionCommand = Command;

export function encodePartitionCommand(command: PartitionCommand): Uint8Array {
  return encodeCommand(command);
}
