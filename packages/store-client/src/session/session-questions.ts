import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { AnsweredSession, SessionsRequest, SessionsResponse, SessionsStatus } from '@sluice/rpc/contract/sessions';
import type { RouteTable } from '../route/route-table.ts';
import type { StoreLink, StoreLinks } from '../route/store-links.ts';
import { type LateOpen, LateOpens } from './late-opens.ts';
import { UnansweredQuestions } from './unanswered-questions.ts';

/**
 * Questions about sessions that are under way: each finds the leader of its partition and is asked again until it is answered
 * with substance or its time is over. It has one end, whatever becomes of stores, and then `NOBODY` says that what it asked
 * for may have been done.
 */
export class SessionQuestions {
  readonly #routes: RouteTable;
  readonly #links: StoreLinks<SessionsRequest, SessionsResponse>;
  readonly #clock: Clock;
  readonly #open = new Map<number, Question>();
  readonly #unanswered: UnansweredQuestions;
  readonly #lateOpens = new LateOpens();
  #nextRequestId = 1;
  #isClosed = false;

  /** A store that does not answer at all is asked anew, or another one is. */
  static readonly ANSWER_MS_MAX = 2_000;
  /** Beyond it who asks is told that nobody is there. */
  static readonly OPEN_MAX = 100_000;

  constructor(options: {
    routes: RouteTable;
    links: StoreLinks<SessionsRequest, SessionsResponse>;
    clock: Clock;
    logger: Logger;
  }) {
    this.#routes = options.routes;
    this.#links = options.links;
    this.#clock = options.clock;
    this.#unanswered = new UnansweredQuestions(options.logger);
  }

  /** Under way. */
  get size(): number {
    return this.#open.size;
  }

  ask(partition: number, patienceMs: number, write: (requestId: number) => SessionsRequest): Promise<SessionAnswer> {
    if (this.#isClosed || this.#open.size >= SessionQuestions.OPEN_MAX) return Promise.resolve(NOBODY);
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
      this.#open.set(requestId, question);
      this.#put(question);
    });
  }

  /** Returns what an answer that came late has begun, and nobody has. */
  answered(link: SessionLink, answer: Extract<SessionsResponse, { type: 'answer' }>): LateOpen | undefined {
    const { status, leader, epoch, present, subscriptions, taken, bound, numbers, refused, unsure } = answer;
    const question = this.#open.get(answer.requestId);
    if (question === undefined) {
      return status === 'done' ? this.#lateOpens.begunBy(answer.requestId, epoch) : undefined;
    }
    if (status === 'not-leader') {
      this.#routes.suspect(question.partition, link.nodeId);
      this.#routes.hinted(question.partition, leader);
    }
    // Asked again with the next look: at once it would go round in this turn.
    if (status === 'not-leader' || status === 'busy' || status === 'unavailable') {
      question.link = undefined;
      question.said = status;
    } else {
      // An answer of substance is a leader's.
      this.#routes.confirmed(question.partition, link.nodeId);
      this.#resolve(question, { status, epoch, present, subscriptions, taken, bound, numbers, refused, unsure });
    }
    return undefined;
  }

  lost(link: SessionLink): void {
    for (const question of this.#open.values()) if (question.link === link) question.link = undefined;
  }

  /** Ends those whose time is over, and asks those again that nobody is busy with. */
  look(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const question of [...this.#open.values()]) {
      if (nowMs >= question.untilMs) this.#giveUp(question, nowMs);
      else if (question.link === undefined || nowMs - question.askedMs >= SessionQuestions.ANSWER_MS_MAX) {
        if (question.link !== undefined) this.#routes.suspect(question.partition, question.link.nodeId);
        this.#put(question);
      }
    }
  }

  /** Nobody hears of an answer any more. */
  close(): void {
    this.#isClosed = true;
    for (const question of [...this.#open.values()]) this.#resolve(question, NOBODY);
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

  #giveUp(question: Question, nowMs: number): void {
    const { partition, request, attempts, said, store, sinceMs } = question;
    const waitedMs = Math.round(nowMs - sinceMs);
    const leader = this.#routes.leaderOf(partition);
    this.#unanswered.note({ partition, asked: request.type, waitedMs, attempts, said, store, leader }, nowMs);
    this.#resolve(question, NOBODY);
  }

  #resolve(question: Question, answer: SessionAnswer): void {
    const { request, attempts, requestId } = question;
    this.#open.delete(requestId);
    if (request.type === 'open' && (attempts > 1 || answer === NOBODY)) this.#lateOpens.remember(request, answer.epoch);
    question.resolve(answer);
  }
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

export type SessionLink = StoreLink<SessionsRequest, SessionsResponse>;

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
