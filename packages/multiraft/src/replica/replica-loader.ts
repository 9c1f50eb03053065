import { SluiceError } from '@sluice/common/errors';
import type { Prng } from '@sluice/common/prng';
import { encodeMembership } from '@sluice/raft/conf-change';
import { EntryKind } from '@sluice/raft/entry';
import type { LogReader } from '@sluice/raft/log-reader';
import { RaftGroup } from '@sluice/raft/raft';
import type { LogWrite } from '@sluice/storage/entry-log-contract';
import type { NodeStorage } from '../disk/node-storage.ts';
import type { GroupListener, GroupMachine } from '../group-machine.ts';
import { ELECTION_TICKS } from '../raft-timing.ts';
import { isAlone, readResidentRows, readStoredGroup, type StoredGroup } from './group-loader.ts';
import { type KeyRange, Replica, type ResidentRow } from './replica.ts';
import { hardStateWith } from './replica-wipe.ts';

/** Of one group; what is proposed beyond it is refused as busy. Above the publish buffer of a gateway. */
const UNCOMMITTED_BYTES_MAX = 128 * 1024 * 1024;
/** Of one group to one follower, so that sixteen groups fill neither this node's memory nor the follower's. */
const INFLIGHT_BYTES_MAX = 8 * 1024 * 1024;
const INFLIGHT_APPENDS_MAX = 64;
const APPEND_BYTES_MAX = 1024 * 1024;

/** A group as a role gives it to the host. */
export interface GroupParts<Machine extends GroupMachine<Reply, Effect>, Reply, Effect> {
  groupId: number;
  /** The first voters, the same on each of them; undefined: this replica waits to be added by the group's leader. */
  bootstrapVoters: readonly number[] | undefined;
  /** Resident rows: ranges of the machine's own keys to hand to `restore`. */
  residentRanges: readonly KeyRange[];
  restore(rows: Iterable<ResidentRow>): Machine;
  listener: GroupListener<Reply, Effect, Machine>;
}

/**
 * Makes a replica out of what this node has of its group: rows, applied index, membership, log and hard state. What does
 * not fit together makes it impaired, with a core that is told nothing and so says nothing; only a node that is alone with
 * the group has nobody to be made anew from, and goes on as far as it can.
 */
export class ReplicaLoader {
  readonly #nodeId: number;
  readonly #prng: Prng;
  readonly #storage: NodeStorage;
  readonly #write: (write: LogWrite) => Promise<void>;

  constructor(options: {
    nodeId: number;
    prng: Prng;
    storage: NodeStorage;
    /** Durable with the next turn. */
    write: (write: LogWrite) => Promise<void>;
  }) {
    this.#nodeId = options.nodeId;
    this.#prng = options.prng;
    this.#storage = options.storage;
    this.#write = options.write;
  }

  async load<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(
    group: GroupParts<Machine, Reply, Effect>,
    damage: Error | undefined,
    followsWiped: boolean,
  ): Promise<{ replica: Replica; machine: Machine; impaired: Error | undefined }> {
    const { groupId, bootstrapVoters, residentRanges } = group;
    let stored = await readStoredGroup(this.#storage, groupId);
    const isNew = stored.blank && stored.promise === undefined && damage === undefined;
    if (isNew && bootstrapVoters !== undefined) {
      await this.#bootstrap(groupId, bootstrapVoters);
      stored = await readStoredGroup(this.#storage, groupId);
    }
    // Rows are written with the applied index: while that is not there, neither are they.
    const hasRows = damage === undefined && stored.applied.index > 0;
    const rows = await readResidentRows(this.#storage, groupId, hasRows ? residentRanges : []);
    const machine = group.restore(rows);
    const impaired = damage ?? this.#damageOf(groupId, stored);
    const replica = new Replica({
      groupId,
      raft: impaired === undefined ? this.#raftOf(groupId, stored, followsWiped) : this.#muteRaft(),
      machine: machine as unknown as GroupMachine<unknown, unknown>,
      restore: group.restore as unknown as Replica['restore'],
      residentRanges,
      listener: group.listener as unknown as Replica['listener'],
      appliedIndex: stored.applied.index,
      appliedTerm: stored.applied.term,
      membership: stored.base.membership,
      membershipIndex: stored.base.index,
    });
    replica.promise = stored.promise;
    return { replica, machine, impaired };
  }

  /** The same entry on every founder, as if it had been committed: nobody has to be asked who may vote on it. */
  #bootstrap(groupId: number, voters: readonly number[]): Promise<void> {
    const data = encodeMembership({
      voters: [...voters].sort((a, b) => a - b),
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
    });
    const entry = { term: 1, index: 1, kind: EntryKind.MEMBERSHIP, data };
    return this.#write({ groupId, hardState: { term: 1, vote: 0, commit: 1 }, entries: [entry] });
  }

  /** Alone, a group goes on to the damage and stops there; among others it must not vote on what it may have forgotten. */
  #damageOf(groupId: number, stored: StoredGroup): Error | undefined {
    if (isAlone(stored, this.#nodeId)) return undefined;
    if (stored.damage !== undefined) return stored.damage;
    const lastIndex = this.#storage.entryLog.groups.get(groupId)?.lastIndex ?? 0;
    if (stored.applied.index <= lastIndex) return undefined;
    return new SluiceError(
      'RAFT_LOG_INCONSISTENT',
      `group ${groupId}: the log ends at index ${lastIndex}, entries up to ${stored.applied.index} were applied`,
      { hint: 'this replica lost a part of its log; it is made anew from its peers' },
    );
  }

  #raftOf(groupId: number, stored: StoredGroup, followsWiped: boolean): RaftGroup {
    const { entryLog } = this.#storage;
    const recovered = entryLog.groups.get(groupId);
    const firstIndex = recovered?.firstIndex ?? 1;
    const reader: LogReader = {
      firstIndex: () => entryLog.firstIndex(groupId),
      lastIndex: () => entryLog.lastIndex(groupId),
      term: (index) => entryLog.term(groupId, index),
      sizeBytes: (index) => entryLog.sizeBytes(groupId, index),
    };
    return new RaftGroup(this.#config(), reader, {
      hardState: hardStateWith(stored.promise, recovered?.hardState),
      membership: stored.base.membership,
      membershipEntries: stored.later,
      snapshot: { index: firstIndex - 1, term: entryLog.term(groupId, firstIndex - 1) ?? 0 },
      appliedIndex: stored.applied.index,
      followsWiped,
    });
  }

  #muteRaft(): RaftGroup {
    const nothing: LogReader = { firstIndex: () => 1, lastIndex: () => 0, term: () => undefined, sizeBytes: () => 0 };
    return new RaftGroup(this.#config(), nothing, {
      hardState: { term: 0, vote: 0, commit: 0 },
      membership: { voters: [], votersOutgoing: [], learners: [], learnersNext: [] },
      snapshot: { index: 0, term: 0 },
      appliedIndex: 0,
    });
  }

  #config(): ConstructorParameters<typeof RaftGroup>[0] {
    return {
      peerId: this.#nodeId,
      prng: this.#prng,
      electionTicks: ELECTION_TICKS,
      appendBytesMax: APPEND_BYTES_MAX,
      inflightAppendsMax: INFLIGHT_APPENDS_MAX,
      inflightBytesMax: INFLIGHT_BYTES_MAX,
      uncommittedBytesMax: UNCOMMITTED_BYTES_MAX,
    };
  }
}
