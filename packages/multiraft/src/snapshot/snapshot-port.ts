import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Entry, HardState, SnapshotMeta } from '@sluice/raft/entry';
import type { Message } from '@sluice/raft/message';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { Channel, Transport } from '@sluice/rpc/transport';
import type { ApplyLoop } from '../apply/apply-loop.ts';
import type { ImageKeeper } from '../disk/image-keeper.ts';
import type { NodeStorage } from '../disk/node-storage.ts';
import type { Replica } from '../replica/replica.ts';

export type SnapshotMessage = Extract<Message, { type: 'snapshot' }>;

/**
 * What the host asks of whoever moves snapshots. The host's loops know when; this knows how. All of it for groups the
 * host has; none of it may throw synchronously.
 */
export interface SnapshotPort {
  /**
   * The leader's core wants `message.to` to get a snapshot of at least `message.snapshot.index`. Streams it, and ends
   * with `replica.raft.reportSnapshot(message.to, ok)` and `host.wake(replica)`. Called again while one to that peer of
   * that group runs: ignored.
   */
  send(replica: Replica, message: SnapshotMessage): void;
  /**
   * A peer opened a 'raft-snapshot' channel. When all of it is here, durable beside the replica and verified, the
   * `snapshot` message goes to `host.step`, and `install` follows if the core wants it.
   */
  accept(channel: Channel<SnapshotAnswer, SnapshotChunk>, from: number): void;
  /**
   * `Ready.snapshot`: replaces rows and log by what was received. When called, no write of this group is in flight,
   * none is begun until it settles, and nothing of the group is applied after a batch that may be under way
   * (`applyLoop.betweenBatches` waits for that one). Within it: the log restarted after the snapshot's index with
   * `hardState` (that of the same Ready, or the crash in between leaves a log of a term the replica never heard of), the
   * live entries adopted, rows, applied index and membership row in the engine, then `applyLoop.replaceState`. The host
   * then writes the entries that came with the same Ready, and reports `persisted`. A rejection makes the replica impaired.
   */
  install(replica: Replica, snapshot: SnapshotMeta, hardState: HardState | undefined): Promise<void>;
  /** On each tick of the host: what waits too long ends, what waits for a free place or for space goes on. */
  tick(): void;
  /**
   * The log of a group must not be compacted beyond this index: a running or just finished transfer, or a follower that
   * is little behind, needs what follows. Infinite when nobody does.
   */
  logFloor(replica: Replica): number;
  /** The group is about to be wiped, or the node stops: ends what is under way for it (for all, when undefined). */
  abandon(groupId: number | undefined): Promise<void>;
}

/** What the host gives to the one who implements the port. */
export interface SnapshotHost {
  readonly nodeId: number;
  readonly storage: NodeStorage;
  readonly transport: Transport;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly applyLoop: ApplyLoop;
  readonly imageKeeper: ImageKeeper;
  replica(groupId: number): Replica | undefined;
  /** Steps a message into the group's core as if it had come over the network, and wakes the loop. */
  step(replica: Replica, message: Message): void;
  /** After something was done to `replica.raft` directly. */
  wake(replica: Replica): void;
  /** A live entry cannot be read here, so no snapshot of this node's will ever be whole. */
  leaveToOthers(replica: Replica, cause: Error): void;
  /** Live entries of a group in [first, last], ascending, at most `limit`: what a snapshot carries besides the rows. */
  liveEntries(groupId: number, first: number, last: number, limit: number): Promise<{ index: number; bytes: number }[]>;
}

/** Kept by a replica while `install` runs: the rest of the Ready, written after it. */
export interface HeldReady {
  snapshot: SnapshotMeta;
  hardState: HardState | undefined;
  entries: Entry[];
  messagesAfterPersist: Message[];
}
