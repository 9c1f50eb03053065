import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { checksum } from '../../checksum.ts';
import { type FileOperations, isOutOfFiles } from '../../files/file-operations.ts';
import { FrameBuilder } from '../frame/frame-builder.ts';
import { RecordType } from '../frame/frame-format.ts';
import { type BaseState, encodeBaseState } from '../group/base-state.ts';
import type { SegmentRows } from '../group/row-columns.ts';
import { encodeSegmentHeader, SALT_BYTES, saltSeed, segmentFile } from './segment-header.ts';

/** The one segment that is written. */
export interface ActiveSegment {
  readonly segmentId: number;
  readonly fd: number;
  readonly seed: number;
  /** Where the next frame goes. */
  end: number;
  /** Of its file, as it was found or made; 0 when it ends where its frames end. */
  readonly foundBytes: number;
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

/** The new segment has its name; for want of a descriptor it is not known to keep it. Until it is, nothing may be written. */
export class NameUnsynced extends Error {
  readonly segment: ActiveSegment;
  constructor(segment: ActiveSegment, cause: unknown) {
    super('the name of a new segment could not be synced', { cause });
    this.segment = segment;
  }
}

/**
 * Makes a segment with its base frame under a temporary name and renames it only when it is durable: a segment file is
 * complete from its first moment, so whatever is wrong with its start is damage and never a crash. With a `spare` it is
 * that file, written again from its start.
 *
 * @throws NameUnsynced
 */
export async function createSegment(
  files: FileOperations,
  directory: string,
  segmentId: number,
  sequence: number,
  base: BaseState,
  sync: boolean,
  makeSalt: MakeSalt = randomSalt,
  spare: string | undefined = undefined,
): Promise<ActiveSegment> {
  const path = join(directory, segmentFile(segmentId));
  const temporary = `${path}.tmp`;
  const isRecycled = spare !== undefined && (await isRenamed(files, spare, temporary));
  const salt = makeSalt(SALT_BYTES);
  const seed = saltSeed(salt);
  const data = encodeBaseState(base);
  const builder = new FrameBuilder();
  builder.start();
  builder.data(RecordType.BASE, 0, 0, 0, 0, 0, data, checksum(data), 0);
  const buffers = [encodeSegmentHeader(segmentId, salt, isRecycled), ...builder.finish(sequence, seed)];
  let end = 0;
  for (const buffer of buffers) end += buffer.length;

  const fd = await files.open(temporary, isRecycled ? 'update' : 'replace', sync ? 'synced' : undefined);
  let foundBytes = 0;
  try {
    if (isRecycled) foundBytes = await files.sizeBytes(fd);
    const written = await files.writev(fd, buffers, 0);
    if (written !== end) throw new ShortWrite(written, end);
  } catch (error) {
    await discard(files, fd, temporary);
    throw error;
  }
  const segment: ActiveSegment = { segmentId, fd, seed, end, foundBytes, frames: 0, rows: new Map() };
  try {
    await files.rename(temporary, path);
    if (sync) await files.syncDirectory(directory);
  } catch (error) {
    if (isOutOfFiles(error)) throw new NameUnsynced(segment, error);
    await discard(files, fd, temporary);
    // Whether the new name counts is unknown. Even for want of space, the old segment must not be written on.
    throw new Error(`could not name ${path}: ${String(error)}`, { cause: error });
  }
  return segment;
}

/** A spare file that is not there any more is no reason to write nothing. */
async function isRenamed(files: FileOperations, from: string, to: string): Promise<boolean> {
  try {
    await files.rename(from, to);
    return true;
  } catch {
    return false;
  }
}

async function discard(files: FileOperations, fd: number, path: string): Promise<void> {
  await files.close(fd).catch(() => {});
  await files.unlink(path).catch(() => {});
}
