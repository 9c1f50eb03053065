import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { checksum } from '../checksum.ts';
import type { FileOperations } from '../files/file-operations.ts';
import { type BaseState, encodeBaseState } from './base-state.ts';
import { FrameBuilder } from './frame-builder.ts';
import { RecordType } from './frame-format.ts';
import type { SegmentRows } from './row-columns.ts';
import { encodeSegmentHeader, SALT_BYTES, saltSeed, segmentFile } from './segment-header.ts';

/** The one segment that is written. */
export interface ActiveSegment {
  readonly segmentId: number;
  readonly fd: number;
  readonly seed: number;
  /** Where the next frame goes. */
  end: number;
  /** Frames behind the base frame. */
  frames: number;
  readonly rows: SegmentRows;
}

/** Unlike any before: the bytes of a file that had this name once do not pass for those of this one. */
export type MakeSalt = (bytes: number) => Uint8Array;

export const randomSalt: MakeSalt = (bytes) => randomBytes(bytes);

export class ShortWrite extends Error {
  readonly code = 'ENOSPC';
  constructor(written: number, wanted: number) {
    super(`wrote ${written} of ${wanted} bytes`);
  }
}

/**
 * Makes a segment with its base frame under a temporary name and renames it only when it is durable: a segment file is
 * complete from its first moment, so whatever is wrong with its start is damage and never a crash.
 */
export async function createSegment(
  files: FileOperations,
  directory: string,
  segmentId: number,
  sequence: number,
  base: BaseState,
  sync: boolean,
  makeSalt: MakeSalt = randomSalt,
): Promise<ActiveSegment> {
  const salt = makeSalt(SALT_BYTES);
  const seed = saltSeed(salt);
  const data = encodeBaseState(base);
  const builder = new FrameBuilder();
  builder.start();
  builder.data(RecordType.BASE, 0, 0, 0, 0, 0, data, checksum(data), 0);
  const buffers = [encodeSegmentHeader(segmentId, salt), ...builder.finish(sequence, seed)];
  let end = 0;
  for (const buffer of buffers) end += buffer.length;

  const path = join(directory, segmentFile(segmentId));
  const temporary = `${path}.tmp`;
  const fd = await files.open(temporary, 'replace', sync ? 'synced' : undefined);
  try {
    const written = await files.writev(fd, buffers, 0);
    if (written !== end) throw new ShortWrite(written, end);
  } catch (error) {
    await discard(files, fd, temporary);
    throw error;
  }
  try {
    await files.rename(temporary, path);
    if (sync) await files.syncDirectory(directory);
  } catch (error) {
    await discard(files, fd, temporary);
    // Whether the new name counts is unknown. Even for want of space, the old segment must not be written on.
    throw new Error(`could not name ${path}: ${String(error)}`, { cause: error });
  }
  return { segmentId, fd, seed, end, frames: 0, rows: new Map() };
}

async function discard(files: FileOperations, fd: number, path: string): Promise<void> {
  await files.close(fd).catch(() => {});
  await files.unlink(path).catch(() => {});
}
