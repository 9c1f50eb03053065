import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { type Counter, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { Entry } from '@sluice/raft/entry';
import type { Message } from '@sluice/raft/message';
import type { QuiesceNotice } from '@sluice/raft/quiesce';
import type { GroupMessage, RaftFrame } from '@sluice/rpc/contract/raft';
import type { Channel, ChannelService, Transport } from '@sluice/rpc/transport';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { TICK_MS } from '../raft-timing.ts';
import type { Replica } from '../replica/replica.ts';
import type { PeerSender } from '../store-loop.ts';
import { type AppendMessage, AppendReader, recentEntries } from './append-reader.ts';
import { PeerChannel, PeerLink } from './peer-link.ts';

/**
 * How the groups of this node reach their other members. A message a group would make sixteen groups cost sixteen times
 * what one does; so everything of a turn for one node leaves as one frame a channel, and the heartbeats of a tick as well.
 *
 * Idle groups send nothing. What is left is one beat a tick and node, an empty frame: it says that the node lives, for all
 * groups. A node that is silent for an election timeout, or whose connection breaks, is `lost`: the host is told once and
 * acts for every group at once. The connection that carries appends is not meant: where much is under way on a bad wire it
 * breaks while beats arrive, and of a node that died both do.
 *
 * Bounds: `UNSENT_BYTES_MAX` of entries a peer, and one that is larger than `ROOM_BYTES`: dropped for its size alone, a committed
 * place of its group could never be passed. Beyond it, as without a connection, appends are dropped and the core is told
 * (`reportUnreachable`), so that it probes when the peer answers again instead of filling a window over and over.
 */
export class PeerLinks implements PeerSender {
  readonly #options: PeerLinksOptions;
  readonly #links = new Map<number, PeerLink>();
  readonly #reader: AppendReader;
  /** The newest channel of each peer to this node. */
  readonly #incoming = new Map<number, Channel<never, RaftFrame>>();
  readonly #counters = new Map<number, PeerCounters>();
  readonly #beats: Counter;
  /** The appends that are being read, and on which link room was set aside for them: their peer may have another by then. */
  readonly #reads = new Map<AppendMessage, PeerLink>();
  /** Links with something gathered. */
  readonly #dirty = new Set<PeerLink>();
  #lastTickMs: number;
  #closed = false;

  /** Three beats in the time after which a node is silent: most of what idle nodes do is to say that they live. */
  static readonly BEAT_TICKS = 3;
  /** For longer nobody is silent whose beats arrive: a tick is for their way. */
  static readonly BEAT_MISSED_TICKS = 4;
  static readonly UNSENT_BYTES_MAX = 64 * 1024 * 1024;
  /** An append goes when so much, or less if it is smaller, may still wait. */
  static readonly ROOM_BYTES = 32 * 1024 * 1024;
  /** Set aside for an append that must be read; the core closes one at this size, a larger entry travels alone. */
  static readonly READ_BYTES = 1024 * 1024;
  /** Of entries in a frame; a larger append has one of its own, or with others it might be more than a peer takes. */
  static readonly FRAME_BYTES_MAX = 4 * 1024 * 1024;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#lastTickMs = options.clock.monotonicMs();
    this.#reader = new AppendReader({
      entryLog: options.entryLog,
      logger: options.logger,
      onRead: (replica, message) => this.#wasRead(replica, message),
      onDropped: (replica, message) => this.#wasDropped(replica, message),
      onDamaged: options.onDamaged,
    });
    this.#beats = options.metrics.counter('sluice_raft_beats_total', 'Empty frames that say that this node lives');
    options.metrics.collect('sluice_raft_unsent_bytes', 'Entry bytes that wait to leave for a peer', 'gauge', () =>
      [...this.#links.values()].map((link) => [{ peer: String(link.nodeId) }, link.unsentBytes]),
    );
  }

  send(replica: Replica, messages: readonly Message[]): void {
    for (const message of messages) {
      const link = this.#link(message.to);
      if (message.type !== 'append') {
        link.control.messages.push({ groupId: replica.groupId, message });
        this.#dirty.add(link);
        continue;
      }
      const entries = this.#reader.isWaiting(message.to, replica.groupId) ? undefined : recentEntries(replica, message);
      let bytes = PeerLinks.READ_BYTES;
      if (entries !== undefined) {
        bytes = 0;
        for (let i = 0; i < entries.length; i++) bytes += (entries[i] as Entry).data.length;
      }
      if (!link.appends.open || link.unsentBytes + Math.min(bytes, PeerLinks.ROOM_BYTES) > PeerLinks.UNSENT_BYTES_MAX) {
        this.#drop(replica, message);
        continue;
      }
      if (entries === undefined) {
        link.readingBytes += bytes;
        this.#reads.set(message, link);
        this.#reader.read(replica, message);
      } else {
        link.gatheredBytes += bytes;
        message.entries = entries;
        link.appends.messages.push({ groupId: replica.groupId, message });
        this.#dirty.add(link);
      }
    }
  }

  flush(): void {
    if (this.#dirty.size === 0) return;
    for (const link of this.#dirty) {
      const counters = this.#countersOf(link.nodeId);
      if (link.appends.messages.length > 0) this.#flushAppends(link, counters);
      if (link.control.messages.length > 0 || link.control.quiesced.length > 0) {
        counters.messages.add(link.control.messages.length);
        if (link.control.flush()) link.beaten = true;
      }
    }
    this.#dirty.clear();
  }

  /** Goes with the tick's frame. */
  sendQuiesced(to: number, groupId: number, notice: QuiesceNotice): void {
    const link = this.#link(to);
    link.control.quiesced.push({ groupId, notice });
    this.#dirty.add(link);
  }

  /** `peers`: all nodes this one shares a group with. One beat each, unless a frame has just left; then who fell silent. */
  tick(peers: ReadonlySet<number>, ticks = 1): void {
    const { clock, silenceMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const paused = nowMs - this.#lastTickMs > silenceMs / 2;
    this.#lastTickMs = nowMs;
    for (const nodeId of peers) this.#link(nodeId);
    for (const link of this.#links.values()) {
      if (!peers.has(link.nodeId)) {
        // Answers to nodes that are no members need a link as well, but not for ever.
        if (link.wanted || nowMs - link.lastHeardMs > 10 * silenceMs) this.#forget(link);
        continue;
      }
      link.wanted = true;
      link.roundTrip.tick(nowMs);
      this.#maybeBeat(link, ticks);
      // It was this process that heard nobody while it did not run.
      if (paused && !link.lost) link.lastHeardMs = nowMs;
      const isSilent = nowMs - link.lastHeardMs > silenceMs;
      if (!link.lost && isSilent) this.#lose(link, 'silent');
      else if (!isSilent) this.#maybeFound(link, link.control.openMs(nowMs));
    }
  }

  #maybeBeat(link: PeerLink, ticks: number): void {
    if (link.beaten) link.quietTicks = 0;
    else if (!this.#dirty.has(link)) {
      link.quietTicks += ticks;
      if (link.quietTicks >= PeerLinks.BEAT_TICKS && link.control.send(BEAT)) {
        this.#beats.add();
        link.quietTicks = 0;
      }
    }
    link.beaten = false;
  }

  /** Nobody who was wanted at the last tick has missed a beat: no silence is to be timed. */
  get hearsAll(): boolean {
    const sinceMs = this.#options.clock.monotonicMs() - PeerLinks.BEAT_MISSED_TICKS * TICK_MS;
    for (const link of this.#links.values()) if (link.wanted && (link.lost || link.lastHeardMs < sinceMs)) return false;
    return true;
  }

  /** A frame of that node arrived. */
  heard(nodeId: number, { messages }: RaftFrame): void {
    const link = this.#links.get(nodeId);
    if (link === undefined) return;
    link.lastHeardMs = this.#options.clock.monotonicMs();
    link.roundTrip.hear(messages, link.lastHeardMs);
  }

  /**
   * That node opened a channel to this one: it has just started, or its connection was mended. When that channel closes
   * and is its newest, the node is gone, or has stopped taking part because its disk failed.
   */
  opened(nodeId: number, channel: Channel<never, RaftFrame>): void {
    this.#incoming.set(nodeId, channel);
    channel.onClose(() => {
      if (this.#incoming.get(nodeId) !== channel) return;
      this.#incoming.delete(nodeId);
      const link = this.#links.get(nodeId);
      if (!this.#closed && link?.lost === false) this.#lose(link, 'left');
    });
    const link = this.#links.get(nodeId);
    link?.appends.mend();
    link?.control.mend();
  }

  peerAlive(nodeId: number): boolean {
    const link = this.#links.get(nodeId);
    if (link === undefined || link.lost) return false;
    return this.#options.clock.monotonicMs() - link.lastHeardMs <= this.#options.silenceMs;
  }

  /** It was lost from sight, whoever else sees it, and is not found yet. */
  hasLost(nodeId: number): boolean {
    return this.#links.get(nodeId)?.lost === true;
  }

  /** For how long it has been in sight; without end when it was never lost, 0 when it is or is not known. */
  inSightMs(nodeId: number): number {
    const link = this.#links.get(nodeId);
    return link === undefined || link.lost ? 0 : this.#options.clock.monotonicMs() - link.inSightSinceMs;
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #link(nodeId: number): PeerLink {
    let link = this.#links.get(nodeId);
    if (link === undefined) {
      const { transport, clock } = this.#options;
      const { roundTrip } = this.#countersOf(nodeId);
      link = new PeerLink(nodeId, transport, clock, roundTrip, (...what) => this.#broke(...what));
      if (this.#closed) link.close();
      else this.#links.set(nodeId, link);
    }
    return link;
  }

  #forget(link: PeerLink): void {
    this.#links.delete(link.nodeId);
    this.#dirty.delete(link);
    link.close();
  }

  #broke(link: PeerLink, service: ChannelService, livedMs: number): void {
    if (this.#closed) return;
    const isControl = service === 'raft-control';
    if (isControl) this.#maybeFound(link, livedMs);
    this.#options.onBroken(link.nodeId);
    if (isControl && !link.lost) this.#lose(link, 'broken');
  }

  /** Only when the way there has held for a moment: a peer that is heard but refuses connections would else be lost anew each time. */
  #maybeFound(link: PeerLink, openMs: number): void {
    if (!link.lost || link.lastHeardMs <= link.lostMs || openMs < PeerChannel.STEADY_MS) return;
    link.lost = false;
    link.inSightSinceMs = this.#options.clock.monotonicMs();
    this.#options.onFound(link.nodeId);
  }

  #lose(link: PeerLink, how: 'silent' | 'broken' | 'left'): void {
    link.lost = true;
    link.lostMs = this.#options.clock.monotonicMs();
    this.#options.logger.info({ peer: link.nodeId, how }, 'a node is lost from sight');
    this.#options.onLost(link.nodeId);
  }

  #wasRead(replica: Replica, message: AppendMessage): void {
    this.#giveRoomBack(message);
    const link = this.#links.get(message.to);
    if (link === undefined) return;
    if (!link.appends.open) {
      this.#drop(replica, message);
      return;
    }
    link.appends.messages.push({ groupId: replica.groupId, message });
    this.#dirty.add(link);
    this.flush();
  }

  #wasDropped(replica: Replica, message: AppendMessage): void {
    this.#giveRoomBack(message);
    this.#drop(replica, message);
  }

  #giveRoomBack(message: AppendMessage): void {
    const link = this.#reads.get(message);
    if (link === undefined) return;
    this.#reads.delete(message);
    link.readingBytes -= PeerLinks.READ_BYTES;
  }

  #flushAppends(link: PeerLink, counters: PeerCounters): void {
    const { messages } = link.appends;
    link.appends.messages = [];
    link.gatheredBytes = 0;
    let from = 0;
    let bytes = 0;
    for (let i = 0; i < messages.length; i++) {
      const { groupId, message } = messages[i] as { groupId: number; message: AppendMessage };
      if (link.roundTrip.wantsOne && message.entries.length > 0) {
        link.roundTrip.follow(groupId, message, this.#options.clock.monotonicMs());
      }
      let size = 0;
      for (const entry of message.entries) size += entry.data.length;
      counters.bytes.add(size);
      if (i > from && bytes + size > PeerLinks.FRAME_BYTES_MAX) {
        this.#sendAppends(link, messages.slice(from, i));
        from = i;
        bytes = 0;
      }
      bytes += size;
    }
    this.#sendAppends(link, from === 0 ? messages : messages.slice(from));
    counters.messages.add(messages.length);
  }

  /** What was read may be larger than what was set aside for it. */
  #sendAppends(link: PeerLink, messages: GroupMessage[]): void {
    if (link.appends.send({ messages, quiesced: [] })) return;
    this.#countersOf(link.nodeId).dropped.add(messages.length);
    this.#options.onBroken(link.nodeId);
  }

  #drop(replica: Replica, message: AppendMessage): void {
    this.#countersOf(message.to).dropped.add();
    replica.raft.reportUnreachable(message.to);
  }

  #countersOf(nodeId: number): PeerCounters {
    let counters = this.#counters.get(nodeId);
    if (counters === undefined) {
      const { metrics } = this.#options;
      const labels = { peer: String(nodeId) };
      counters = {
        messages: metrics.counter('sluice_raft_messages_total', 'Raft messages sent to a peer', labels),
        bytes: metrics.counter('sluice_raft_append_bytes_total', 'Entry bytes sent to a peer', labels),
        dropped: metrics.counter('sluice_raft_dropped_appends_total', 'Appends that could not be sent', labels),
        roundTrip: metrics.histogram(
          'sluice_raft_round_trip_seconds',
          'From an append to a peer until it said that it has it on disk, some of them a second',
          SYNC_SECONDS_BOUNDS,
          labels,
        ),
      };
      this.#counters.set(nodeId, counters);
    }
    return counters;
  }
}

export interface PeerLinksOptions {
  transport: Transport;
  entryLog: EntryLog;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  /** A node that sent nothing for this long is lost. */
  silenceMs: number;
  /** What was under way to that node is lost: a channel there closed, or could not be opened, or takes nothing more. */
  onBroken(nodeId: number): void;
  /** Once, when a node is taken for gone. */
  onLost(nodeId: number): void;
  /** A lost node is heard again. */
  onFound(nodeId: number): void;
  /** An entry that a peer lacks is not what was written. */
  onDamaged: (replica: Replica, cause: Error) => void;
}

interface PeerCounters {
  messages: Counter;
  bytes: Counter;
  dropped: Counter;
  roundTrip: Histogram;
}

const BEAT: RaftFrame = { messages: [], quiesced: [] };
