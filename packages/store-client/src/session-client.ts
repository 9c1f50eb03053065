import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Topology } from '@sluice/meta/topology';
import type { ExchangeStep } from '@sluice/queue/session/commands';
import type {
  AnsweredSession,
  DueWillView,
  PassedItem,
  SessionsRequest,
  SessionsResponse,
  SessionsStatus,
  StoredFilter,
  StreamDelivery,
  StreamNews,
  WillToLeave,
} from '@sluice/rpc/contract/sessions';
import type { Transport } from '@sluice/rpc/transport';
import { LateOpens } from './late-opens.ts';
import type { RouteTable } from './route-table.ts';
import { type StoreLink, StoreLinks } from './store-links.ts';
import { UnansweredQuestions } from './unanswered-questions.ts';
import { WatchTimer } from './watch-timer.ts';

/**
 * This node's way to the sessions in the stores: questions that find the leader and are asked again until they are
 * answered or their time is over, the sessions attached here, and the streams that partitions tell of.
 *
 * A store that begins to lead says so; every session of that partition is attached there again, and what nobody has
 * passed comes anew: whoever has it already passes it without another look (`gateway/session/stored-session`).
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
  readonly #questions = new Map<number, Question>();
  /** By client id: one at a time is attached here. */
  readonly #attached = new Map<string, Attached>();
  /** Of those, who waits for a leader to be known. */
  readonly #unattached = new Set<Attached>();
  /** By where their sessions are attached, and then by partition. */
  readonly #passed = new Map<SessionLink, Map<number, PassedItem[]>>();
  /** Who said last that it leads, by term. */
  readonly #leaders = new Map<number, { link: SessionLink; term: number }>();
  #nextRequestId = 1;
  #isClosed = false;
  readonly #patience: WatchTimer;
  readonly #unanswered: UnansweredQuestions;
  readonly #lateOpens = new LateOpens();

  /** How often lost channels, and questions that wait, are looked at. */
  static readonly TICK_MS = 50;
  static readonly STOP_LOOK_MS = 5;
  /** A store that does not answer at all is asked anew, or another one is. */
  static readonly ANSWER_MS_MAX = 2_000;
  /** What a late answer began is closed within that, or by its leader when nobody has come to it. */
  static readonly CLOSE_LATE_MS_MAX = 10_000;
  /** Questions under way; beyond it who asks is told that nobody is there. */
  static readonly QUESTIONS_MAX = 100_000;

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
    this.#unanswered = new UnansweredQuestions(options.logger);
    this.#links = new StoreLinks({
      service: 'sessions',
      transport: options.transport,
      clock: options.clock,
      received: (link, response) => this.#received(link, response),
      lost: (link) => this.#lost(link),
    });
    this.#patience = new WatchTimer(SessionClient.TICK_MS, () => this.#tick());
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
    this.#flush();
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

  /** Its messages come to `sink` until `detach`, or until `sink.lost`. */
  attach({ partition, clientId, epoch }: SessionKey, window: number, sink: SessionSink): void {
    const attached: Attached = { partition, clientId, epoch, window, sink, link: undefined };
    this.#attached.set(clientId, attached);
    this.#attach(attached);
  }

  #attach(attached: Attached): void {
    const leader = this.#routes.leaderOf(attached.partition);
    if (this.#attached.get(attached.clientId) !== attached) this.#unattached.delete(attached);
    else if (leader === 0) this.#waits(attached);
    else this.#attachTo(attached, this.#links.to(leader));
  }

  detach(clientId: string, epoch: number): void {
    if (this.#attached.get(clientId)?.epoch === epoch) this.#attached.delete(clientId);
  }

  /** Told once a turn to the store that brought it. What it does not hear the next one brings again. */
  pass({ partition, clientId, epoch }: SessionKey, streamId: number, offset: number): void {
    const attached = this.#attached.get(clientId);
    if (attached?.link === undefined || attached.epoch !== epoch) return;
    let places = this.#passed.get(attached.link);
    if (places === undefined) {
      if (this.#passed.size === 0) setImmediate(() => this.#flush());
      places = new Map();
      this.#passed.set(attached.link, places);
    }
    const items = places.get(partition);
    const item = { clientId, epoch, streamId, offset };
    if (items === undefined) places.set(partition, [item]);
    else items.push(item);
  }

  /** Questions under way are answered first, if that takes no longer. */
  async stop(withinMs: number): Promise<void> {
    this.#flush();
    const untilMs = this.#clock.monotonicMs() + withinMs;
    while (this.#questions.size > 0 && this.#clock.monotonicMs() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, SessionClient.STOP_LOOK_MS));
    }
    this.#patience.close();
    this.#isClosed = true;
    this.#links.close();
    for (const question of [...this.#questions.values()]) this.#resolve(question, NOBODY);
  }

  #flush(): void {
    for (const [link, places] of this.#passed) {
      for (const [partition, items] of places) link.channel.send({ type: 'pass', partition, items });
    }
    this.#passed.clear();
  }

  #ask(partition: number, patienceMs: number, write: (requestId: number) => SessionsRequest): Promise<SessionAnswer> {
    if (this.#isClosed || this.#questions.size >= SessionClient.QUESTIONS_MAX) return Promise.resolve(NOBODY);
    return new Promise((resolve) => {
      const requestId = this.#nextRequestId++;
      const sinceMs = this.#clock.monotonicMs();
      const question: Question = {
        partition,
        request: write(requestId),
        requestId,
        sinceMs,
        untilMs: sinceMs + patienceMs,
        askedMs: 0,
        attempts: 0,
        store: 0,
        said: 'nothing',
        link: undefined,
        resolve,
      };
      this.#questions.set(requestId, question);
      this.#patience.watch();
      this.#put(question);
    });
  }

  #put(question: Question): void {
    const node = this.#routes.candidate(question.partition);
    if (node === 0) return;
    question.link = this.#links.to(node);
    question.store = node;
    question.attempts++;
    question.askedMs = this.#clock.monotonicMs();
    question.link.channel.send(question.request);
  }

  #resolve(question: Question, answer: SessionAnswer): void {
    const { request, attempts, requestId } = question;
    this.#questions.delete(requestId);
    if (request.type === 'open' && (attempts > 1 || answer === NOBODY)) this.#lateOpens.remember(request, answer.epoch);
    question.resolve(answer);
  }

  #received(link: SessionLink, response: SessionsResponse): void {
    if (this.#isClosed) return;
    switch (response.type) {
      case 'answer':
        this.#answered(link, response);
        return;
      case 'deliver': {
        const attached = this.#attached.get(response.clientId);
        if (attached?.epoch === response.epoch && attached.link === link) attached.sink.delivered(response.deliveries);
        return;
      }
      case 'lost': {
        const attached = this.#attached.get(response.clientId);
        if (attached?.epoch !== response.epoch) return;
        this.#attached.delete(response.clientId);
        attached.sink.lost();
        this.#letGo(link, response);
        return;
      }
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

  /** The connection that has the session now is answered when this one is over [MQTT-3.1.4-3]. */
  #letGo({ channel }: SessionLink, { partition, clientId, epoch }: Extract<SessionsResponse, { type: 'lost' }>): void {
    channel.send({ type: 'pass', partition, items: [{ clientId, epoch, streamId: 0, offset: 0 }] });
  }

  /** Before all streams are known, this node does not store by them, whatever it was told of those that came since. */
  #told({ channel }: SessionLink, { partition, version, part, isComplete }: StreamNews): void {
    if (isComplete) channel.send({ type: 'seen', partition, version });
    else if (part !== 'change') channel.send({ type: 'next-page', partition });
  }

  #answered(link: SessionLink, answer: Extract<SessionsResponse, { type: 'answer' }>): void {
    const question = this.#questions.get(answer.requestId);
    if (question === undefined) {
      this.#answeredLate(answer);
      return;
    }
    const { status, leader, epoch, present, subscriptions, taken, bound, numbers, refused, unsure } = answer;
    if (status === 'not-leader') {
      this.#routes.suspect(question.partition, link.nodeId);
      this.#routes.hinted(question.partition, leader);
    }
    // Asked again with the next tick: at once it would go round in this turn.
    if (status === 'not-leader' || status === 'busy' || status === 'unavailable') {
      question.link = undefined;
      question.said = status;
    } else {
      // An answer of substance is a leader's.
      this.#routes.confirmed(question.partition, link.nodeId);
      this.#resolve(question, { status, epoch, present, subscriptions, taken, bound, numbers, refused, unsure });
    }
  }

  /** What it began is nobody's: closed as what came to nothing, its will not left. */
  #answeredLate({ requestId, status, epoch, unsure }: Extract<SessionsResponse, { type: 'answer' }>): void {
    const begun = status === 'done' ? this.#lateOpens.begunBy(requestId, epoch) : undefined;
    if (begun === undefined) return;
    void this.close(begun, begun.expiryS, true, unsure.length > 0, SessionClient.CLOSE_LATE_MS_MAX);
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
    if (this.#routes.leaderOf(partition) !== link.nodeId) return;
    for (const attached of this.#attached.values()) {
      if (attached.partition === partition) this.#attachTo(attached, link);
    }
  }

  #attachTo(attached: Attached, link: SessionLink): void {
    const { partition, clientId, epoch, window } = attached;
    attached.link = link;
    this.#unattached.delete(attached);
    link.channel.send({ type: 'attach', partition, clientId, epoch, window });
  }

  #lost(link: SessionLink): void {
    for (const question of this.#questions.values()) if (question.link === link) question.link = undefined;
    for (const attached of this.#attached.values()) {
      if (attached.link !== link) continue;
      attached.link = undefined;
      this.#waits(attached);
    }
    this.#passed.delete(link);
  }

  /** For a leader. */
  #waits(attached: Attached): void {
    this.#unattached.add(attached);
    this.#patience.watch();
  }

  /** Returns whether anybody still waits. */
  #tick(): boolean {
    for (const attached of this.#unattached) this.#attach(attached);
    const nowMs = this.#clock.monotonicMs();
    for (const question of [...this.#questions.values()]) {
      if (nowMs >= question.untilMs) this.#giveUp(question, nowMs);
      else if (question.link === undefined || nowMs - question.askedMs >= SessionClient.ANSWER_MS_MAX) {
        if (question.link !== undefined) this.#routes.suspect(question.partition, question.link.nodeId);
        this.#put(question);
      }
    }
    return this.#questions.size > 0 || this.#unattached.size > 0;
  }

  #giveUp(question: Question, nowMs: number): void {
    const { partition, request, attempts, said, store, sinceMs } = question;
    const waitedMs = Math.round(nowMs - sinceMs);
    const leader = this.#routes.leaderOf(partition);
    this.#unanswered.note({ partition, asked: request.type, waitedMs, attempts, said, store, leader }, nowMs);
    this.#resolve(question, NOBODY);
  }
}

