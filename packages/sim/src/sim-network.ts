import { SluiceError } from '@sluice/common/errors';
import type { CallService, Channel, ChannelService, ServiceRegistry, Transport } from '@sluice/rpc/transport';
import { type Direction, SimWire, type Wire } from './sim-wire.ts';
import type { Life, SimWorld } from './sim-world.ts';

/**
 * The wires between nodes, with what TCP promises and no more: a channel is ordered and loses nothing until it breaks.
 * A cut (in one direction or both) holds bytes back; when it ends in time they arrive, late; when it lasts longer than
 * the keepalive, each end breaks the channel for itself and what was under way is lost. A process that dies resets its
 * channels at once; a machine that dies says nothing. A stopped process answers no keepalive.
 */
export class SimNetwork {
  readonly world: SimWorld;
  readonly knobs: NetworkKnobs;
  readonly #wire: Wire;
  readonly #hosts = new Map<number, SimHost>();
  /** `from * 65536 + to`: when the cut began. */
  readonly #cuts = new Map<number, number>();
  readonly #slowMs = new Map<number, number>();
  readonly channels = new Set<SimChannel>();
  #keepaliveDue = false;
  messages = 0;
  /** While a message is handed over: when it was sent, and by whom. */
  readonly arriving = { sentAtMs: 0, sender: undefined as Life | undefined };

  constructor(world: SimWorld, knobs: NetworkKnobs, wire: Wire = new SimWire()) {
    this.world = world;
    this.knobs = knobs;
    this.#wire = wire;
  }

  /** As it arrives. What cannot be said on the wire is a finding, and never part of a fault. */
  carry(
    service: ChannelService | CallService,
    direction: Direction,
    message: unknown,
  ): { message: unknown; bytes: number } {
    try {
      return this.#wire.carry(service, direction, message);
    } catch (cause) {
      this.world.fail(cause);
      throw cause;
    }
  }

