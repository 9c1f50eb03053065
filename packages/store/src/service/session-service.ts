import type { Clock } from '@sluice/common/clock';
import { EXPIRY_NEVER_S, type OpenCommand } from '@sluice/queue/session/commands';
import type { SessionReply } from '@sluice/queue/session/session-reply';
import { isExpired } from '@sluice/queue/session/session-rows';
import type { DueWillView, SessionsRequest, StoredSubscriptionView, UnsureStream } from '@sluice/rpc/contract/sessions';
import { encodePartitionCommand, type PartitionCommand } from '../machine/partition-command.ts';
import type { PartitionReply } from '../machine/partition-machine.ts';
import type { Partition } from '../partition/partition.ts';
import type { DropReason, Proposal } from '../partition/proposal.ts';
import { GatewayReturns } from '../session/gateway-returns.ts';
import type { WillGateways } from '../session/partition-wills.ts';
import { type StreamEffect, streamChanges } from '../session/stream-changes.ts';
import type { DeliveryBound } from './delivery-bound.ts';
import { LettingGo } from './letting-go.ts';
import { type SessionChannel, SessionGateway } from './session-gateway.ts';

/**
 * Serves the sessions of gateways, a channel each. Every change is a command of the partition's log and answered when it
 * is applied; asking what is there costs the log nothing.
 *
 * A subscription that has been answered must not miss what is published from then on, through whichever gateway. So
 * streams are told to all gateways as they come, and the answer waits until each of them stores by the version that has
 * the new one: a round trip, and `SEEN_MS_MAX` at most for one that does not answer. Those that live and have no channel
 * here are waited for as well, for as long as they may be about to return (`GatewayReturns`).
 */
export class SessionService implements WillGateways {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #clock: Clock;
  readonly #limits: StreamLimits;
  readonly #bound: DeliveryBound;
  readonly #gateways = new Set<SessionGateway>();
  readonly #returns: GatewayReturns;
  readonly #lettingGo = new LettingGo();
  #waiting: SeenWaiter[] = [];
  #looksSoon = false;
  #isStopped = false;
  /** While somebody waits. */
  #timer: NodeJS.Timeout | undefined;

  static readonly SEEN_MS_MAX = 200;
  /** How late it may be noticed that nobody needs to be waited for any longer. */
  static readonly LOOK_MS = 25;

