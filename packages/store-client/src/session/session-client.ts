import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Topology } from '@sluice/meta/topology';
import type { ExchangeStep } from '@sluice/queue/session/commands';
import type {
  DueWillView,
  SessionsRequest,
  SessionsResponse,
  StoredFilter,
  StreamNews,
  WillToLeave,
} from '@sluice/rpc/contract/sessions';
import type { Transport } from '@sluice/rpc/transport';
import type { RouteTable } from '../route/route-table.ts';
import { StoreLinks } from '../route/store-links.ts';
import { WatchTimer } from '../route/watch-timer.ts';
import { AttachedSessions, type SessionKey, type SessionSink } from './attached-sessions.ts';
import { type SessionAnswer, type SessionLink, SessionQuestions } from './session-questions.ts';

/**
 * This node's way to the sessions in the stores: questions that find the leader (`session-questions`), the sessions attached
 * here (`attached-sessions`), the streams that partitions tell of, and the wills that this node publishes for them.
 */
export class SessionClient {
  readonly #routes: RouteTable;
  readonly #topology: Pick<Topology, 'nodes'>;
  readonly #clock: Clock;
  readonly #links: StoreLinks<SessionsRequest, SessionsResponse>;
  readonly #streams: StreamListener;
  #wills: WillListener | undefined;
  /** Before anybody listens; by partition, each of which has one group under way. */
  readonly #willsAsked = new Map<number, WillsRequest>();
  readonly #questions: SessionQuestions;
  readonly #attached: AttachedSessions;
  /** Who said last that it leads, by term. */
  readonly #leaders = new Map<number, { link: SessionLink; term: number }>();
  #isClosed = false;
  readonly #patience: WatchTimer;

  /** How often sessions without a leader, and questions that wait, are looked at. */
  static readonly TICK_MS = 50;
  static readonly STOP_LOOK_MS = 5;
  /** What a late answer began is closed within that, or by its leader when nobody has come to it. */
  static readonly CLOSE_LATE_MS_MAX = 10_000;

