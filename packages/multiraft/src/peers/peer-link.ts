import type { Clock } from '@sluice/common/clock';
import type { Histogram } from '@sluice/common/metrics';
import type { GroupMessage, RaftFrame } from '@sluice/rpc/contract/raft';
import type { Channel, ChannelService, Transport } from '@sluice/rpc/transport';
import { RoundTrip } from './round-trip.ts';

/**
 * The way from this node to one other: a channel for appends and one for everything small, so that a large append holds
 * no heartbeat back. Both are opened again for as long as the link is kept; what was under way is lost, which Raft expects.
 */
export class PeerLink {
  readonly nodeId: number;
  readonly appends: PeerChannel;
  readonly control: PeerChannel;
  readonly roundTrip: RoundTrip;
  /** Entry bytes that leave at the end of this half of the turn. */
  gatheredBytes = 0;
  /** Set aside for appends whose entries are being read. */
  readingBytes = 0;
  /** When a frame of the peer last arrived here, on its own channels. */
  lastHeardMs: number;
  /** A frame left since the last tick: no beat is needed. */
  beaten = false;
  /** Ticks since anything left; a new link beats with the first. */
  quietTicks = Number.POSITIVE_INFINITY;
  /** The peer is taken for gone: its connection broke, or it fell silent. */
  lost = false;
  lostMs = 0;
  /** Since when it has been in sight without a break; of who was never lost, for ever. */
  inSightSinceMs = Number.NEGATIVE_INFINITY;
  /** Its groups, as of the last tick that looked. */
  wanted = false;

  constructor(
    nodeId: number,
    transport: Transport,
    clock: Clock,
    roundTrips: Histogram,
    onClosed: (link: PeerLink, service: ChannelService, livedMs: number) => void,
  ) {
    this.nodeId = nodeId;
    this.roundTrip = new RoundTrip(roundTrips);
    this.lastHeardMs = clock.monotonicMs();
    const channel = (service: ChannelService): PeerChannel =>
      new PeerChannel(nodeId, service, transport, clock, (livedMs) => onClosed(this, service, livedMs));
    this.appends = channel('raft');
    this.control = channel('raft-control');
  }

  get unsentBytes(): number {
    return this.gatheredBytes + this.readingBytes + this.appends.unsentBytes;
  }

  close(): void {
    this.appends.close();
    this.control.close();
  }
}

export class PeerChannel {
  /** Until a broken channel is opened again; doubled up to the last one while the peer is not heard. */
  static readonly BACKOFF_FIRST_MS = 50;
  static readonly BACKOFF_MAX_MS = 1000;
  /** A channel that lived for this long was no failed attempt. */
  static readonly STEADY_MS = 100;
  /** Twice what a peer may have waiting in appends: they are refused before. */
  static readonly UNSENT_BYTES_MAX = 128 * 1024 * 1024;

  readonly #nodeId: number;
  readonly #service: ChannelService;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #onClosed: (livedMs: number) => void;
  #channel: Channel<RaftFrame, never> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #backoffMs = PeerChannel.BACKOFF_FIRST_MS;
  #closed = false;
  /** When the peer was known to have taken it: before, it is an attempt. */
  #takenMs: number | undefined;
  messages: GroupMessage[] = [];
  quiesced: RaftFrame['quiesced'][number][] = [];

  constructor(
    nodeId: number,
    service: ChannelService,
    transport: Transport,
    clock: Clock,
    onClosed: (livedMs: number) => void,
  ) {
    this.#clock = clock;
    this.#nodeId = nodeId;
    this.#service = service;
    this.#transport = transport;
    this.#onClosed = onClosed;
    this.#open();
  }

  get open(): boolean {
    return this.#channel !== undefined;
  }

  get unsentBytes(): number {
    return this.#channel?.unsentBytes ?? 0;
  }

  /** The peer has just opened its own: it is there again, so this one is mended at once. */
  mend(): void {
    this.#backoffMs = PeerChannel.BACKOFF_FIRST_MS;
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** For how long it has been open, as far as is known; 0 when it is not, or the peer has not taken it yet. */
  openMs(nowMs: number): number {
    if (this.#channel === undefined || this.#channel.isPending === true) return 0;
    this.#takenMs ??= nowMs;
    return nowMs - this.#takenMs;
  }

  /** Sends what was gathered. False: nothing left this node. */
  flush(): boolean {
    const { messages, quiesced } = this;
    this.messages = [];
    this.quiesced = [];
    return this.send({ messages, quiesced });
  }

  /** False when it is closed, or so much waits already that more would only come too late. */
  send(frame: RaftFrame): boolean {
    if (this.#channel === undefined || this.#channel.unsentBytes > PeerChannel.UNSENT_BYTES_MAX) return false;
    this.#channel.send(frame);
    return true;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#channel?.close();
    this.#channel = undefined;
  }

  #open(): void {
    this.#timer = undefined;
    if (this.#closed) return;
    const channel = this.#transport.open<RaftFrame, never>(this.#nodeId, this.#service);
    this.#channel = channel;
    this.#takenMs = channel.isPending === true ? undefined : this.#clock.monotonicMs();
    channel.onClose(() => {
      if (this.#channel !== channel) return;
      this.#channel = undefined;
      if (this.#closed) return;
      const livedMs = this.#takenMs === undefined ? 0 : this.#clock.monotonicMs() - this.#takenMs;
      if (livedMs >= PeerChannel.STEADY_MS) this.#backoffMs = PeerChannel.BACKOFF_FIRST_MS;
      this.#timer = setTimeout(() => this.#open(), this.#backoffMs);
      this.#backoffMs = Math.min(2 * this.#backoffMs, PeerChannel.BACKOFF_MAX_MS);
      this.#onClosed(livedMs);
    });
  }
}
