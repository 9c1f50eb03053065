import { join } from 'node:path';

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
