import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Topology } from '@sluice/meta/topology';
import { EXPIRY_NEVER_S, type ExchangeStep } from '@sluice/queue/session/commands';
import { Cursor } from '@sluice/queue/session/cursor';
import type { SessionMachine } from '@sluice/queue/session/session-machine';
import type { SessionEffect } from '@sluice/queue/session/session-reply';
import type { StreamDelivery, UnsureStream } from '@sluice/rpc/contract/sessions';
import type { Engine } from '@sluice/storage/engine';
import type { Partition } from '../partition/partition.ts';
import type { RecordReader } from '../read/record-reader.ts';
import type { Turnstile } from '../read/turnstile.ts';
import { SettleBacklog } from '../settle/settle-backlog.ts';
import { PartitionWills, type WillsParts } from './partition-wills.ts';
import { PassBatcher } from './pass-batcher.ts';
import { SentRecords } from './sent-records.ts';
import { SessionEndings } from './session-endings.ts';
import { SessionFeed } from './session-feed.ts';
import { SessionRowsReader } from './session-rows-reader.ts';

/**
 * The sessions of one partition on its leader: who is attached and fed, which of the connected ones nobody has spoken for,
 * what is due to expire, and which streams have records that all have passed. Nothing of it is replicated: a new leader
 * hears of the attached from their gateways, and looks through the rows once for the rest.
 *
 * A session whose gateway is gone is disconnected, as of then. A gateway that comes back in time, or that finds this
 * leader later than others, must not find its clients' sessions closed: hence the grace.
 */
export class PartitionSessions {
  readonly rows: SessionRowsReader;
  readonly sent: SentRecords;
  readonly wills: PartitionWills;
  readonly endings: SessionEndings;
  readonly #partition: Partition;
  readonly #parts: SessionsParts;
  readonly #feeds = new Map<string, AttachedFeed>();
  /** Times that any of them was given something. */
  #served = 0;
  readonly #byStream = new Map<number, Set<SessionFeed>>();
  readonly #passes: PassBatcher;
  readonly #backlog: SettleBacklog;
  /** Connected, with nobody attached: closed when the time comes. By client id. */
  readonly #orphans = new Map<string, number>();
  readonly #dirty = new Set<number>();
  #isTrimming = false;
  #trimAtMs = 0;
  /** By the partition's time: when the next session may expire. */
  #expireAtMs = 0;
  #isExpiring = false;

  static readonly ORPHAN_GRACE_MS = 10_000;
  static readonly TRIM_INTERVAL_MS = 1_000;
  /** Of the rows that one command ends, which say how many streams may end with them; one session always fits. */
  static readonly EXPIRED_BYTES_MAX = 16 * 1024;
  /** Asked for at once, of one session. */
  static readonly CURSORS_MAX = 256;
  /** Closed with one tick: a gateway may have had ten thousand, and each is an entry. */
  static readonly ORPHANS_MAX = 256;

