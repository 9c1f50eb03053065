import { Inflights } from './inflights.ts';

/**
 * Progress is the leader's view of one follower. Invariant: match < next; the entries between are in flight.
 *
 * | state     | sends                                    | leaves it when                                               |
 * |-----------|------------------------------------------|--------------------------------------------------------------|
 * | probe     | one append, then waits for an answer     | an append is accepted -> replicate; log compacted -> snapshot |
 * | replicate | a window of appends without waiting      | a rejection or an unreachable peer -> probe                  |
 * | snapshot  | nothing                                  | the follower matches the log again, or a report -> probe     |
 *
 * Probe exists because the match point is unknown: a window of appends would be rejected as a whole. A lost append is
 * found by the empty append that follows the next heartbeat response and returns us to probe; a lost heartbeat changes
 * nothing. Answers may repeat or come late, so `match` only ever grows.
 *
 * It covers one stint of the follower in the group. Removed and added again in the same term, the follower has wiped what it
 * acknowledged before, so an answer counts only in the stint whose number it repeats.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export class Progress {
  /** Unlike that of every other progress of the same leader in the same term. */
  readonly stint: number;
  match = 0;
  next: number;
  state: ProgressState = 'probe';
  /** In `probe`: the one append is under way. */
  probeSent = false;
  /** A heartbeat was answered while entries were outstanding: send an append even if it is empty, to find losses. */
  poked = false;
  /** Index of the snapshot under way, in state `snapshot`. */
  pendingSnapshot = 0;
  /** Heard from since the last quorum check. */
  recentlyActive = false;
  /** Heard from at all: who begins is taken for active until it is asked for. */
  answered = false;
  /** Newest round of reads this peer has confirmed. */
  readRound = 0;
  readonly inflights: Inflights;

  constructor(stint: number, next: number, limits: { inflightAppendsMax: number; inflightBytesMax: number }) {
    this.stint = stint;
    this.next = next;
    this.inflights = new Inflights(limits.inflightAppendsMax, limits.inflightBytesMax);
  }

  paused(): boolean {
    switch (this.state) {
      case 'probe':
        return this.probeSent;
      case 'replicate':
        return this.inflights.full();
      case 'snapshot':
        return true;
    }
  }

  /** After a snapshot the follower has at least what the snapshot holds. */
  becomeProbe(): void {
    this.next = this.state === 'snapshot' ? Math.max(this.match, this.pendingSnapshot) + 1 : this.match + 1;
    this.#enter('probe');
  }

  becomeReplicate(): void {
    this.next = this.match + 1;
    this.#enter('replicate');
  }

  becomeSnapshot(index: number): void {
    this.#enter('snapshot');
    this.pendingSnapshot = index;
  }

  snapshotFailed(): void {
    this.pendingSnapshot = 0;
    this.becomeProbe();
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.probeSent = false;
    this.poked = false;
    this.pendingSnapshot = 0;
    this.inflights.clear();
  }

  sentAppend(prevIndex: number, count: number, sizeBytes = 0): void {
    this.poked = false;
    if (this.state === 'replicate') {
      if (count === 0) return;
      this.next = prevIndex + count + 1;
      this.inflights.add(prevIndex + count, sizeBytes);
    } else {
      this.probeSent = true;
    }
  }

  /** True when the answer tells something new. */
  accepted(index: number): boolean {
    const grows = index > this.match;
    if (grows) {
      this.match = index;
      this.probeSent = false;
    }
    if (this.next <= index) this.next = index + 1;
    return grows;
  }

  /** False for a rejection that is stale: it must not drag a follower back that has moved on. */
  rejected(prevIndex: number, probeIndex: number): boolean {
    if (this.state === 'replicate') {
      if (prevIndex <= this.match) return false;
      this.next = this.match + 1;
      return true;
    }
    if (this.next - 1 !== prevIndex) return false;
    this.next = Math.max(Math.min(prevIndex, probeIndex + 1), this.match + 1);
    this.probeSent = false;
    return true;
  }
}
