import { assert } from '@sluice/common/assert';
import type { Entry } from '../../src/entry.ts';
import { EntryKind } from '../../src/entry.ts';
import type { Peer } from './peer.ts';

/**
 * What Raft promises (figure 3.2 of the thesis), checked from the outside after every step of a script or a random run.
 * The oracle is deliberately simple: a list of what was ever committed, and who ever led which term.
 */
interface Seen {
  /** A restarted peer is a new one: its commit index may start lower. */
  incarnation: unknown;
  commit: number;
  term: number;
  /** Which list of strings was compared, how far, and up to which index. */
  machine: readonly string[];
  machineLength: number;
  applied: number;
}

export class Safety {
  readonly #leaders = new Map<number, number>();
  /** By index; whatever any peer ever called committed. */
  readonly #chosen: (Entry | undefined)[] = [];
  readonly #seen = new Map<number, Seen>();

  /** The highest index that anybody ever called committed. */
  get highestCommit(): number {
    return Math.max(0, this.#chosen.length - 1);
  }

  /** `all` are all peers, living or not: what counts is their disks. */
  check(peer: Peer, all: readonly Peer[]): void {
    if (!peer.alive) return;
    let seen = this.#seen.get(peer.id);
    if (seen === undefined || seen.incarnation !== peer.group) {
      seen = { incarnation: peer.group, commit: 0, term: 0, machine: [], machineLength: 0, applied: 0 };
      this.#seen.set(peer.id, seen);
    }
    if (peer.group.role === 'leader' && peer.group.commit > seen.commit) checkDurable(peer, all);
    this.#checkCommitted(peer, seen);
    this.#checkLeader(peer);
    this.#checkMachine(peer, seen);
  }

  /** State machine safety: an index is committed with one entry only, everywhere and for ever; commit never decreases. */
  #checkCommitted(peer: Peer, seen: Seen): void {
    const { commit, term } = peer.group;
    assert(commit >= seen.commit, `commit of ${peer.id} went back from ${seen.commit} to ${commit}`);
    assert(term >= seen.term, `term of ${peer.id} went back from ${seen.term} to ${term}`);
    // While a snapshot is being installed, the disk still holds the log that it replaces.
    const first = commit > seen.commit ? peer.group.status().firstIndex : 0;
    for (let index = Math.max(first, seen.commit + 1); index <= commit; index++) {
      const entry = peer.entry(index);
      if (entry === undefined) continue;
      const chosen = this.#chosen[index];
      if (chosen === undefined) this.#chosen[index] = entry;
      else
        assert(
          same(entry, chosen),
          `index ${index} committed as ${text(chosen)}, at peer ${peer.id} as ${text(entry)}`,
        );
    }
    seen.commit = commit;
    seen.term = term;
  }

  /** Election safety and leader completeness. */
  #checkLeader(peer: Peer): void {
    if (peer.group.role !== 'leader') return;
    const { term } = peer.group;
    const known = this.#leaders.get(term);
    if (known !== undefined) {
      assert(known === peer.id, `term ${term} is led by ${known} and by ${peer.id}`);
      return;
    }
    this.#leaders.set(term, peer.id);
    for (let index = peer.log.firstIndex(); index < this.#chosen.length; index++) {
      const chosen = this.#chosen[index];
      if (chosen === undefined || chosen.term >= term) continue;
      const entry = peer.entry(index);
      const held = entry !== undefined && index <= peer.group.lastIndex && same(entry, chosen);
      assert(held, `leader ${peer.id} of term ${term} lacks committed index ${index}`);
    }
  }

  /** The machine is what the committed entries up to its applied index make of it, also after a snapshot. */
  #checkMachine(peer: Peer, seen: Seen): void {
    if (peer.machine !== seen.machine) {
      seen.machine = peer.machine;
      seen.machineLength = 0;
      seen.applied = 0;
    }
    for (let index = seen.applied + 1; index <= peer.appliedIndex; index++) {
      const chosen = this.#chosen[index];
      assert(chosen !== undefined, `peer ${peer.id} applied index ${index}, which nobody committed`);
      if (chosen.kind !== EntryKind.NORMAL) continue;
      const expected = Buffer.from(chosen.data).toString();
      const found = peer.machine[seen.machineLength++];
      assert(found === expected, `machine of ${peer.id} holds ${found} instead of ${expected}`);
    }
    seen.applied = peer.appliedIndex;
    assert(seen.machineLength === peer.machine.length, `machine of ${peer.id} holds more than was committed`);
  }

  /** Log matching: where two logs agree on a term, they agree on everything before. Looks at what is durable. */
  checkLogs(peers: readonly Peer[]): void {
    for (const a of peers) {
      for (const b of peers) if (a.id < b.id) checkMatching(a, b);
    }
  }
}

/** What a leader commits is on the disks of a majority, of both halves of a joint membership, at that moment. */
function checkDurable(leader: Peer, all: readonly Peer[]): void {
  const index = leader.group.commit;
  const entry = leader.entry(index);
  if (entry === undefined) return;
  const { voters, votersOutgoing } = leader.group.status().membership;
  for (const half of [voters, votersOutgoing]) {
    const holders = half.filter((id) => {
      const peer = all.find((candidate) => candidate.id === id);
      const held = peer?.log.entry(index);
      return peer !== undefined && (index < peer.log.firstIndex() || (held !== undefined && same(held, entry)));
    });
    assert(2 * holders.length > half.length || half.length === 0, `index ${index} is committed on too few disks`);
  }
}

function checkMatching(a: Peer, b: Peer): void {
  const first = Math.max(a.log.firstIndex(), b.log.firstIndex());
  let agreed = false;
  for (let index = Math.min(a.log.lastIndex(), b.log.lastIndex()); index >= first; index--) {
    const left = a.log.entry(index) as Entry;
    const right = b.log.entry(index) as Entry;
    agreed ||= left.term === right.term;
    assert(!agreed || same(left, right), `logs of ${a.id} and ${b.id} differ at ${index}, but agree after it`);
  }
}

function same(a: Entry, b: Entry): boolean {
  return a === b || (a.term === b.term && a.kind === b.kind && Buffer.compare(a.data, b.data) === 0);
}

function text(entry: Entry): string {
  return `${entry.term}:${Buffer.from(entry.data).toString()}`;
}