  constructor(partition: Partition, parts: SessionsParts) {
    this.#partition = partition;
    this.#parts = parts;
    this.rows = new SessionRowsReader(parts.engine, partition.groupId);
    this.sent = new SentRecords({
      partition,
      rows: this.rows,
      clock: parts.clock,
      unheardMs: PartitionSessions.ORPHAN_GRACE_MS,
      feedsOf: (streamId) => this.#byStream.get(streamId) ?? [],
    });
    this.wills = new PartitionWills(partition, this.rows, { ...parts.wills, clock: parts.clock, logger: parts.logger });
    this.endings = new SessionEndings(partition, parts.expiries, parts.logger, parts.topology);
    this.#backlog = new SettleBacklog({
      propose: (command, proposal) => partition.propose(command, proposal),
      leads: () => partition.leads,
      onCaughtUp: () => this.wakeAll(),
    });
    this.#passes = new PassBatcher((command) => {
      if (partition.leads) this.#backlog.add(command, []);
    });
  }

  get attachedCount(): number {
    return this.#feeds.size;
  }

  get #machine(): SessionMachine {
    return this.#partition.machine.sessions;
  }

  leadershipBegan(): void {
    const dueMs = this.#parts.clock.monotonicMs() + PartitionSessions.ORPHAN_GRACE_MS;
    for (const [clientId] of this.#machine.allConnected()) this.#orphans.set(clientId, dueMs);
    for (const { streamId } of this.#machine.streams()) this.#dirty.add(streamId);
    this.#expireAtMs = 0;
    this.sent.unheard();
    this.wills.leadershipBegan();
    this.endings.wake();
  }

  leadershipEnded(): void {
    for (const { feed } of this.#feeds.values()) feed.close();
    this.#feeds.clear();
    this.#byStream.clear();
    this.#passes.clear();
    this.#backlog.clear();
    this.#orphans.clear();
    this.#dirty.clear();
  }

  /** False: the session is not that gateway's, or is over. The feed begins when its rows were read. */
  async attach(clientId: string, epoch: number, window: number, sink: FeedSink): Promise<boolean> {
    if (this.#machine.connected(clientId)?.epoch !== epoch) return false;
    this.detach(clientId, epoch);
    const partition = this.#partition;
    const feed = new SessionFeed(clientId, epoch, window, {
      groupId: partition.groupId,
      index: partition.index,
      records: this.#parts.records,
      tailOf: (streamId) => partition.queues.queue(streamId)?.tail ?? 0,
      isHeldUp: () => this.#backlog.isBehind || partition.isHeldUp || sink.isHeld(),
      deliver: (_feed, deliveries) => {
        attached.served = ++this.#served;
        sink.deliver(clientId, epoch, deliveries);
      },
      passed: (_feed, streamId, from, to) => this.#passes.add(clientId, epoch, streamId, from, to),
      failed: (_feed, cause) => this.#parts.logger.error({ err: cause, client: clientId }, 'a session cannot be read'),
    });
    this.#orphans.delete(clientId);
    const attached: AttachedFeed = { feed, sink, served: 0, meanwhile: { left: new Set(), joined: new Map() } };
    this.#feeds.set(clientId, attached);
    while (this.#feeds.get(clientId) === attached && !(await this.#tryBegin(clientId, attached)));
    return true;
  }

  /** False: its rows cannot be read, or wait for room on the disk, and that is to be tried again. */
  async #tryBegin(clientId: string, attached: AttachedFeed): Promise<boolean> {
    try {
      // By rows of before it would lack streams, and be brought what it has passed.
      if (!(await this.#partition.written())) return false;
      await this.#begin(clientId, attached);
      return true;
    } catch (cause) {
      this.#parts.logger.error({ err: cause, client: clientId }, 'a session cannot be read');
      await new Promise((resolve) => setTimeout(resolve, SessionFeed.RETRY_MS));
      return false;
    }
  }

  /** Reads what the session subscribes to, and how far it is. */
  async #begin(clientId: string, attached: AttachedFeed): Promise<void> {
    const session = await this.rows.session(clientId);
    const streamIds = (session?.subscriptions ?? []).map(({ streamId }) => streamId).filter((id) => id !== 0);
    const cursors: (Cursor | undefined)[] = [];
    // They are asked for in turns of their own; read from all at once, for they are merged by the log.
    for (let from = 0; from < streamIds.length; from += PartitionSessions.CURSORS_MAX) {
      const some = streamIds.slice(from, from + PartitionSessions.CURSORS_MAX);
      for (const cursor of await this.rows.cursors(clientId, some)) cursors.push(cursor);
    }
    const { feed, meanwhile } = attached;
    if (this.#feeds.get(clientId) !== attached || meanwhile === undefined) return;
    for (const [i, streamId] of streamIds.entries()) {
      const cursor = cursors[i];
      const stream = this.#machine.stream(streamId);
      if (cursor === undefined || stream === undefined || meanwhile.left.has(stream.filter)) continue;
      this.#read(feed, streamId, cursor);
    }
    attached.meanwhile = undefined;
    // Of a stream that it read before, and subscribed to again, the cursor says what waits for it.
    for (const [streamId, tail] of meanwhile.joined) {
      if (this.#machine.stream(streamId) !== undefined) this.#read(feed, streamId, new Cursor(tail));
    }
  }

  /** Its client takes the messages of this stream, too: those from the tail on, as of the entry that was just applied. */
  joined(clientId: string, epoch: number, streamId: number): void {
    const attached = this.#feeds.get(clientId);
    const tail = this.#partition.queues.queue(streamId)?.tail;
    if (attached?.feed.epoch !== epoch || tail === undefined) return;
    const { feed, meanwhile } = attached;
    if (meanwhile === undefined) this.#read(feed, streamId, new Cursor(tail));
    else if (!meanwhile.joined.has(streamId)) meanwhile.joined.set(streamId, tail);
  }

  /** Nothing is kept for it by these filters any more. Streams that ended with that are told by an effect. */
  left(clientId: string, epoch: number, filters: readonly string[]): void {
    const attached = this.#feeds.get(clientId);
    if (attached?.feed.epoch !== epoch || filters.length === 0) return;
    const { feed, meanwhile } = attached;
    const gone = new Set(filters);
    for (const filter of gone) meanwhile?.left.add(filter);
    for (const streamId of [...(meanwhile?.joined.keys() ?? []), ...feed.streamIds]) {
      const filter = this.#machine.stream(streamId)?.filter;
      if (filter === undefined || !gone.has(filter)) continue;
      meanwhile?.joined.delete(streamId);
      feed.remove(streamId);
      this.#byStream.get(streamId)?.delete(feed);
    }
  }

  /**
   * Of which streams, as of the entry that was just applied, it has not passed everything: who had it last may have sent
   * what lies before their tails, and nothing behind.
   */
  unpassed(clientId: string, streamIds: readonly number[]): Promise<UnsureStream[]> {
    const { queues } = this.#partition;
    const tails = streamIds.map((streamId) => ({ streamId, before: queues.queue(streamId)?.tail ?? 0 }));
    return this.#unpassed(clientId, tails);
  }

  async #unpassed(clientId: string, tails: readonly UnsureStream[]): Promise<UnsureStream[]> {
    // Where its cursors wait for room on the disk, it may have been sent any of them: those of before do not say.
    if (!(await this.#partition.written())) return tails.filter(({ before }) => before > 0);
    const streamIds = tails.map(({ streamId }) => streamId);
    const cursors = await this.rows.cursors(clientId, streamIds);
    return tails.filter(({ before }, i) => (cursors[i]?.next ?? before) < before);
  }

  pass(clientId: string, epoch: number, streamId: number, offset: number): void {
    const feed = this.#feeds.get(clientId)?.feed;
    if (feed?.epoch === epoch) feed.pass(streamId, offset);
  }

  /** Some of these steps passed a record, in the log already. */
  received(clientId: string, epoch: number, steps: readonly ExchangeStep[]): void {
    const feed = this.#feeds.get(clientId)?.feed;
    if (feed?.epoch !== epoch) return;
    for (const step of steps) if (step.type === 'receive') feed.received(step.streamId, step.offset);
  }

  /** Whoever goes on speaking for it has attached anew by the time; an end that it was to have may come to nothing. */
  detach(clientId: string, epoch: number): void {
    const feed = this.#feeds.get(clientId)?.feed;
    if (feed?.epoch !== epoch) return;
    this.#feeds.delete(clientId);
    this.#missed(clientId);
    this.sent.left(feed);
    for (const streamId of feed.streamIds) this.#byStream.get(streamId)?.delete(feed);
    feed.close();
  }

  /** The way to their gateway is gone. */
  sinkGone(sink: FeedSink): void {
    this.sent.unheard();
    for (const [clientId, attached] of [...this.#feeds]) {
      if (attached.sink === sink) this.detach(clientId, attached.feed.epoch);
    }
  }

  /** Its gateway is given something again: first those that were given nothing for longest, since it may be for few. */
  sinkFreed(sink: FeedSink): void {
    const waiting = [...this.#feeds.values()].filter((attached) => attached.sink === sink);
    for (const { feed } of waiting.sort((a, b) => a.served - b.served)) feed.wake();
  }

  /** Opened, and not attached yet. */
  opened(clientId: string): void {
    this.#missed(clientId);
  }

  /** Was that of a former connection, the newer one may still have nobody. */
  closed(clientId: string, epoch: number, expiryS: number): void {
    this.detach(clientId, epoch);
    if (this.#machine.connected(clientId) === undefined) this.#orphans.delete(clientId);
    if (expiryS === EXPIRY_NEVER_S) return;
    this.#expireAtMs = Math.min(this.#expireAtMs, this.#partition.queues.nowMs + expiryS * 1000);
  }

  effect(effect: SessionEffect): void {
    if (effect.type === 'stream-removed') this.#streamRemoved(effect.streamId);
    else if (effect.type === 'stream-passed' && this.#partition.leads) this.#dirty.add(effect.streamId);
    else if (effect.type === 'session-ending') this.endings.wake();
    else this.wills.effect(effect);
  }

  #streamRemoved(streamId: number): void {
    for (const feed of this.#byStream.get(streamId) ?? []) feed.remove(streamId);
    this.#byStream.delete(streamId);
  }

  appended(streamId: number): void {
    for (const feed of this.#byStream.get(streamId) ?? []) feed.wake();
  }

  rowsDropped(streamId: number): void {
    for (const feed of this.#byStream.get(streamId) ?? []) feed.dropped(streamId);
  }

  wakeAll(): void {
    for (const { feed } of this.#feeds.values()) feed.wake();
  }

  /** What was passed by now is proposed. */
  flush(): void {
    this.#passes.flush();
  }

  /** Called now and then while the partition is led here. */
  tick(): void {
    if (!this.#partition.leads) return;
    const nowMs = this.#parts.clock.monotonicMs();
    this.#closeOrphans(nowMs);
    this.wills.tick();
    this.endings.wake();
    if (nowMs >= this.#trimAtMs && this.#dirty.size > 0) void this.#trim();
    if (this.#parts.clock.nowMs() >= this.#expireAtMs) void this.#expire();
  }

  #missed(clientId: string): void {
    this.#orphans.set(clientId, this.#parts.clock.monotonicMs() + PartitionSessions.ORPHAN_GRACE_MS);
  }

  #read(feed: SessionFeed, streamId: number, cursor: Cursor): void {
    let readers = this.#byStream.get(streamId);
    if (readers === undefined) {
      readers = new Set();
      this.#byStream.set(streamId, readers);
    }
    readers.add(feed);
    feed.add(streamId, cursor);
  }

  /** Sessions whose gateway has not come back for them, as of now. */
  #closeOrphans(nowMs: number): void {
    let closed = 0;
    let client = '';
    for (const [clientId, dueMs] of this.#orphans) {
      if (nowMs < dueMs) continue;
      this.#orphans.delete(clientId);
      const epoch = this.#machine.connected(clientId)?.epoch;
      if (epoch === undefined) continue;
      client = clientId;
      // Its expiry and the delay of its will begin with this, and are in its rows.
      void this.#partition
        .execute(this.endings.of({ type: 'close-session', clientId, epoch, expiryS: undefined, leavesUnsure: true }))
        .then((reply) => {
          // It came for it while that was on its way into the log.
          const attached = this.#feeds.get(clientId);
          if (reply !== undefined && attached?.feed.epoch === epoch) attached.sink.lost(clientId, epoch);
          this.closed(clientId, epoch, 0);
        });
      if (++closed === PartitionSessions.ORPHANS_MAX) break;
    }
    if (closed === 0) return;
    const fields = { partition: this.#partition.groupId, sessions: closed, client };
    this.#parts.logger.info(fields, 'sessions are disconnected: their gateway is gone');
  }

  /** Of each stream where somebody moved, what all have passed goes. */
  async #trim(): Promise<void> {
    if (this.#isTrimming) return;
    this.#isTrimming = true;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    let trimmed = 0;
    try {
      for (const streamId of dirty) {
        const passed = await this.rows.passedByAll(streamId, () => !this.#partition.leads);
        if (passed === undefined) return;
        if (passed !== Number.POSITIVE_INFINITY) await this.#partition.dropper.pass(streamId, passed);
        trimmed++;
      }
    } catch (cause) {
      if (this.#partition.leads) for (const streamId of dirty.slice(trimmed)) this.#dirty.add(streamId);
      this.#parts.logger.error({ err: cause, partition: this.#partition.groupId }, 'streams cannot be trimmed');
    } finally {
      this.#isTrimming = false;
      this.#trimAtMs = this.#parts.clock.monotonicMs() + PartitionSessions.TRIM_INTERVAL_MS;
    }
  }

  /** Looks through all sessions, and at when to look again. */
  async #expire(): Promise<void> {
    if (this.#isExpiring) return;
    this.#isExpiring = true;
    this.#expireAtMs = Number.POSITIVE_INFINITY;
    try {
      for await (const page of this.rows.sessions()) {
        if (!this.#partition.leads) return;
        const nowMs = this.#parts.clock.nowMs();
        let clientIds: string[] = [];
        let bytes = 0;
        for (const { clientId, session, rowBytes } of page) {
          if (session.gateway !== 0 || session.expiryS === EXPIRY_NEVER_S) continue;
          const endsMs = session.sinceMs + session.expiryS * 1000;
          if (endsMs > nowMs) {
            this.#expireAtMs = Math.min(this.#expireAtMs, endsMs);
            continue;
          }
          if (clientIds.length > 0 && bytes + rowBytes > PartitionSessions.EXPIRED_BYTES_MAX) {
            await this.#end(clientIds);
            clientIds = [];
            bytes = 0;
          }
          clientIds.push(clientId);
          bytes += rowBytes;
        }
        if (clientIds.length > 0) await this.#end(clientIds);
      }
    } catch (cause) {
      this.#expireAtMs = this.#parts.clock.nowMs() + PartitionSessions.ORPHAN_GRACE_MS;
      this.#parts.logger.error({ err: cause, partition: this.#partition.groupId }, 'sessions cannot be looked through');
    } finally {
      this.#isExpiring = false;
    }
  }

  async #end(clientIds: readonly string[]): Promise<void> {
    const expire = this.endings.of({ type: 'expire-sessions', clientIds });
    await this.#parts.expiries.pass(() => this.#partition.execute(expire));
  }
}

export interface SessionsParts {
  engine: Engine;
  records: RecordReader;
  topology: Pick<Topology, 'featureLevel'>;
  clock: Clock;
  logger: Logger;
  wills: Pick<WillsParts, 'gateways' | 'counted'>;
  /**
   * For all partitions of the node, which look at the same moment: what they end, and what they take apart, would be done
   * in one turn otherwise.
   */
  expiries: Turnstile;
}

/** The way to the gateway of attached sessions. */
export interface FeedSink {
  /** Too much is on its way to that gateway: nothing is delivered until `sinkFreed`. */
  isHeld(): boolean;
  deliver(clientId: string, epoch: number, deliveries: readonly StreamDelivery[]): void;
  /** The session is not that gateway's any more. */
  lost(clientId: string, epoch: number): void;
}

interface AttachedFeed {
  feed: SessionFeed;
  sink: FeedSink;
  /** When it was given something last, in the order of that. */
  served: number;
  /** Undefined: its rows were read. */
  meanwhile: Meanwhile | undefined;
}

/** What became of the subscriptions of a session while its rows are read, which may say so or not. */
interface Meanwhile {
  readonly left: Set<string>;
  /** By stream: where it begins for the session, if that did not read it before. */
  readonly joined: Map<number, number>;
}
