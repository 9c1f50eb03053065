import { SluiceError } from '@sluice/common/errors';
import type { ApplyLoop } from '../apply/apply-loop.ts';
import type { ImageKeeper } from '../disk/image-keeper.ts';
import type { NodeStorage } from '../disk/node-storage.ts';
import { byTheTick, whenRoom } from '../disk/when-room.ts';
import type { GroupMachine } from '../group-machine.ts';
import { TICK_MS } from '../raft-timing.ts';
import type { ImpairedNotes } from '../replica/impaired-notes.ts';
import type { Replica } from '../replica/replica.ts';
import type { GroupParts, ReplicaLoader } from '../replica/replica-loader.ts';
import { wipeReplica } from '../replica/replica-wipe.ts';
import type { SnapshotPort } from '../snapshot/snapshot-port.ts';
import type { StoreLoop } from '../store-loop.ts';
import { GroupChanges } from './group-changes.ts';
import type { GroupDriver } from './group-driver.ts';

/**
 * Which groups this node has a replica of. They come and go while all others work.
 *
 * Who takes one off by wiping what it has on disk is too early: a turn, a batch, an image and a note of this replica may
 * be on their way there, and what they write behind the wipe is what the next replica of the group finds, as if it were
 * its own. So a replica leaves the table first, where nothing new is done to it, then what is under way is waited for,
 * and what is wiped stays wiped.
 */
export class GroupRoster {
  readonly #nodeId: number;
  readonly #storage: NodeStorage;
  readonly #replicas: Map<number, Replica>;
  readonly #loader: ReplicaLoader;
  readonly #driver: GroupDriver;
  readonly #storeLoop: StoreLoop;
  readonly #applyLoop: ApplyLoop;
  readonly #imageKeeper: ImageKeeper;
  readonly #impairedNotes: ImpairedNotes;
  readonly #snapshots: SnapshotPort;
  readonly #ends: () => boolean;
  readonly #changes = new GroupChanges();
  /** Groups that had a replica here in the life of this process: connections, and what is under way on them, are as old. */
  readonly #wiped = new Set<number>();
  #started = false;

  constructor(options: {
    nodeId: number;
    storage: NodeStorage;
    /** The host's table, which only changes here. */
    replicas: Map<number, Replica>;
    loader: ReplicaLoader;
    driver: GroupDriver;
    storeLoop: StoreLoop;
    applyLoop: ApplyLoop;
    imageKeeper: ImageKeeper;
    impairedNotes: ImpairedNotes;
    snapshots: SnapshotPort;
    /** No space is waited for any more. */
    ends: () => boolean;
  }) {
    this.#nodeId = options.nodeId;
    this.#storage = options.storage;
    this.#replicas = options.replicas;
    this.#loader = options.loader;
    this.#driver = options.driver;
    this.#storeLoop = options.storeLoop;
    this.#applyLoop = options.applyLoop;
    this.#imageKeeper = options.imageKeeper;
    this.#impairedNotes = options.impairedNotes;
    this.#snapshots = options.snapshots;
    this.#ends = options.ends;
  }

  /** A group whose only voter is this node leads at once, in the first turn. */
  start(): void {
    this.#started = true;
    for (const replica of this.#replicas.values()) this.#begin(replica);
  }

  /** With its state as of the last applied batch. Refused while the group is being added or removed. */
  add<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(
    group: GroupParts<Machine, Reply, Effect>,
  ): Promise<Machine> {
    return this.#changes.alone(group.groupId, () => this.#add(group));
  }

  /** Log, rows and images are gone when it resolves. Refused as `add` is. */
  remove(groupId: number): Promise<void> {
    return this.#changes.alone(groupId, () => this.#remove(groupId));
  }

  async #add<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(
    group: GroupParts<Machine, Reply, Effect>,
  ): Promise<Machine> {
    const { groupId } = group;
    if (this.#replicas.has(groupId)) throw new SluiceError('GROUP_INVALID', `group ${groupId} is here already`);
    // Before the start nobody ticks, and a group's first entry may have to wait for space on the disk.
    const retry = setInterval(() => this.#storeLoop.retry(), TICK_MS);
    const load = this.#loader.load(group, this.#impairedNotes.found.get(groupId), this.#wiped.has(groupId));
    const { replica, machine, impaired } = await load.finally(() => clearInterval(retry));
    this.#replicas.set(groupId, replica);
    if (impaired !== undefined) this.#driver.impair(replica, impaired);
    else if (this.#started) this.#begin(replica);
    return machine;
  }

  async #remove(groupId: number): Promise<void> {
    const replica = this.#replicas.get(groupId);
    if (replica !== undefined) {
      replica.removed = true;
      this.#replicas.delete(groupId);
      this.#applyLoop.end(replica);
      replica.recent.clear();
    }
    await this.#snapshots.abandon(groupId);
    // Neither a turn nor a batch that still knows it is under way after these.
    await this.#storeLoop.nextTurn();
    await this.#applyLoop.betweenBatches(() => {});
    await this.#imageKeeper.settled();
    await this.#impairedNotes.settled();
    await whenRoom(() => wipeReplica(this.#storage, groupId), byTheTick(this.#ends));
    this.#wiped.add(groupId);
    this.#impairedNotes.found.delete(groupId);
    this.#applyLoop.forgetGroup(groupId);
  }

  #begin(replica: Replica): void {
    if (replica.impaired !== undefined) return;
    if (replica.isAlone(this.#nodeId)) replica.raft.campaign();
    else replica.raft.hurry();
    this.#storeLoop.wake(replica);
  }
}
