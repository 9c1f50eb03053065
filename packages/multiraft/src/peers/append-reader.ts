import type { Logger } from '@sluice/common/logger';
import type { Entry } from '@sluice/raft/entry';
import type { Message } from '@sluice/raft/message';
import { isDamage } from '@sluice/storage/entry-log/log-errors';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { Replica } from '../replica/replica.ts';

export type AppendMessage = Extract<Message, { type: 'append' }>;

/**
 * Brings the entries of appends whose follower is too far behind for `replica.recent`. Reading takes a while, and in it
 * this node may stop leading and its log be rewritten: an append of the old term with entries of the new log would be a
 * lie that the follower cannot see. So it leaves only if this node led all the time: a leader's log only grows.
 *
 * An entry that cannot be read is asked for again with every heartbeat's answer, and its follower stands still until
 * somebody else sends it: whoever leads with a damaged entry is told.
 *
 * Appends of one group to one peer stay in their order, others overtake. At most `READS_MAX` reads are under way.
 */
export class AppendReader {
  readonly #entryLog: EntryLog;
  readonly #logger: Logger;
  readonly #onRead: (replica: Replica, message: AppendMessage) => void;
  readonly #onDropped: (replica: Replica, message: AppendMessage) => void;
  readonly #onDamaged: (replica: Replica, cause: Error) => void;
  /** By peer and group; a lane exists while something waits in it. */
  readonly #lanes = new Map<string, Lane>();
  #ready: Lane[] = [];
  #reading = 0;

  static readonly READS_MAX = 4;

  constructor(options: {
    entryLog: EntryLog;
    logger: Logger;
    onRead: (replica: Replica, message: AppendMessage) => void;
    onDropped: (replica: Replica, message: AppendMessage) => void;
    onDamaged: (replica: Replica, cause: Error) => void;
  }) {
    this.#entryLog = options.entryLog;
    this.#logger = options.logger;
    this.#onRead = options.onRead;
    this.#onDropped = options.onDropped;
    this.#onDamaged = options.onDamaged;
  }

  /** Something of that group for that peer waits: later appends belong behind it. */
  isWaiting(peer: number, groupId: number): boolean {
    return this.#lanes.size > 0 && this.#lanes.has(laneName(peer, groupId));
  }

  read(replica: Replica, message: AppendMessage): void {
    const name = laneName(message.to, replica.groupId);
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { name, replica, waiting: [] };
      this.#lanes.set(name, lane);
      this.#ready.push(lane);
    }
    lane.waiting.push(message);
    this.#next();
  }

  #next(): void {
    while (this.#reading < AppendReader.READS_MAX) {
      const lane = this.#ready.shift();
      if (lane === undefined) return;
      this.#reading++;
      void this.#step(lane);
    }
  }

  async #step(lane: Lane): Promise<void> {
    const { replica } = lane;
    const message = lane.waiting.shift() as AppendMessage;
    let isWhole = false;
    try {
      isWhole = isCurrent(replica, message) && (await this.#fill(replica, message));
    } catch (err) {
      this.#logger.warn({ err, group: replica.groupId, peer: message.to }, 'entries for a peer cannot be read');
      if (isDamage(err) && isCurrent(replica, message)) this.#onDamaged(replica, err);
    }
    this.#reading--;
    if (lane.waiting.length > 0) this.#ready.push(lane);
    else this.#lanes.delete(lane.name);
    if (isWhole && isCurrent(replica, message)) this.#onRead(replica, message);
    else this.#onDropped(replica, message);
    this.#next();
  }

  async #fill(replica: Replica, message: AppendMessage): Promise<boolean> {
    const { first, last } = message;
    const entries: Entry[] = [];
    for (let next = first; next <= last; ) {
      const recent = replica.recent.get(next);
      if (recent !== undefined) entries.push(recent);
      else entries.push(...(await this.#entryLog.read(replica.groupId, next, last, Number.MAX_SAFE_INTEGER)));
      const reached = (entries.at(-1)?.index ?? 0) + 1;
      if (reached <= next) return false;
      next = reached;
    }
    message.entries = entries;
    return true;
  }
}

/** The entries of an append that are all in memory; undefined when some are not. */
export function recentEntries(replica: Replica, message: AppendMessage): Entry[] | undefined {
  const entries: Entry[] = [];
  for (let index = message.first; index <= message.last; index++) {
    const entry = replica.recent.get(index);
    if (entry === undefined) return undefined;
    entries.push(entry);
  }
  return entries;
}

function isCurrent(replica: Replica, message: AppendMessage): boolean {
  return !replica.removed && replica.raft.role === 'leader' && replica.raft.term === message.term;
}

function laneName(peer: number, groupId: number): string {
  return `${peer}/${groupId}`;
}

interface Lane {
  name: string;
  replica: Replica;
  waiting: AppendMessage[];
}
