import { join } from 'node:path';
import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { decodeMembership, encodeMembership } from '@sluice/raft/conf-change';
import type { Entry, HardState, Membership } from '@sluice/raft/entry';
import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { readSpool } from '@sluice/storage/entry-spool';
import { errorCode, type FileOperations } from '@sluice/storage/files/file-operations';
import { imageFileName, listImages, readImage } from '@sluice/storage/image-file';
import { readNote, removeNote, writeNote } from '@sluice/storage/note-file';
import {
  appliedKey,
  encodeApplied,
  encodeMembershipRow,
  groupKey,
  groupRange,
  membershipKey,
} from '../disk/keyspace.ts';
import { whenRoom } from '../disk/when-room.ts';
import { noteGroups, notePath } from './snapshot-files.ts';

/**
 * Puts a received snapshot in the place of a replica's log and rows. No write covers both, nor a million rows at once, so
 * a note says durably what is being done before anything is touched; a start that finds the note does all of it again.
 * Every step may be done twice, and each leaves alone what a later life of the replica has added. So a replica is as it
 * was before, or as the snapshot says; what cannot be carried out to its end (a file of it is damaged) leaves the note,
 * and the replica impaired.
 *
 *     crash ...                          | next start
 *     before the note                    | as before; the files are leftovers and go
 *     from the note until it is gone     | the installation is done again
 *     after the note is gone             | as the snapshot says; nobody was told before that
 */
export interface Installation {
  groupId: number;
  index: number;
  term: number;
  membership: Membership;
  /** The term must not fall behind that of the log, which the log's own restart takes over in one frame. */
  hardState: HardState;
  /** Names in the directory of images. */
  incoming: string;
  spool: string;
}

/** What of a node's storage an installation touches. */
export interface InstallStorage {
  readonly imageDirectory: string;
  readonly files: FileOperations;
  readonly engine: Engine;
  readonly entryLog: EntryLog;
}

/** Bytes of live entries written by one synced frame: appends of other groups go in between. */
const ADOPT_BYTES = 4 * 1024 * 1024;

const VERSION = 1;

/** From here on there is no way back: the installation is carried out, now or at the next start. */
export function noteInstallation(storage: InstallStorage, installation: Installation): Promise<void> {
  const path = notePath(storage.imageDirectory, installation.groupId, 'installing');
  return writeNote(path, encodeInstallation(installation), storage.files);
}

/** `waitForSpace` is asked when the disk is full, or no descriptor is free; without it, that is an error. */
export async function carryOut(
  storage: InstallStorage,
  installation: Installation,
  waitForSpace?: (cause: unknown) => Promise<void>,
): Promise<void> {
  const { entryLog, files, imageDirectory } = storage;
  const { groupId, index, term, hardState, incoming, spool } = installation;
  const patiently = (step: () => Promise<void>): Promise<void> =>
    waitForSpace === undefined ? step() : whenRoom(step, waitForSpace);
  await patiently(() => entryLog.restart(groupId, index, term, hardState));
  const image = join(imageDirectory, imageFileName(groupId, index));
  const names = await files.list(imageDirectory);
  const renamed = !names.includes(incoming) && names.includes(imageFileName(groupId, index));
  // Rows before the entries they name: who gives space back asks the rows whether an entry is alive.
  await loadRows(storage, installation, renamed ? image : join(imageDirectory, incoming), patiently);
  for await (const entries of inFrames(readSpool(join(imageDirectory, spool), files))) {
    await patiently(() => entryLog.adopt(groupId, entries));
  }
  if (!renamed) await files.rename(join(imageDirectory, incoming), image);
  await files.syncDirectory(imageDirectory);
  await removeNote(notePath(imageDirectory, groupId, 'installing'), files);
  await dropOtherImages(storage, groupId, index);
  // Last: nothing that may have to be done again comes behind it, and all of that reads it.
  await files.unlink(join(imageDirectory, spool));
}

