import type { AccessRule } from '@sluice/meta/access/access-rule';
import type { AccessSubject, Authorizer, ClientAccess } from './authorizer.ts';
import { PlacedRule } from './placed-rule.ts';

/** Rules from one place: a file, or the metadata of the cluster. */
export interface RuleSource {
  /** Those that concern this client, in the order in which they are read. */
  rulesFor(subject: AccessSubject): Iterable<AccessRule>;
}

/**
 * Permissions by rules: the sources in their order, the rules of each in theirs; the first that concerns what is asked
 * decides, and `noMatch` when none does.
 *
 * Which rules concern a client is worked out once a connection, with its names in their places, and again after a
 * change. A publish then costs a comparison with the connection's last topic, or one look into the answers it had.
 */
export class RuleAuthorizer implements Authorizer {
  readonly #sources: readonly RuleSource[];
  readonly #noMatch: boolean;
  readonly #listeners: (() => void)[] = [];
  /** Answers of an earlier one count no more. */
  generation = 1;

  constructor(options: { sources: readonly RuleSource[]; noMatch: 'allow' | 'deny' }) {
    this.#sources = options.sources;
    this.#noMatch = options.noMatch === 'allow';
  }

  admit(subject: AccessSubject): ClientAccess {
    return subject.isSuperuser ? SUPERUSER : new RuledAccess(this, subject);
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** A source says something else now. */
  changed(): void {
    this.generation++;
    for (const listener of this.#listeners) listener();
  }

  get noMatch(): boolean {
    return this.#noMatch;
  }

  place(subject: AccessSubject): readonly PlacedRule[] {
    const placed: PlacedRule[] = [];
    for (const source of this.#sources) {
      for (const rule of source.rulesFor(subject)) {
        const one = PlacedRule.place(rule, subject);
        if (one !== undefined) placed.push(one);
      }
    }
    return placed;
  }
}

const SUPERUSER: ClientAccess = { mayPublish: () => true, mayRead: () => true };

/** Topics a connection has its answers for; beyond that it begins anew. */
const TOPICS_MAX = 64;
const ALLOWED_SHIFT = 6;

/**
 * What one connection may do. Answers are kept by topic as twelve bits: for each of the six ways to publish (QoS, with
 * retain or not) whether it was asked and whether it is allowed.
 *
 * @hotpath
 */
class RuledAccess implements ClientAccess {
  readonly #authorizer: RuleAuthorizer;
  readonly #subject: AccessSubject;
  #generation = 0;
  #rules: readonly PlacedRule[] = NO_RULES;
  #answers: Map<string, number> | undefined = undefined;
  #lastTopic = '';
  #lastAnswers = 0;

  constructor(authorizer: RuleAuthorizer, subject: AccessSubject) {
    this.#authorizer = authorizer;
    this.#subject = subject;
  }

  mayPublish(topic: string, qos: number, retain: boolean): boolean {
    if (this.#generation !== this.#authorizer.generation) this.#renew();
    if (this.#rules.length === 0) return this.#authorizer.noMatch;
    const asked = 1 << (qos * 2 + (retain ? 1 : 0));
    const known = topic === this.#lastTopic ? this.#lastAnswers : this.#recall(topic);
    if ((known & asked) !== 0) return (known & (asked << ALLOWED_SHIFT)) !== 0;
    const allowed = this.#decidePublish(topic, qos, retain);
    this.#lastTopic = topic;
    this.#lastAnswers = known | asked | (allowed ? asked << ALLOWED_SHIFT : 0);
    this.#remember(topic);
    return allowed;
  }

  mayRead(filter: string, qos: number, how: 'subscribe' | 'consume'): boolean {
    if (this.#generation !== this.#authorizer.generation) this.#renew();
    for (const rule of this.#rules) if (rule.decidesRead(filter, qos, how)) return rule.allows;
    return this.#authorizer.noMatch;
  }

  #decidePublish(topic: string, qos: number, retain: boolean): boolean {
    for (const rule of this.#rules) if (rule.decidesPublish(topic, qos, retain)) return rule.allows;
    return this.#authorizer.noMatch;
  }

  #recall(topic: string): number {
    const known = this.#answers?.get(topic);
    if (known === undefined) return 0;
    this.#lastTopic = topic;
    this.#lastAnswers = known;
    return known;
  }

  #remember(topic: string): void {
    if (this.#answers === undefined || this.#answers.size >= TOPICS_MAX) this.#answers = new Map();
    this.#answers.set(topic, this.#lastAnswers);
  }

  #renew(): void {
    this.#generation = this.#authorizer.generation;
    this.#rules = this.#authorizer.place(this.#subject);
    this.#answers = undefined;
    this.#lastTopic = '';
    this.#lastAnswers = 0;
  }
}

const NO_RULES: readonly PlacedRule[] = [];