  constructor(options: {
    topology: Pick<Topology, 'nodes'>;
    routes: RouteTable;
    transport: Transport;
    clock: Clock;
    logger: Logger;
    streams: StreamListener;
  }) {
    this.#routes = options.routes;
    this.#topology = options.topology;
    this.#clock = options.clock;
    this.#streams = options.streams;
    this.#links = new StoreLinks({
      service: 'sessions',
      transport: options.transport,
      clock: options.clock,
      received: (link, response) => this.#received(link, response),
      lost: (link) => this.#lost(link),
    });
    const { routes, clock, logger } = options;
    this.#questions = new SessionQuestions({ routes, links: this.#links, clock, logger });
    this.#attached = new AttachedSessions(routes, this.#links);
    this.#patience = new WatchTimer(SessionClient.TICK_MS, () => this.#look());
  }

  topologyChanged(): void {
    this.#links.keep(this.#topology.nodes());
  }

  open(
    partition: number,
    client: {
      clientId: string;
      identity: string;
      cleanStart: boolean;
      expiryS: number;
      ticket: number;
      will: WillToLeave | undefined;
    },
    patienceMs: number,
  ): Promise<SessionAnswer> {
    return this.#ask(partition, patienceMs, (requestId) => ({ type: 'open', requestId, partition, ...client }));
  }

  subscribe(
    { partition, clientId, epoch }: SessionKey,
    subscriptions: readonly StoredFilter[],
    patienceMs: number,
  ): Promise<SessionAnswer> {
    return this.#ask(partition, patienceMs, (requestId) => {
      return { type: 'subscribe', requestId, partition, clientId, epoch, subscriptions };
    });
  }

  unsubscribe(
    { partition, clientId, epoch }: SessionKey,
    filters: readonly string[],
    patienceMs: number,
  ): Promise<SessionAnswer> {
    return this.#ask(partition, patienceMs, (requestId) => {
      return { type: 'unsubscribe', requestId, partition, clientId, epoch, filters };
    });
  }

  /** One at a time for each session, or their numbers would not count. */
  exchange(
    { partition, clientId, epoch }: SessionKey,
    serial: number,
    steps: readonly ExchangeStep[],
    patienceMs: number,
  ): Promise<SessionAnswer> {
    return this.#ask(partition, patienceMs, (requestId) => {
      return { type: 'exchange', requestId, partition, clientId, epoch, serial, steps };
    });
  }

  /** Its will is due, at once or after its delay, unless its client has taken it back. */
  close(
    { partition, clientId, epoch }: SessionKey,
    expiryS: number,
    takesWillBack: boolean,
    leavesUnsure: boolean,
    patienceMs: number,
  ): Promise<SessionAnswer> {
    // What its client took before goes before.
    this.#attached.flush();
    this.detach(clientId, epoch);
    return this.#ask(partition, patienceMs, (requestId) => {
      return { type: 'close', requestId, partition, clientId, epoch, expiryS, takesWillBack, leavesUnsure };
    });
  }

  /** Who publishes the wills that stores ask this node for, those included that it was asked for before this. */
  onWills(listener: WillListener): void {
    this.#wills = listener;
    for (const request of this.#willsAsked.values()) this.#publishWills(request);
    this.#willsAsked.clear();
  }

  #publishWills(request: WillsRequest): void {
    const { partition, group, wills } = request;
    if (this.#wills === undefined) this.#willsAsked.set(partition, request);
    else this.#wills.publishWills(partition, group, wills, () => this.#willsPublished(partition, group));
  }

  /** As `AttachedSessions.attach`. */
  attach(key: SessionKey, window: number, sink: SessionSink): void {
    this.#attached.attach(key, window, sink);
    if (this.#attached.isWaiting) this.#patience.watch();
  }

  detach(clientId: string, epoch: number): void {
    this.#attached.detach(clientId, epoch);
  }

  pass(key: SessionKey, streamId: number, offset: number): void {
    this.#attached.pass(key, streamId, offset);
  }

  /** Questions under way are answered first, if that takes no longer. */
  async stop(withinMs: number): Promise<void> {
    this.#attached.flush();
    const untilMs = this.#clock.monotonicMs() + withinMs;
    while (this.#questions.size > 0 && this.#clock.monotonicMs() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, SessionClient.STOP_LOOK_MS));
    }
    this.#patience.close();
    this.#isClosed = true;
    this.#links.close();
    this.#questions.close();
  }

  #ask(partition: number, patienceMs: number, write: (requestId: number) => SessionsRequest): Promise<SessionAnswer> {
    const answer = this.#questions.ask(partition, patienceMs, write);
    if (this.#questions.size > 0) this.#patience.watch();
    return answer;
  }

  #received(link: SessionLink, response: SessionsResponse): void {
    if (this.#isClosed) return;
    switch (response.type) {
      case 'answer':
        this.#answered(link, response);
        return;
      case 'deliver':
        this.#attached.delivered(link, response);
        return;
      case 'lost':
        this.#attached.taken(link, response);
        return;
      case 'publish-wills':
        this.#publishWills(response);
        return;
      case 'leading':
        this.#leading(link, response.partition, response.term);
        return;
      case 'streams':
        // Of a former leader, which may not have heard yet.
        if (this.#leaders.get(response.partition)?.link !== link) return;
        this.#streams.streams(response);
        this.#told(link, response);
    }
  }

  /** Before all streams are known, this node does not store by them, whatever it was told of those that came since. */
  #told({ channel }: SessionLink, { partition, version, part, isComplete }: StreamNews): void {
    if (isComplete) channel.send({ type: 'seen', partition, version });
    else if (part !== 'change') channel.send({ type: 'next-page', partition });
  }

  /** What an answer began that came late is nobody's: closed as what came to nothing, its will not left. */
  #answered(link: SessionLink, answer: Extract<SessionsResponse, { type: 'answer' }>): void {
    const begun = this.#questions.answered(link, answer);
    if (begun === undefined) return;
    void this.close(begun, begun.expiryS, true, answer.unsure.length > 0, SessionClient.CLOSE_LATE_MS_MAX);
  }

  /** To whoever leads by now; nobody known does: the next one asks again. */
  #willsPublished(partition: number, group: number): void {
    const leader = this.#routes.leaderOf(partition);
    if (leader === 0 || this.#isClosed) return;
    this.#links.to(leader).channel.send({ type: 'wills-published', partition, group });
  }

  #leading(link: SessionLink, partition: number, term: number): void {
    this.#routes.announced(partition, link.nodeId, term);
    if (term >= (this.#leaders.get(partition)?.term ?? 0)) this.#leaders.set(partition, { link, term });
    if (this.#routes.leaderOf(partition) === link.nodeId) this.#attached.led(partition, link);
  }

  #lost(link: SessionLink): void {
    this.#questions.lost(link);
    this.#attached.lost(link);
    if (this.#attached.isWaiting) this.#patience.watch();
  }

  /** Returns whether anybody still waits. */
  #look(): boolean {
    this.#attached.look();
    this.#questions.look();
    return this.#questions.size > 0 || this.#attached.isWaiting;
  }
}

export interface StreamListener {
  streams(news: StreamNews): void;
}

export interface WillListener {
  /** `done` when each of them is published or refused for good; also when that was so before. */
  publishWills(partition: number, group: number, wills: readonly DueWillView[], done: () => void): void;
}

type WillsRequest = Extract<SessionsResponse, { type: 'publish-wills' }>;