/** Where a session is, and under which number it is held. */
export interface SessionKey {
  readonly partition: number;
  readonly clientId: string;
  readonly epoch: number;
}

export interface SessionSink {
  delivered(deliveries: readonly StreamDelivery[]): void;
  /** Somebody else has the session, or it is over. */
  lost(): void;
}

export interface StreamListener {
  streams(news: StreamNews): void;
}

export interface WillListener {
  /** `done` when each of them is published or refused for good; also when that was so before. */
  publishWills(partition: number, group: number, wills: readonly DueWillView[], done: () => void): void;
}

export interface SessionAnswer extends AnsweredSession {
  /** `unavailable`: nobody answered in time; whether it was done is not known. */
  status: Exclude<SessionsStatus, 'not-leader' | 'busy'>;
}

/** Nobody answered in time. */
export const NOBODY: SessionAnswer = {
  status: 'unavailable',
  epoch: 0,
  present: false,
  subscriptions: [],
  taken: [],
  bound: [],
  numbers: [],
  refused: [],
  unsure: [],
};

type WillsRequest = Extract<SessionsResponse, { type: 'publish-wills' }>;

type SessionLink = StoreLink<SessionsRequest, SessionsResponse>;

interface Question {
  readonly partition: number;
  readonly request: SessionsRequest;
  readonly requestId: number;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly resolve: (answer: SessionAnswer) => void;
  askedMs: number;
  attempts: number;
  /** Who was asked last, and the last that said that it could not. */
  store: number;
  said: SessionsStatus | 'nothing';
  /** Undefined: to be asked. */
  link: SessionLink | undefined;
}

interface Attached extends SessionKey {
  readonly window: number;
  readonly sink: SessionSink;
  link: SessionLink | undefined;
}