  /** `gateways`: that may live, as far as the cluster's image says. */
  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    gateways: () => Iterable<number>;
    clock: Clock;
    limits: StreamLimits;
    bound: DeliveryBound;
  }) {
    this.#partitions = options.partitions;
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#bound = options.bound;
    this.#returns = new GatewayReturns(options.clock, options.gateways);
  }

  /** From now on gateways may come. */
  start(): void {
    this.#returns.begin();
  }

  accept(channel: SessionChannel, from: number): void {
    const gateway = new SessionGateway(channel, from, this.#bound, (number, sink) =>
      this.#partitions.get(number)?.sessions.sinkFreed(sink),
    );
    this.#gateways.add(gateway);
    this.#returns.came(from);
    channel.onMessage((request) => this.#handle(gateway, request));
    channel.onClose(() => {
      this.#gateways.delete(gateway);
      this.#bound.forget(gateway);
      for (const partition of this.#partitions.values()) partition.sessions.wills.gatewayLost(from);
      for (const [number, sink] of gateway.sinks) this.#partitions.get(number)?.sessions.sinkGone(sink);
      if (!this.isReached(from)) {
        this.#returns.left(from);
        this.#lettingGo.gatewayGone(from);
        this.#awaitReturn(gateway);
      }
      this.#lookSoon();
    });
    for (const partition of this.#partitions.values()) if (partition.serves) gateway.leading(partition);
  }

  /** This node leads the partition: gateways attach their sessions here, and store in these streams. */
  serving(partition: Partition): void {
    for (const gateway of this.#gateways) gateway.leading(partition);
  }

  streamsMoved(partition: Partition, effects: readonly StreamEffect[]): void {
    if (!partition.serves) return;
    const changes = streamChanges(effects);
    for (const gateway of this.#gateways) gateway.moved(partition, changes);
  }

  choose(turn: number): number {
    const reached = [...new Set([...this.#gateways].map(({ from }) => from))];
    return reached[turn % reached.length] ?? 0;
  }

  isReached(gateway: number): boolean {
    for (const { from } of this.#gateways) if (from === gateway) return true;
    return false;
  }

  /** By its newest channel. */
  ask(gateway: number, partition: number, group: number, wills: readonly DueWillView[]): void {
    const channel = [...this.#gateways].findLast(({ from }) => from === gateway);
    channel?.publishWills(partition, group, wills);
  }

  /** Nobody is waited for any more, nor answered. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
    this.#lettingGo.stop();
    this.#isStopped = true;
  }

  #handle(gateway: SessionGateway, request: SessionsRequest): void {
    const partition = this.#partitions.get(request.partition);
    switch (request.type) {
      case 'attach':
        void this.#attach(gateway, partition, request);
        return;
      case 'pass':
        for (const { clientId, epoch, streamId, offset } of request.items) {
          if (streamId === 0) this.#lettingGo.done({ partition: request.partition, clientId, epoch });
          else partition?.sessions.pass(clientId, epoch, streamId, offset);
        }
        return;
      case 'wills-published':
        partition?.sessions.wills.published(request.group);
        return;
      case 'next-page':
        if (partition !== undefined) gateway.nextPage(partition);
        return;
      case 'seen':
        gateway.seen.set(request.partition, request.version);
        this.#lookSoon();
        return;
    }
    if (partition === undefined || !partition.serves) {
      gateway.answer(request.requestId, 'not-leader', partition?.leader ?? 0);
      return;
    }
    switch (request.type) {
      case 'open':
        void this.#open(gateway, partition, request);
        return;
      case 'subscribe': {
        const { clientId, epoch, subscriptions } = request;
        const command: PartitionCommand = {
          type: 'subscribe-session',
          clientId,
          epoch,
          countMax: this.#limits.countMax,
          bytesMax: this.#limits.bytesMax,
          subscriptions,
        };
        this.#propose(gateway, partition, request.requestId, command, (reply) => {
          if (reply.type !== 'session-subscribed') return gateway.answer(request.requestId, 'fenced', 0);
          const views = reply.streamIds.map((streamId, i) => ({ ...viewOf(subscriptions[i]), streamId }));
          const { left, joined } = movesOf(views);
          partition.sessions.left(clientId, epoch, left);
          for (const streamId of joined) partition.sessions.joined(clientId, epoch, streamId);
          const version = partition.machine.sessions.streamsVersion;
          this.#whenSeen(partition, version, () => gateway.answer(request.requestId, 'done', 0, { views }));
        });
        return;
      }
      case 'unsubscribe': {
        const { clientId, epoch, filters } = request;
        const command: PartitionCommand = { type: 'unsubscribe-session', clientId, epoch, filters };
        this.#propose(gateway, partition, request.requestId, command, (reply) => {
          if (reply.type !== 'session-unsubscribed') return gateway.answer(request.requestId, 'fenced', 0);
          partition.sessions.left(clientId, epoch, filters);
          gateway.answer(request.requestId, 'done', 0);
        });
        return;
      }
      case 'exchange': {
        const { clientId, epoch, serial, steps } = request;
        const command: PartitionCommand = { type: 'exchange-session', clientId, epoch, serial, steps };
        this.#propose(gateway, partition, request.requestId, command, (reply) => {
          if (reply.type !== 'session-exchanged') return gateway.answer(request.requestId, 'fenced', 0);
          partition.sessions.received(clientId, epoch, steps);
          gateway.answer(request.requestId, 'done', 0, { numbers: reply.numbers });
        });
        return;
      }
      case 'close': {
        const { clientId, epoch, expiryS, takesWillBack, leavesUnsure } = request;
        partition.sessions.detach(clientId, epoch);
        const ofClient = { clientId, epoch, expiryS, takesWillBack };
        const command = partition.sessions.endings.of({ type: 'close-session', ...ofClient, leavesUnsure });
        this.#propose(gateway, partition, request.requestId, command, () => {
          partition.sessions.closed(clientId, epoch, expiryS);
          this.#lettingGo.done({ partition: partition.groupId, clientId, epoch });
          gateway.answer(request.requestId, 'done', 0);
        });
      }
    }
  }

  async #open(gateway: SessionGateway, partition: Partition, request: RequestOf<'open'>): Promise<void> {
    const { requestId, clientId, identity, cleanStart, expiryS, ticket, will } = request;
    if (expiryS === 0 && will === undefined) {
      const known = await whatIsKept(partition, clientId);
      if (known !== 'session') {
        const status = known === 'unreadable' ? 'unavailable' : 'done';
        gateway.answer(requestId, partition.serves ? status : 'not-leader', partition.leader);
        return;
      }
    }
    const command: OpenCommand = {
      type: 'open-session',
      clientId,
      identity,
      gateway: gateway.from,
      cleanStart,
      expiryS: Math.min(expiryS, EXPIRY_NEVER_S),
    };
    if (ticket !== 0) command.ticket = ticket;
    if (will !== undefined) command.will = will;
    this.#propose(gateway, partition, requestId, partition.sessions.endings.of(command), (reply) => {
      if (reply.type !== 'session-opened') return gateway.answer(requestId, 'denied', 0);
      const { epoch, present, subscriptions, taken, bound, refused, isUnsure, formerGateway, formerEpoch } = reply;
      let letGo: Promise<void> | undefined;
      if (formerGateway !== 0) letGo = this.#takenOver(gateway, partition, clientId, formerGateway, formerEpoch);
      if (epoch > 0) partition.sessions.opened(clientId);
      const answer = { epoch, present, views: subscriptions, taken, bound, refused };
      if (!isUnsure && letGo === undefined) return gateway.answer(requestId, 'done', 0, answer);
      const streamIds = subscriptions.map(({ streamId }) => streamId).filter((id) => id !== 0);
      const unpassed = isUnsure ? partition.sessions.unpassed(clientId, streamIds) : NOTHING_UNSURE;
      Promise.all([unpassed, letGo]).then(
        ([unsure]) => gateway.answer(requestId, 'done', 0, { ...answer, unsure }),
        // Asked again, it is the same CONNECT.
        () => gateway.answer(requestId, 'unavailable', partition.leader),
      );
    });
  }

  async #attach(
    gateway: SessionGateway,
    partition: Partition | undefined,
    { clientId, epoch, window }: RequestOf<'attach'>,
  ): Promise<void> {
    if (partition === undefined || !partition.serves) return;
    const isHeld = await partition.sessions.attach(clientId, epoch, window, gateway.sink(partition.groupId));
    if (!isHeld && partition.serves) gateway.lost(partition.groupId, clientId, epoch);
  }

  /** Its former gateway is told. Returns what is to be waited for: undefined when that is nothing. */
  #takenOver(
    by: SessionGateway,
    partition: Partition,
    clientId: string,
    formerGateway: number,
    formerEpoch: number,
  ): Promise<void> | undefined {
    const { groupId } = partition;
    const isElsewhere = formerGateway !== by.from && this.isReached(formerGateway);
    const former = { partition: groupId, clientId, epoch: formerEpoch };
    const letGo = isElsewhere ? this.#lettingGo.by(formerGateway, former) : undefined;
    partition.sessions.detach(clientId, formerEpoch);
    for (const gateway of this.#gateways) {
      if (gateway.from === formerGateway) gateway.lost(groupId, clientId, formerEpoch);
    }
    return letGo;
  }

  #propose(
    gateway: SessionGateway,
    partition: Partition,
    requestId: number,
    command: PartitionCommand,
    applied: (reply: SessionReply) => void,
  ): void {
    const dropped = (reason: DropReason): void => {
      gateway.answer(requestId, reason === 'not-leader' ? 'not-leader' : 'unavailable', partition.leader);
    };
    // What was passed before this came is in the log before it.
    partition.sessions.flush();
    const outcome = partition.propose(encodePartitionCommand(command), new SessionProposal(applied, dropped));
    if (outcome !== 'proposed') gateway.answer(requestId, outcome, partition.leader);
  }

  #whenSeen(partition: Partition, version: number, then: () => void): void {
    // The log may go on for a moment beyond the store.
    if (this.#isStopped) return;
    const untilMs = Math.max(this.#clock.monotonicMs() + SessionService.SEEN_MS_MAX, this.#returnsUntilMs());
    this.#waiting.push({ partition, version, untilMs, isExtended: false, then });
    // The news of a stream that begins with this entry follows in this turn.
    this.#lookSoon();
    this.#timer ??= setTimeout(() => this.#timeOver(), SessionService.LOOK_MS);
  }

  /**
   * Who waited for it waits until it may be back, also when their time is almost over: once, since a gateway that comes and
   * goes could otherwise hold an answer for ever.
   */
  #awaitReturn({ seen }: SessionGateway): void {
    const untilMs = this.#returnsUntilMs();
    for (const waiter of this.#waiting) {
      if (waiter.isExtended || (seen.get(waiter.partition.groupId) ?? 0) >= waiter.version) continue;
      waiter.untilMs = Math.max(waiter.untilMs, untilMs);
      waiter.isExtended = true;
    }
  }

  #returnsUntilMs(): number {
    return this.#returns.untilMs((gateway) => this.isReached(gateway));
  }

  #timeOver(): void {
    this.#timer = undefined;
    this.#look();
    if (this.#waiting.length > 0) {
      this.#timer = setTimeout(() => this.#timeOver(), SessionService.LOOK_MS);
    }
  }

  /** Once a turn, however many saw something in it. */
  #lookSoon(): void {
    if (this.#looksSoon || this.#waiting.length === 0) return;
    this.#looksSoon = true;
    setImmediate(() => {
      this.#looksSoon = false;
      this.#look();
    });
  }

  #look(): void {
    if (this.#waiting.length === 0) return;
    const nowMs = this.#clock.monotonicMs();
    const areAllHere = this.#returnsUntilMs() <= nowMs;
    const left: SeenWaiter[] = [];
    for (const waiter of this.#waiting) {
      if (nowMs >= waiter.untilMs || (areAllHere && this.#allSaw(waiter))) waiter.then();
      else left.push(waiter);
    }
    this.#waiting = left;
  }

  #allSaw({ partition, version }: SeenWaiter): boolean {
    for (const { seen } of this.#gateways) if ((seen.get(partition.groupId) ?? 0) < version) return false;
    return true;
  }
}

/** Of a stream, so that a session that never comes back does not fill the disk; the oldest messages go. */
export interface StreamLimits {
  countMax: number | null;
  bytesMax: number | null;
}

type RequestOf<T extends SessionsRequest['type']> = Extract<SessionsRequest, { type: T }>;

interface SeenWaiter {
  partition: Partition;
  version: number;
  untilMs: number;
  /** For a gateway that went. */
  isExtended: boolean;
  then: () => void;
}

const NOTHING_UNSURE: readonly UnsureStream[] = [];

/**
 * Whether anything is kept for the client, by what is applied here. The rows under way need not be waited for: a session
 * is closed by an entry behind the answer to its open, so one that nobody is connected to has its row in the engine.
 */
async function whatIsKept(partition: Partition, clientId: string): Promise<'session' | 'nothing' | 'unreadable'> {
  if (partition.machine.sessions.connected(clientId) !== undefined) return 'session';
  if (partition.machine.sessions.sessionCount === 0) return 'nothing';
  try {
    const session = await partition.sessions.rows.session(clientId);
    return session === undefined || isExpired(session, partition.queues.nowMs) ? 'nothing' : 'session';
  } catch {
    return 'unreadable';
  }
}

/** What a packet came to: of a filter that is in it twice the last counts, and one that was refused is as it was. */
function movesOf(views: readonly StoredSubscriptionView[]): { left: string[]; joined: number[] } {
  const streamOf = new Map<string, number>();
  for (const { filter, streamId } of views) if (streamId >= 0) streamOf.set(filter, streamId);
  const moves = [...streamOf];
  return {
    left: moves.flatMap(([filter, streamId]) => (streamId === 0 ? filter : [])),
    joined: moves.flatMap(([, streamId]) => (streamId > 0 ? streamId : [])),
  };
}

function viewOf(asked: Omit<StoredSubscriptionView, 'streamId'> | undefined): Omit<StoredSubscriptionView, 'streamId'> {
  const { filter = '', options = 0, subscriptionId = 0 } = asked ?? {};
  return { filter, options, subscriptionId };
}

class SessionProposal implements Proposal {
  readonly #applied: (reply: SessionReply) => void;
  readonly dropped: (reason: DropReason) => void;

  constructor(applied: (reply: SessionReply) => void, dropped: (reason: DropReason) => void) {
    this.#applied = applied;
    this.dropped = dropped;
  }

  applied(_index: number, reply: PartitionReply): void {
    this.#applied(reply as SessionReply);
  }
}
