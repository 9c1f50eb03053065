import { members } from '@sluice/raft/conf-change';
import type { ApplyLoop } from '../apply/apply-loop.ts';
import type { PeerLinks } from '../peers/peer-links.ts';
import { ELECTION_MS } from '../raft-timing.ts';
import type { Replica } from '../replica/replica.ts';
import type { CommitWatch } from './commit-watch.ts';

/**
 * What a tick is to each group. A group of which this node is the only member is not ticked at all once it leads, and one
 * that sleeps neither; so a node of idle groups does nothing but to say that it lives.
 */
export class GroupTicker {
  readonly #nodeId: number;
  readonly #links: PeerLinks;
  readonly #applyLoop: ApplyLoop;
  readonly #commitWatch: CommitWatch;
  readonly #settle: (replica: Replica) => void;
  readonly #readBarrier: (groupId: number) => Promise<boolean>;
  #lastTickMs: number;

  /** A group whose log did not grow for that long goes to sleep. */
  static readonly QUIESCE_TICKS = 30;
  /** Proposals whose leadership ended wait that long for the next leader's log to tell their fate. */
  static readonly FATE_TICKS = 10;

  constructor(options: {
    nodeId: number;
    links: PeerLinks;
    applyLoop: ApplyLoop;
    commitWatch: CommitWatch;
    nowMs: number;
    settle: (replica: Replica) => void;
    readBarrier: (groupId: number) => Promise<boolean>;
  }) {
    this.#nodeId = options.nodeId;
    this.#links = options.links;
    this.#applyLoop = options.applyLoop;
    this.#commitWatch = options.commitWatch;
    this.#settle = options.settle;
    this.#readBarrier = options.readBarrier;
    this.#lastTickMs = options.nowMs;
  }

  /** From now on time counts. */
  begin(nowMs: number): void {
    this.#lastTickMs = nowMs;
  }

  /** This process did not run for so long that others may have replaced it. */
  isPaused(nowMs: number): boolean {
    return nowMs - this.#lastTickMs > ELECTION_MS;
  }

  /** `ticks` since the last call: one, or more when none was needed. Returns whether a group needs the next one. */
  tick(replicas: Iterable<Replica>, nowMs: number, ticks: number): boolean {
    const paused = this.isPaused(nowMs);
    this.#lastTickMs = nowMs;
    const peers = new Set<number>();
    let awake = false;
    for (const replica of replicas) {
      const alone = replica.isAlone(this.#nodeId);
      // A sole voter has nobody to hear from: it was elected in the first turn and its ticks would only cost.
      if ((alone && replica.raft.role === 'leader') || replica.impaired !== undefined) continue;
      if (!alone) for (const peer of members(replica.raft.membership)) peers.add(peer);
      if (replica.stopped !== undefined && !alone) continue;
      if (paused && replica.leads) replica.unconfirmed = true;
      this.#tickOne(replica);
      awake ||= !replica.raft.quiesced || replica.unconfirmed || replica.pending.size > 0;
    }
    peers.delete(this.#nodeId);
    this.#links.tick(peers, ticks);
    this.#links.flush();
    return awake;
  }

  #tickOne(replica: Replica): void {
    if (replica.unconfirmed) this.#confirm(replica);
    if (replica.raft.role === 'leader') {
      this.#commitWatch.look(replica);
      if (this.#maybeSleep(replica)) return;
    } else {
      this.#waitForFate(replica);
      if (replica.raft.quiesced || !replica.mayVote()) return;
    }
    replica.raft.tick();
    this.#settle(replica);
  }

  /** Whoever led before a pause may not lead any more, and must not act as if. */
  #confirm(replica: Replica): void {
    if (replica.confirming || !replica.leads) return;
    replica.confirming = true;
    void this.#readBarrier(replica.groupId).then((led) => {
      replica.confirming = false;
      if (led) replica.unconfirmed = false;
    });
  }

  /** What was proposed under a leadership that ended is answered when the log tells, or after a while without. */
  #waitForFate(replica: Replica): void {
    if (replica.pending.size === 0) replica.fateTicks = 0;
    else if (++replica.fateTicks > GroupTicker.FATE_TICKS) this.#applyLoop.giveUp(replica, 'unknown');
  }

  /** True while it sleeps. Asked before its tick, which would make it busy. */
  #maybeSleep(replica: Replica): boolean {
    const { raft, groupId } = replica;
    if (raft.quiesced) return true;
    if (raft.lastIndex !== replica.idleIndex) replica.idleTicks = 0;
    replica.idleIndex = raft.lastIndex;
    if (++replica.idleTicks < GroupTicker.QUIESCE_TICKS) return false;
    const peers = [...members(raft.membership)].filter((peer) => peer !== this.#nodeId);
    if (!peers.every((peer) => this.#links.peerAlive(peer))) return false;
    const notice = raft.quiesce();
    if (notice === undefined) return false;
    replica.idleTicks = 0;
    for (const peer of peers) this.#links.sendQuiesced(peer, groupId, notice);
    return true;
  }
}
