import { SluiceError } from '@sluice/common/errors';
import { decodeMembership } from '@sluice/raft/conf-change';
import { type Entry, EntryKind, type Membership } from '@sluice/raft/entry';
import { isDamage } from '@sluice/storage/entry-log/log-errors';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import {
  type AppliedRow,
  appliedKey,
  decodeApplied,
  decodeMembershipRow,
  groupRange,
  type MembershipRow,
  machineKey,
  membershipKey,
} from '../disk/keyspace.ts';
import type { NodeStorage } from '../disk/node-storage.ts';
import type { KeyRange, ResidentRow } from './replica.ts';
import { type ReplicaPromise, readPromise } from './replica-wipe.ts';

/** Brings the resident rows of a machine from the engine. Nothing of the group may be written meanwhile. */
export async function readResidentRows(
  storage: NodeStorage,
  groupId: number,
  ranges: readonly KeyRange[],
): Promise<ResidentRow[]> {
  const rows: ResidentRow[] = [];
  const prefix = groupRange(groupId).from;
  for (const range of adjoined(ranges)) {
    const from = Buffer.concat([prefix, range.from]);
    const to = Buffer.concat([prefix, range.to]);
    for await (const chunk of storage.engine.snapshotScan(from, to, 4096)) {
      for (const row of chunk) rows.push({ key: machineKey(row.key), value: row.value });
    }
  }
  return rows;
}

/** Where one ends and another begins they are one: a scan is several trips to another thread, for each group of a start. */
function adjoined(ranges: readonly KeyRange[]): KeyRange[] {
  const joined: KeyRange[] = [];
  for (const range of [...ranges].sort((a, b) => Buffer.compare(a.from, b.from))) {
    const last = joined.at(-1);
    if (last === undefined || Buffer.compare(last.to, range.from) !== 0) joined.push(range);
    else joined[joined.length - 1] = { from: last.from, to: range.to };
  }
  return joined;
}

/** What a replica knows of its group when its node starts. */
export interface StoredGroup {
  applied: AppliedRow;
  /** As of the applied index. */
  base: MembershipRow;
  /** Membership entries after the applied index: in force, not applied. */
  later: Entry[];
  /** Neither log nor hard state: the group has never been here. */
  blank: boolean;
  /** Of a replica that was wiped here before this one. */
  promise: ReplicaPromise | undefined;
  /** What was promised, or an entry after the applied index, cannot be read. */
  damage: Error | undefined;
  /** It, or an entry behind it, says who belongs to the group: `later` does not end with the newest. */
  hidesMembership: boolean;
}

const NOBODY: Membership = { voters: [], votersOutgoing: [], learners: [], learnersNext: [] };
/** Logs of builds without clusters have no membership entry: they are of node 1, alone. */
const FIRST_NODE_ALONE: Membership = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [] };
const READ_BYTES = 4 * 1024 * 1024;

/**
 * The membership as of the applied index is a row of the host, written with the applied index; what came after it stands
 * in the log and holds as well, though it is not applied. So the log's unapplied end is read here, for its few membership
 * entries; applying reads it again from what the operating system has just cached.
 */
export async function readStoredGroup(storage: NodeStorage, groupId: number): Promise<StoredGroup> {
  const { engine, entryLog } = storage;
  const [appliedValue, membershipValue] = await engine.getMany([appliedKey(groupId), membershipKey(groupId)]);
  const applied = appliedValue === undefined ? { index: 0, term: 0 } : decodeApplied(appliedValue);
  const recovered = entryLog.groups.get(groupId);
  const lastIndex = recovered?.lastIndex ?? 0;
  const stored: StoredGroup = {
    applied,
    base: { index: 0, membership: NOBODY },
    later: [],
    blank: lastIndex === 0 && (recovered?.hardState.term ?? 0) === 0,
    promise: undefined,
    damage: undefined,
    hidesMembership: false,
  };
  try {
    stored.promise = await readPromise(storage, groupId);
  } catch (cause) {
    // What an earlier replica here had promised is not known: this one must not vote, and the node must start.
    if (!(cause instanceof SluiceError) || cause.code !== 'NOTE_DAMAGED') throw cause;
    stored.damage = cause;
  }
  const unapplied = await readMemberships(entryLog, groupId, applied.index + 1, lastIndex);
  stored.later = unapplied.later;
  stored.hidesMembership = unapplied.hidesMembership;
  stored.damage ??= unapplied.damage;
  if (membershipValue !== undefined) stored.base = decodeMembershipRow(membershipValue);
  else if (
    applied.index > 0 ||
    (lastIndex > 0 && (await entryLog.kind(groupId, applied.index + 1)) !== EntryKind.MEMBERSHIP)
  ) {
    stored.base = { index: 0, membership: FIRST_NODE_ALONE };
  }
  return stored;
}

/**
 * Up to the first entry that cannot be read. A read that fails may have read those before it: they are read once more, one
 * by one.
 */
async function readMemberships(
  entryLog: EntryLog,
  groupId: number,
  first: number,
  last: number,
): Promise<Pick<StoredGroup, 'later' | 'damage' | 'hidesMembership'>> {
  const later: Entry[] = [];
  let bytesMax = READ_BYTES;
  for (let next = first; next <= last; ) {
    const read = await entryLog.read(groupId, next, last, bytesMax).catch(damageOnly);
    if (Array.isArray(read)) {
      for (const entry of read) if (entry.kind === EntryKind.MEMBERSHIP) later.push(entry);
      next += read.length;
    } else if (bytesMax > 1) bytesMax = 1;
    else return { later, damage: read, hidesMembership: await hasMembership(entryLog, groupId, next, last) };
  }
  return { later, damage: undefined, hidesMembership: false };
}

async function hasMembership(entryLog: EntryLog, groupId: number, first: number, last: number): Promise<boolean> {
  for (let index = first; index <= last; index++) {
    if ((await entryLog.kind(groupId, index)) === EntryKind.MEMBERSHIP) return true;
  }
  return false;
}

function damageOnly(cause: unknown): SluiceError {
  if (isDamage(cause)) return cause;
  throw cause;
}

/**
 * Whether the newest membership names this node and nobody else. With one that cannot be read it does not: a node that began
 * alone, and was joined by two others, would take itself for the whole group beside the majority that they are.
 */
export function isAlone(stored: StoredGroup, nodeId: number): boolean {
  if (stored.hidesMembership) return false;
  const last = stored.later.at(-1);
  const { voters, votersOutgoing } = last === undefined ? stored.base.membership : decodeMembership(last.data);
  return voters.length === 1 && voters[0] === nodeId && votersOutgoing.length === 0;
}
