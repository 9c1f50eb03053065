import { assert } from '@sluice/common/assert';
import { decodeMembership } from '../../src/conf-change.ts';
import type { RaftConfig } from '../../src/config.ts';
import type { Entry, Membership } from '../../src/entry.ts';
import { EntryKind } from '../../src/entry.ts';
import type { Message } from '../../src/message.ts';
import { RaftGroup } from '../../src/raft.ts';
import type { ReadState, Ready } from '../../src/ready.ts';
import { MemoryLog } from './memory-log.ts';

/** A message on its way, with the snapshot's bytes if it needs any. */
export interface Packet {
  message: Message;
  machine: string[];
}

interface PendingWrite {
  ready: Ready;
  machine: string[] | undefined;
  /** Of the incarnation that started it: a crash forgets it. */
  after: Packet[];
}

/** The host loop of one peer, written out: what `README.md` asks of a host, with a machine that is a list of strings. */
export class Peer {
  readonly id: number;
  readonly log: MemoryLog;
  readonly #config: Omit<RaftConfig, 'peerId'>;
  readonly #send: (packet: Packet) => void;
  group: RaftGroup;
  alive = true;
  machine: string[] = [];
  appliedIndex = 0;
  membership: Membership;
  reads: ReadState[] = [];
  /** Every entry handed out for applying, in order; checked against everybody else's. */
  readonly applied: Entry[] = [];
  /** Entries not yet known to be durable: the host's memory, from which appends are filled. */
  #recent = new Map<number, Entry>();
  readonly writes: PendingWrite[] = [];
  #incoming = new Map<number, string[]>();

  constructor(id: number, membership: Membership, config: Omit<RaftConfig, 'peerId'>, send: (packet: Packet) => void) {
    this.id = id;
    this.log = new MemoryLog(membership);
    this.membership = membership;
    this.#config = config;
    this.#send = send;
    this.group = this.#open();
  }

  #open(): RaftGroup {
    const { hardState, snapshot } = this.log.image;
    this.machine = [...this.log.image.machine];
    this.appliedIndex = snapshot.index;
    this.membership = snapshot.membership;
    this.#recent = new Map();
    this.writes.length = 0;
    this.#incoming = new Map();
    return new RaftGroup({ ...this.#config, peerId: this.id }, this.log, {
      hardState: { ...hardState },
      membership: snapshot.membership,
      membershipEntries: this.log.membershipEntriesAfter(snapshot.index),
      snapshot: { index: snapshot.index, term: snapshot.term },
      appliedIndex: snapshot.index,
    });
  }

  crash(): void {
    this.alive = false;
    this.writes.length = 0;
  }
  restart(): void {
    this.alive = true;
    this.group = this.#open();
  }

  /** As the core sees it after a turn: what is under way to the disk hides what is there. */
  entry(index: number): Entry | undefined {
    return this.#recent.get(index) ?? this.log.entry(index);
  }

  receive(packet: Packet): void {
    if (!this.alive) return;
    if (packet.message.type === 'snapshot') this.#incoming.set(packet.message.snapshot.index, packet.machine);
    this.group.step(packet.message);
  }

  /** One turn of the host without the disk: what may leave leaves, the rest waits for `finishWrite`. */
  turn(): void {
    if (!this.alive || !this.group.hasReady()) return;
    const ready = this.group.ready();
    for (const entry of ready.entries) this.#recent.set(entry.index, entry);
    for (const message of ready.messages) this.#send(this.#fill(message));
    this.reads.push(...ready.readStates);
    const after = ready.messagesAfterPersist.map((message) => this.#fill(message));
    const machine = ready.snapshot === undefined ? undefined : this.#incoming.get(ready.snapshot.index);
    assert(ready.snapshot === undefined || machine !== undefined, 'a snapshot to install has been received');
    const writes = ready.hardState !== undefined || ready.entries.length > 0 || ready.snapshot !== undefined;
    assert(writes || after.length === 0, 'what waits for the disk comes with something to write');
    if (writes) this.writes.push({ ready, machine, after });
    this.#apply(ready.committed.first, ready.committed.last);
  }

  /** The oldest write becomes durable. */
  finishWrite(): boolean {
    const write = this.writes.shift();
    if (!this.alive || write === undefined) return false;
    const { hardState, snapshot, entries } = write.ready;
    const meta = snapshot;
    this.log.sync({
      hardState,
      snapshot: meta === undefined ? undefined : { meta, machine: write.machine ?? [] },
      entries,
    });
    if (meta !== undefined) {
      this.machine = [...(write.machine ?? [])];
      this.appliedIndex = meta.index;
      this.membership = meta.membership;
      for (const index of this.#recent.keys()) if (index <= meta.index) this.#recent.delete(index);
    }
    for (const packet of write.after) this.#send(packet);
    const last = entries[entries.length - 1];
    if (last !== undefined) this.group.persisted(last.term, last.index);
    else if (meta !== undefined) this.group.persisted(meta.term, meta.index);
    return true;
  }

  #apply(first: number, last: number): void {
    for (let index = first; index <= last; index++) {
      assert(index === this.appliedIndex + 1, 'entries are applied once and in order');
      const entry = this.log.entry(index);
      assert(entry !== undefined, 'what is applied is durable');
      if (entry.kind === EntryKind.NORMAL) this.machine.push(Buffer.from(entry.data).toString());
      if (entry.kind === EntryKind.MEMBERSHIP) this.membership = decodeMembership(entry.data);
      this.applied.push(entry);
      this.appliedIndex = index;
    }
    if (last >= first) this.group.applied(last);
  }

  #fill(message: Message): Packet {
    if (message.type === 'snapshot') return this.#fillSnapshot(message);
    if (message.type !== 'append') return { message, machine: [] };
    const entries: Entry[] = [];
    for (let index = message.first; index <= message.last; index++) {
      const entry = this.entry(index);
      assert(entry !== undefined, 'what the core sends, the host still has');
      entries.push(entry);
    }
    return { message: { ...message, entries }, machine: [] };
  }

  /** Taken now: the machine may be ahead of what the core named, and then the snapshot says so. */
  #fillSnapshot(message: Extract<Message, { type: 'snapshot' }>): Packet {
    const index = this.appliedIndex;
    const term = this.log.term(index);
    assert(term !== undefined && index >= message.snapshot.index, 'the machine holds at least what the core named');
    const named = message.snapshot;
    const same = JSON.stringify(named.membership) === JSON.stringify(this.membership);
    assert(same || index > named.index, 'the core names the membership of the index it names');
    const snapshot = { index, term, membership: this.membership };
    return { message: { ...message, snapshot }, machine: [...this.machine] };
  }

  /** Drops the log up to the applied index. */
  compact(): void {
    const term = this.log.term(this.appliedIndex);
    assert(term !== undefined, 'what is applied is in the log or is its start');
    this.log.compact({ index: this.appliedIndex, term, membership: this.membership }, this.machine);
  }
}
