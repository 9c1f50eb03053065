import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import { isFullDisk, isOutOfFiles } from '@sluice/storage/files/file-operations';
import { TICK_MS } from '../raft-timing.ts';

/**
 * What stands beside the images, in the same directory:
 *
 *     <group>-<index>-<n>.incoming   rows of a snapshot that arrives; becomes an image when it is installed
 *     <group>-<index>-<n>.spool      its live entries
 *     <group>.installing             an installation was begun: it is carried out to its end at the next start
 *     <group>.promise                what a wiped replica had promised; also says that the wipe is not finished
 *     <group>.impaired               why the replica must not be trusted, until it is wiped
 */
export type NoteKind = 'installing' | 'promise' | 'impaired';

const NOTE = /^(\d{1,5})\.(installing|promise|impaired)$/;
const LEFTOVER = /\.(incoming|spool|tmp)$/;

export function notePath(imageDirectory: string, groupId: number, kind: NoteKind): string {
  return join(imageDirectory, `${groupId}.${kind}`);
}

/** The groups that have a note of this kind. */
export function noteGroups(names: readonly string[], kind: NoteKind): number[] {
  const groups: number[] = [];
  for (const name of names) {
    const match = NOTE.exec(name);
    if (match !== null && match[2] === kind) groups.push(Number(match[1]));
  }
  return groups.sort((a, b) => a - b);
}

export function incomingName(groupId: number, index: number, number: number): string {
  return `${groupId}-${index.toString(16).padStart(14, '0')}-${number}.incoming`;
}
export function spoolName(groupId: number, index: number, number: number): string {
  return `${groupId}-${index.toString(16).padStart(14, '0')}-${number}.spool`;
}

/** A file of a transfer that did not end; nothing refers to it unless an installation does. */
export function isLeftover(name: string): boolean {
  return LEFTOVER.test(name);
}

const FULL_CODES: ReadonlySet<string> = new Set(['ENTRY_LOG_FULL', 'STATE_FULL', 'IMAGE_FULL', 'FILES_EXHAUSTED']);

/** No room, or no file descriptor: the same step may succeed later. */
export function isFull(cause: unknown): boolean {
  return cause instanceof SluiceError ? FULL_CODES.has(cause.code) : isFullDisk(cause) || isOutOfFiles(cause);
}

/** On a full disk it waits, as everything does, and tries again: nobody could do better with the error. `ends`: not any more. */
export async function whenRoom(step: () => Promise<void>, ends: () => boolean): Promise<void> {
  for (;;) {
    try {
      await step();
      return;
    } catch (cause) {
      if (!isFull(cause) || ends()) throw cause;
    }
    await new Promise<void>((resolve) => setTimeout(resolve, TICK_MS));
  }
}
