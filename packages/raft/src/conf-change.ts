import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { Membership } from './entry.ts';

/**
 * Changing who votes. A membership entry holds the whole resulting membership, not a difference, so that it means the
 * same whatever came before it, and a truncated one is undone by looking at the one before.
 *
 *     stable --(voters stay the same: learners come and go)--> stable
 *     stable --(voters change: `enterChange`)--> joint --(joint entry committed: `leaveJoint`, by itself)--> stable
 *
 * Each arrow is one entry, and the next one is refused until it is committed. Changing one voter without the joint step
 * would also be safe within a term, but not across terms (two leaders, each with a change of its own, may end with
 * majorities that do not meet), so there is one way for everything.
 */
export interface MembershipChange {
  /** Peers that shall vote; only a learner that has caught up may be named. */
  addVoters?: readonly number[];
  /** Peers that shall learn; a voter named here is demoted. */
  addLearners?: readonly number[];
  remove?: readonly number[];
}

const VERSION = 1;

export function isJoint(membership: Membership): boolean {
  return membership.votersOutgoing.length > 0;
}

export function isVoter(membership: Membership, peer: number): boolean {
  return membership.voters.includes(peer) || membership.votersOutgoing.includes(peer);
}

export function copyMembership(membership: Membership): Membership {
  return {
    voters: [...membership.voters],
    votersOutgoing: [...membership.votersOutgoing],
    learners: [...membership.learners],
    learnersNext: [...membership.learnersNext],
  };
}

export function members(membership: Membership): Set<number> {
  return new Set([
    ...membership.voters,
    ...membership.votersOutgoing,
    ...membership.learners,
    ...membership.learnersNext,
  ]);
}

/** The membership that starts `change`, or undefined when it would change nothing, or leave no voter. */
export function enterChange(from: Membership, change: MembershipChange): Membership | undefined {
  const voters = new Set(from.voters);
  const learners = new Set(from.learners);
  for (const peer of change.remove ?? []) {
    voters.delete(peer);
    learners.delete(peer);
  }
  for (const peer of change.addLearners ?? []) {
    voters.delete(peer);
    learners.add(peer);
  }
  for (const peer of change.addVoters ?? []) {
    learners.delete(peer);
    voters.add(peer);
  }
  const peers = [...voters, ...learners];
  if (voters.size === 0 || !peers.every((peer) => Number.isSafeInteger(peer) && peer > 0)) return undefined;
  const votersStay = sameSet(voters, from.voters);
  if (votersStay && sameSet(learners, from.learners)) return undefined;
  if (votersStay)
    return { voters: [...from.voters], votersOutgoing: [], learners: ascending(learners), learnersNext: [] };
  // Who still votes in the old half cannot be a learner yet.
  const learnersNext = ascending(learners).filter((peer) => from.voters.includes(peer));
  return {
    voters: ascending(voters),
    votersOutgoing: [...from.voters],
    learners: ascending(learners).filter((peer) => !from.voters.includes(peer)),
    learnersNext,
  };
}

export function leaveJoint(joint: Membership): Membership {
  return {
    voters: [...joint.voters],
    votersOutgoing: [],
    learners: ascending([...joint.learners, ...joint.learnersNext]),
    learnersNext: [],
  };
}

export function encodeMembership(membership: Membership): Uint8Array {
  const writer = new ByteWriter(64).u8(VERSION);
  for (const peers of [membership.voters, membership.votersOutgoing, membership.learners, membership.learnersNext]) {
    writer.varint(peers.length);
    for (const peer of peers) writer.varint(peer);
  }
  return writer.finish();
}

/** Raises `BYTES_MALFORMED` for anything that `encodeMembership` has not written. */
export function decodeMembership(data: Uint8Array): Membership {
  const reader = new ByteReader(data);
  const version = reader.u8();
  if (version !== VERSION) {
    throw new SluiceError('BYTES_MALFORMED', `membership version ${version}, only ${VERSION} is known`);
  }
  const readPeers = (): number[] => {
    const peers: number[] = [];
    for (let left = reader.varint(); left > 0; left--) peers.push(reader.varint());
    return peers;
  };
  return { voters: readPeers(), votersOutgoing: readPeers(), learners: readPeers(), learnersNext: readPeers() };
}

function ascending(peers: Iterable<number>): number[] {
  return [...peers].sort((a, b) => a - b);
}

function sameSet(a: ReadonlySet<number>, b: readonly number[]): boolean {
  return a.size === b.length && b.every((peer) => a.has(peer));
}