async function loadRows(
  { engine, files }: InstallStorage,
  { groupId, index, term, membership }: Installation,
  path: string,
  patiently: (step: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const image = await readImage(path, files);
  const { header } = image;
  if (header.groupId !== groupId || header.index !== index || header.term !== term) {
    throw new SluiceError('IMAGE_DAMAGED', `${path} is not the image of group ${groupId} at index ${index}`);
  }
  const range = groupRange(groupId);
  // First of all: rows of two states must not pass for one.
  const forget = [appliedKey(groupId), membershipKey(groupId)].map((key) => ({ key, value: undefined }));
  await patiently(() => engine.write(forget, { sync: false }));
  await patiently(() => engine.clearRange(range.from, range.to));
  for await (const chunk of image.chunks) {
    const writes: KeyValueWrite[] = chunk.map(({ key, value }) => ({ key: groupKey(groupId, key), value }));
    await patiently(() => engine.write(writes, { sync: false }));
  }
  const known = [
    { key: appliedKey(groupId), value: encodeApplied({ index, term }) },
    { key: membershipKey(groupId), value: encodeMembershipRow({ index, membership }) },
  ];
  await patiently(() => engine.write(known, { sync: true }));
}

async function* inFrames(blocks: AsyncIterable<Entry[]>): AsyncGenerator<Entry[]> {
  let frame: Entry[] = [];
  let bytes = 0;
  for await (const block of blocks) {
    let blockBytes = 0;
    for (const { data } of block) blockBytes += data.length;
    if (frame.length > 0 && bytes + blockBytes > ADOPT_BYTES) {
      yield frame;
      frame = [];
      bytes = 0;
    }
    frame = frame.length === 0 ? block : frame.concat(block);
    bytes += blockBytes;
  }
  if (frame.length > 0) yield frame;
}

/** Newer ones too: the log that they were of is gone. */
async function dropOtherImages(
  { imageDirectory, files }: InstallStorage,
  groupId: number,
  index: number,
): Promise<void> {
  const { images } = await listImages(imageDirectory, files, groupId);
  for (const { header, path } of images) {
    if (header.index !== index) await files.unlink(path);
  }
}

/** At the start, before anything of these groups is believed. @returns those that cannot be carried out, and why */
export async function finishInstallations(storage: InstallStorage, logger: Logger): Promise<Map<number, Error>> {
  const { imageDirectory, files } = storage;
  const impaired = new Map<number, Error>();
  for (const group of noteGroups(await files.list(imageDirectory), 'installing')) {
    try {
      const note = await readNote(notePath(imageDirectory, group, 'installing'), files);
      if (note === undefined) continue;
      await carryOut(storage, decodeInstallation(note));
      logger.info({ group }, 'the installation of a snapshot was interrupted, and is complete now');
    } catch (cause) {
      if (!isDamage(cause)) throw cause;
      impaired.set(group, cause as Error);
      logger.error(
        { err: cause, group },
        'the installation of a snapshot cannot be completed: the replica is impaired',
      );
    }
  }
  return impaired;
}

const DAMAGE_CODES: ReadonlySet<string> = new Set([
  'IMAGE_DAMAGED',
  'SPOOL_DAMAGED',
  'NOTE_DAMAGED',
  'BYTES_MALFORMED',
]);

function isDamage(cause: unknown): boolean {
  if (cause instanceof SluiceError) return DAMAGE_CODES.has(cause.code);
  return errorCode(cause) === 'ENOENT';
}

function encodeInstallation(installation: Installation): Uint8Array {
  const { groupId, index, term, membership, hardState, incoming, spool } = installation;
  const out = new ByteWriter(256).u8(VERSION).u32(groupId).u53(index).u53(term).sized(encodeMembership(membership));
  out.u53(hardState.term).u53(hardState.vote).u53(hardState.commit);
  return out.text(incoming).text(spool).finish();
}

function decodeInstallation(bytes: Uint8Array): Installation {
  const input = new ByteReader(bytes);
  input.u8();
  return {
    groupId: input.u32(),
    index: input.u53(),
    term: input.u53(),
    membership: decodeMembership(input.sized()),
    hardState: { term: input.u53(), vote: input.u53(), commit: input.u53() },
    incoming: input.text(),
    spool: input.text(),
  };
}