  /** The node's process begins; its former one is gone. */
  join(nodeId: number, life: Life): SimHost {
    const host = new SimHost(this, nodeId, life);
    this.#hosts.set(nodeId, host);
    life.onEnd(() => {
      if (this.#hosts.get(nodeId) === host) this.#hosts.delete(nodeId);
    });
    return host;
  }

  host(nodeId: number): SimHost | undefined {
    return this.#hosts.get(nodeId);
  }

  /** The process died: the system tells its peers, as far as they can be reached. */
  resetChannelsOf(life: Life): void {
    for (const channel of [...this.channels]) {
      if (channel.life !== life) continue;
      this.channels.delete(channel);
      channel.peer?.breakAfter(this.latencyMs(channel.nodeId, channel.peer.nodeId), 'reset');
    }
  }

  /** The machine died: its peers learn it by their keepalive, or when it is back and knows nothing of their channels. */
  forgetChannelsOf(life: Life): void {
    for (const channel of [...this.channels]) {
      if (channel.life !== life) continue;
      this.channels.delete(channel);
      channel.peer?.breakAfter(this.knobs.keepaliveMs, 'silence');
    }
  }

  cut(from: number, to: number): void {
    if (this.#cuts.has(pair(from, to))) return;
    this.#cuts.set(pair(from, to), this.world.nowMs);
    this.#watch();
  }

  mend(from: number, to: number): void {
    if (!this.#cuts.delete(pair(from, to))) return;
    for (const channel of [...this.channels]) {
      if (channel.nodeId === from && channel.peerId === to) channel.flush();
    }
  }

  mendAll(): void {
    for (const key of [...this.#cuts.keys()]) this.mend(Math.floor(key / 65536), key % 65536);
    this.#slowMs.clear();
  }

  isCut(from: number, to: number): boolean {
    return this.#cuts.has(pair(from, to));
  }

  /** A process has a channel to a node, and that node still has its end of it. */
  areJoined(life: Life, nodeId: number, service: ChannelService): boolean {
    for (const channel of this.channels) {
      if (channel.life !== life || channel.peerId !== nodeId || channel.service !== service) continue;
      if (channel.peer !== undefined && this.channels.has(channel.peer)) return true;
    }
    return false;
  }

  slow(from: number, to: number, moreMs: number): void {
    this.#slowMs.set(pair(from, to), moreMs);
  }

  latencyMs(from: number, to: number): number {
    if (from === to) return 0;
    const { latencyMsMin, latencyMsMax } = this.knobs;
    const drawn = latencyMsMin + (this.world.prng.below(1024) / 1024) * (latencyMsMax - latencyMsMin);
    return drawn + (this.#slowMs.get(pair(from, to)) ?? 0);
  }

  /** A stopped process answers no keepalive either. */
  paused(): void {
    this.#watch();
  }

  /** Looks now and then, while anything is obstructed, whether a channel has been dead for too long. */
  #watch(): void {
    if (this.#keepaliveDue) return;
    this.#keepaliveDue = true;
    this.world.after(this.knobs.keepaliveMs / 4, this.world.outside, () => {
      this.#keepaliveDue = false;
      let obstructed = this.#cuts.size > 0;
      for (const channel of [...this.channels]) {
        const { peer } = channel;
        if (peer === undefined) continue;
        const silent = this.isCut(channel.nodeId, channel.peerId) || this.isCut(channel.peerId, channel.nodeId);
        const stopped = peer.life.paused;
        if (!silent && !stopped) {
          channel.silentSinceMs = undefined;
          continue;
        }
        obstructed = true;
        channel.silentSinceMs ??= this.world.nowMs;
        if (this.world.nowMs - channel.silentSinceMs >= this.knobs.keepaliveMs) channel.expire();
      }
      if (obstructed) this.#watch();
    });
  }
}

export interface NetworkKnobs {
  latencyMsMin: number;
  latencyMsMax: number;
  keepaliveMs: number;
  callTimeoutMs: number;
}

function pair(from: number, to: number): number {
  return from * 65536 + to;
}

/** One process's end of the network: what it serves and how it reaches others. */
export class SimHost implements Transport, ServiceRegistry {
  readonly network: SimNetwork;
  readonly nodeId: number;
  readonly life: Life;
  readonly #channelServices = new Map<ChannelService, (channel: SimChannel, from: number) => void>();
  readonly #callServices = new Map<CallService, (request: unknown, from: number) => Promise<unknown>>();

  constructor(network: SimNetwork, nodeId: number, life: Life) {
    this.network = network;
    this.nodeId = nodeId;
    this.life = life;
  }

  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>, from: number) => void): void {
    this.#channelServices.set(service, accept as unknown as (channel: SimChannel, from: number) => void);
  }

  serveCall<Request, Response>(
    service: CallService,
    answer: (request: Request, from: number) => Promise<Response>,
  ): void {
    this.#callServices.set(service, answer as (request: unknown, from: number) => Promise<unknown>);
  }

  open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In> {
    const { network } = this;
    const near = new SimChannel(network, this.nodeId, nodeId, this.life, service, 'request');
    network.channels.add(near);
    near.post({ knock: service });
    // Who gets no answer gives up: a connection is not attempted for ever.
    network.world.after(network.knobs.keepaliveMs, this.life, () => {
      if (near.peer === undefined) near.breakAfter(0, 'unanswered');
    });
    return near as unknown as Channel<Out, In>;
  }

  /** What `post({knock})` brings about at the far side; undefined refuses. */
  accept(near: SimChannel, service: ChannelService): SimChannel | undefined {
    const serve = this.#channelServices.get(service);
    if (serve === undefined) return undefined;
    const far = new SimChannel(this.network, this.nodeId, near.nodeId, this.life, service, 'response');
    far.peer = near;
    near.peer = far;
    this.network.channels.add(far);
    serve(far, near.nodeId);
    return far;
  }

  callService(service: CallService): ((request: unknown, from: number) => Promise<unknown>) | undefined {
    return this.#callServices.get(service);
  }

  call<Request, Response>(nodeId: number, service: CallService, request: Request): Promise<Response> {
    const { network, life } = this;
    const { world } = network;
    return new Promise((resolve, reject) => {
      const unavailable = (why: string): void => {
        reject(
          new SluiceError('PEER_UNAVAILABLE', `node ${nodeId} does not answer ${service}: ${why}`, {
            retriable: true,
            hint: 'try again, or another node',
          }),
        );
      };
      const timer = world.after(network.knobs.callTimeoutMs, life, () => unavailable('timeout'));
      const settle = (act: () => void): void => {
        if (timer.cancelled) return;
        timer.cancelled = true;
        act();
      };
      const sent = network.carry(service, 'request', request).message;
      const leg = (from: number, to: number, to_: () => Life | undefined, act: () => void): void => {
        const attempt = (): void => {
          if (network.isCut(from, to)) {
            world.after(network.knobs.keepaliveMs / 8, world.outside, () => {
              if (!timer.cancelled) attempt();
            });
            return;
          }
          world.after(network.latencyMs(from, to), world.outside, () => {
            const receiver = to_();
            if (receiver === undefined) {
              world.after(network.latencyMs(to, from), life, () => settle(() => unavailable('nobody is there')));
            } else {
              world.after(0, receiver, act);
            }
          });
        };
        attempt();
      };
      leg(
        this.nodeId,
        nodeId,
        () => network.host(nodeId)?.life,
        () => {
          const host = network.host(nodeId);
          const answer = host?.callService(service);
          const back = (act: () => void): void =>
            leg(
              nodeId,
              this.nodeId,
              () => life,
              () => settle(act),
            );
          if (answer === undefined) {
            back(() => unavailable('not served'));
            return;
          }
          answer(sent, this.nodeId).then(
            (response) => {
              const { message } = network.carry(service, 'response', response);
              back(() => resolve(message as Response));
            },
            (cause: unknown) => back(() => unavailable(String(cause))),
          );
        },
      );
    });
  }
}

/** What travels: a message, the first knock, or the end. */
type Cargo = { message: unknown; bytes: number; sentAtMs: number } | { knock: ChannelService } | 'end';

/** Numbered, because what a cut held back is sent again and must not be overtaken. */
interface Parcel {
  sequence: number;
  cargo: Cargo;
}

/** One end of a channel, owned by one life. */
class SimChannel implements Channel<unknown, unknown> {
  readonly network: SimNetwork;
  readonly nodeId: number;
  readonly peerId: number;
  readonly life: Life;
  readonly service: ChannelService;
  readonly #direction: Direction;
  peer: SimChannel | undefined;
  silentSinceMs: number | undefined;
  unsentBytes = 0;
  /** Held back by a cut. */
  #waiting: Parcel[] = [];
  #sent = 0;
  /** Of what this end sent: arrived before its turn, and whose turn it is. */
  readonly #early = new Map<number, Cargo>();
  #turn = 0;
  #lastArrivalMs = 0;
  #listener: ((message: unknown) => void) | undefined;
  #closeListener: (() => void) | undefined;
  #inbox: unknown[] = [];
  #closed = false;
  #told = false;

  constructor(
    network: SimNetwork,
    nodeId: number,
    peerId: number,
    life: Life,
    service: ChannelService,
    direction: Direction,
  ) {
    this.network = network;
    this.nodeId = nodeId;
    this.peerId = peerId;
    this.life = life;
    this.service = service;
    this.#direction = direction;
  }

  get isPending(): boolean {
    return this.peer === undefined;
  }

  send(message: unknown): void {
    if (this.#closed) return;
    const carried = this.network.carry(this.service, this.#direction, message);
    this.network.messages++;
    this.post({ ...carried, sentAtMs: this.network.world.nowMs });
  }

  post(cargo: Cargo): void {
    if (typeof cargo === 'object' && 'bytes' in cargo) this.unsentBytes += cargo.bytes;
    this.#waiting.push({ sequence: this.#sent++, cargo });
    if (!this.network.isCut(this.nodeId, this.peerId)) this.flush();
  }

  /** What waits goes on its way. */
  flush(): void {
    const { network } = this;
    const { world } = network;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const parcel of waiting) {
      const arrivalMs = world.nowMs + network.latencyMs(this.nodeId, this.peerId);
      this.#lastArrivalMs = Math.max(this.#lastArrivalMs, arrivalMs);
      world.after(this.#lastArrivalMs - world.nowMs, world.outside, () => {
        if (network.isCut(this.nodeId, this.peerId)) this.#waiting.push(parcel);
        else this.#reach(parcel);
      });
    }
  }

  #reach({ sequence, cargo }: Parcel): void {
    this.#early.set(sequence, cargo);
    for (;;) {
      const next = this.#early.get(this.#turn);
      if (next === undefined) return;
      this.#early.delete(this.#turn++);
      this.#arrive(next);
    }
  }

  #arrive(cargo: Cargo): void {
    const { network } = this;
    const { world } = network;
    if (cargo !== 'end' && 'knock' in cargo) {
      const host = network.host(this.peerId);
      if (host === undefined) {
        this.breakAfter(network.latencyMs(this.peerId, this.nodeId), 'nobody there');
        return;
      }
      this.#owner = host.life;
      world.after(0, host.life, () => {
        const far = host.accept(this, cargo.knock);
        const latencyMs = network.latencyMs(this.peerId, this.nodeId);
        if (far === undefined) this.breakAfter(latencyMs, 'not served');
        // It gave up while the far end was stopped: that hears of it behind what was sent before.
        else if (this.#closed || this.life.ended) far.breakAfter(latencyMs, 'given up');
      });
      return;
    }
    if (cargo !== 'end') this.unsentBytes = Math.max(0, this.unsentBytes - cargo.bytes);
    // What was sent right behind the knock finds the far end made by the time it runs.
    const owner = this.peer?.life ?? this.#owner;
    if (owner === undefined) return;
    if (cargo === 'end') network.channels.delete(this);
    const far = this.peer;
    if (far?.life.ended === true && network.host(this.peerId) !== undefined) {
      // The machine is back, and knows nothing of this channel.
      this.breakAfter(network.latencyMs(this.peerId, this.nodeId), 'reset');
      return;
    }
    world.after(0, owner, () => {
      if (cargo === 'end') this.peer?.broken();
      else {
        network.arriving.sentAtMs = cargo.sentAtMs;
        network.arriving.sender = this.life;
        this.peer?.receive(cargo.message);
      }
    });
  }
  #owner: Life | undefined;

  receive(message: unknown): void {
    if (this.#closed) return;
    if (this.#listener === undefined) this.#inbox.push(message);
    else this.#listener(message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#listener = listener;
    if (this.#inbox.length === 0) return;
    this.network.world.after(0, this.life, () => {
      const inbox = this.#inbox;
      this.#inbox = [];
      for (const message of inbox) if (!this.#closed) listener(message);
    });
  }

  onClose(listener: () => void): void {
    this.#closeListener = listener;
    if (this.#closed) this.#tell();
  }

  /** By its owner. Whatever has not arrived is lost or not, as with a stream that is cancelled. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.post('end');
    this.#tell();
  }

  /** By the network. */
  breakAfter(delayMs: number, _why: string): void {
    this.network.world.after(delayMs, this.life, () => this.broken());
  }

  /** The keepalive ran out at this end, which may be closed and only waits to say so. */
  expire(): void {
    this.network.channels.delete(this);
    this.breakAfter(0, 'keepalive');
  }

  broken(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#inbox = [];
    this.unsentBytes = 0;
    this.network.channels.delete(this);
    // The far end may not know yet.
    if (this.peer !== undefined && !this.peer.#closed)
      this.peer.breakAfter(this.network.knobs.keepaliveMs, 'half open');
    this.#tell();
  }

  #tell(): void {
    if (this.#told || this.#closeListener === undefined) return;
    this.#told = true;
    const listener = this.#closeListener;
    this.network.world.after(0, this.life, listener);
  }
}
