import { join } from 'node:path';
import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { HardState } from '@sluice/raft/entry';
import { readNote, writeNote } from '@sluice/storage/note-file';
import { appliedKey, groupRange, membershipKey } from '../disk/keyspace.ts';
import { noteGroups, notePath } from '../snapshot/snapshot-files.ts';
import type { InstallStorage } from '../snapshot/snapshot-install.ts';

/**
 * Removes a replica from this node: log, hard state, rows, images. What it leaves is a note of what it had promised.
 *
 * Without that, a node that lost a replica and gets it again under the same peer id would be free to vote as if it had
 * never voted and never acknowledged anything: a candidate that missed the removal still counts it, asks while the new
 * replica's log is short, and wins without what was committed. So the new replica begins in the old one's term with the
 * old one's vote, and neither votes nor campaigns until its log is at least as far as the old one was: from then on it
 * refuses whomever the old one would have refused.
 */
export interface ReplicaPromise {
  term: number;
  vote: number;
  /** Where the log ended. */
  lastTerm: number;
  lastIndex: number;
}

const VERSION = 1;

/** Durable when it resolves. Nobody may use the group's log or rows while it runs. */
export async function wipeReplica(storage: InstallStorage, groupId: number): Promise<void> {
  const { entryLog } = storage;
  // A damaged note made the replica impaired; the next one learns its term and log from the leader.
  const before = await readPromise(storage, groupId).catch((cause: unknown) => {
    if (!isDamagedNote(cause)) throw cause;
    return undefined;
  });
  const recovered = entryLog.groups.get(groupId);
  const lastIndex = entryLog.lastIndex(groupId);
  const now: ReplicaPromise = {
    term: recovered?.hardState.term ?? 0,
    vote: recovered?.hardState.vote ?? 0,
    lastTerm: entryLog.term(groupId, lastIndex) ?? 0,
    lastIndex,
  };
  const promise = before === undefined ? now : strongerOf(before, now);
  await notePromise(storage, groupId, promise, true);
  await finishWipe(storage, groupId, promise);
}

/** Of the replica that was here before this one; undefined when there was none. */
export async function readPromise(storage: InstallStorage, groupId: number): Promise<ReplicaPromise | undefined> {
  return (await readNoted(storage, groupId))?.promise;
}

/** At the start, before the groups are looked at. @returns those of which nobody knows what they promised */
export async function finishWipes(storage: InstallStorage): Promise<Map<number, Error>> {
  const { imageDirectory, files } = storage;
  const unknown = new Map<number, Error>();
  for (const groupId of noteGroups(await files.list(imageDirectory), 'promise')) {
    try {
      const noted = await readNoted(storage, groupId);
      if (noted?.wiping === true) await finishWipe(storage, groupId, noted.promise);
    } catch (cause) {
      if (!isDamagedNote(cause)) throw cause;
      unknown.set(groupId, cause as Error);
    }
  }
  return unknown;
}

/** The hard state a replica begins with: its own, or the promised one where that says more. */
export function hardStateWith(promise: ReplicaPromise | undefined, own: HardState | undefined): HardState {
  const { term, vote, commit } = own ?? { term: 0, vote: 0, commit: 0 };
  if (promise === undefined || promise.term < term) return { term, vote, commit };
  return { term: promise.term, vote: promise.term === term && vote !== 0 ? vote : promise.vote, commit };
}

/** Whether a log that ends there keeps what was promised (thesis 3.6.1): it may vote, and campaign. */
export function keepsPromise(promise: ReplicaPromise, lastTerm: number, lastIndex: number): boolean {
  return lastTerm > promise.lastTerm || (lastTerm === promise.lastTerm && lastIndex >= promise.lastIndex);
}

async function finishWipe(storage: InstallStorage, groupId: number, promise: ReplicaPromise): Promise<void> {
  const { entryLog, engine, files, imageDirectory } = storage;
  await entryLog.remove(groupId);
  const range = groupRange(groupId);
  await engine.clearRange(range.from, range.to);
  const forget = [appliedKey(groupId), membershipKey(groupId)].map((key) => ({ key, value: undefined }));
  await engine.write(forget, { sync: true });
  const promiseName = `${groupId}.promise`;
  for (const name of await files.list(imageDirectory)) {
    const ofGroup = name.startsWith(`${groupId}-`) || name.startsWith(`${groupId}.`);
    if (ofGroup && name !== promiseName) await files.unlink(join(imageDirectory, name));
  }
  await files.syncDirectory(imageDirectory);
  await notePromise(storage, groupId, promise, false);
}

function isDamagedNote(cause: unknown): boolean {
  return cause instanceof SluiceError && cause.code === 'NOTE_DAMAGED';
}

function strongerOf(a: ReplicaPromise, b: ReplicaPromise): ReplicaPromise {
  const { term, vote } = hardStateWith(a, { term: b.term, vote: b.vote, commit: 0 });
  const { lastTerm, lastIndex } = keepsPromise(a, b.lastTerm, b.lastIndex) ? b : a;
  return { term, vote, lastTerm, lastIndex };
}

function notePromise(
  { imageDirectory, files }: InstallStorage,
  groupId: number,
  { term, vote, lastTerm, lastIndex }: ReplicaPromise,
  wiping: boolean,
): Promise<void> {
  const body = new ByteWriter(64)
    .u8(VERSION)
    .u8(wiping ? 1 : 0)
    .u53(term)
    .u53(vote)
    .u53(lastTerm)
    .u53(lastIndex);
  return writeNote(notePath(imageDirectory, groupId, 'promise'), body.finish(), files);
}

async function readNoted(
  { imageDirectory, files }: InstallStorage,
  groupId: number,
): Promise<{ wiping: boolean; promise: ReplicaPromise } | undefined> {
  const bytes = await readNote(notePath(imageDirectory, groupId, 'promise'), files);
  if (bytes === undefined) return undefined;
  const input = new ByteReader(bytes);
  input.u8();
  const wiping = input.u8() === 1;
  return {
    wiping,
    promise: { term: input.u53(), vote: input.u53(), lastTerm: input.u53(), lastIndex: input.u53() },
  };
}
