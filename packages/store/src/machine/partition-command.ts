import { encodeCommand } from '@sluice/queue/machine/command/command-codec';
import type { Command } from '@sluice/queue/machine/command/commands';
import { encodeSessionCommand } from '@sluice/queue/session/command-codec';
import type { SessionCommand } from '@sluice/queue/session/commands';

/** What a store proposes by itself, of any tenant; record batches come encoded. */
export type PartitionCommand = Command | SessionCommand;

export function encodePartitionCommand(command: PartitionCommand): Uint8Array {
  switch (command.type) {
    case 'settle':
    case 'configure-queue':
    case 'drop-rows':
    case 'remove-queue':
    case 'time':
    case 'forget-publishers':
      return encodeCommand(command);
    default:
      return encodeSessionCommand(command);
  }
}
