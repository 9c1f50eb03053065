import { type AccessRule, LITERAL_PREFIX, PLACEHOLDERS } from '@sluice/meta/access/access-rule';
import { covers, overlaps } from '@sluice/mqtt/topic/filter-cover';
import { hasWildcard, matches } from '@sluice/mqtt/topic/topic-filter';
import { isTopicName } from '@sluice/mqtt/topic/topic-name';
import type { AccessSubject } from './authorizer.ts';

/**
 * A rule with the names of one client in its place. Names are chosen by clients: one with `+`, `#`, `/` or NUL would
 * turn `home/${username}` into a rule about others, and one that begins with `$` would turn `${username}/#` into the
 * server's own topics. Such a name cannot be placed: what the rule would have allowed it does not allow, and what it
 * would have denied it denies from that level on, because a name must not be a way around a denial either.
 *
 * @hotpath
 */
export class PlacedRule {
  readonly allows: boolean;
  readonly #action: AccessRule['action'];
  readonly #filter: string;
  readonly #isLiteral: boolean;
  readonly #hasWildcard: boolean;
  /** A denial of everything: its first level could not be placed. */
  readonly #isOfAll: boolean;
  readonly #qosMask: number;
  readonly #retain: boolean | undefined;

  /** Undefined: the rule says nothing to this client. */
  static place(rule: AccessRule, subject: AccessSubject): PlacedRule | undefined {
    const isLiteral = rule.topic.startsWith(LITERAL_PREFIX);
    const filter = placeNames(isLiteral ? rule.topic.slice(LITERAL_PREFIX.length) : rule.topic, subject);
    if (filter.isPlaced) return new PlacedRule(rule, filter.text, isLiteral);
    return rule.permission === 'allow' ? undefined : new PlacedRule(rule, filter.text, false);
  }

  private constructor(rule: AccessRule, filter: string, isLiteral: boolean) {
    this.allows = rule.permission === 'allow';
    this.#action = rule.action;
    this.#filter = filter;
    this.#isLiteral = isLiteral;
    this.#hasWildcard = hasWildcard(filter);
    this.#isOfAll = filter === '';
    let mask = 0;
    if (rule.qos === undefined) mask = ANY_QOS;
    else for (const qos of rule.qos) mask |= 1 << qos;
    this.#qosMask = mask;
    this.#retain = rule.retain;
  }

  decidesPublish(topic: string, qos: number, retain: boolean): boolean {
    if (this.#action !== 'publish' && this.#action !== 'all') return false;
    if ((this.#qosMask & (1 << qos)) === 0) return false;
    if (this.#retain !== undefined && this.#retain !== retain) return false;
    if (this.#isOfAll) return true;
    return this.#isLiteral || !this.#hasWildcard ? this.#filter === topic : matches(this.#filter, topic);
  }

  /** An allowance must reach all that is asked for; a denial decides when it reaches any of it. */
  decidesRead(filter: string, qos: number, how: 'subscribe' | 'consume'): boolean {
    if (this.#action === 'publish') return false;
    if (this.#action === 'consume' && how !== 'consume') return false;
    if ((this.#qosMask & (1 << qos)) === 0) return false;
    if (this.#isOfAll) return true;
    if (this.#isLiteral) return this.#filter === filter;
    return this.allows ? covers(this.#filter, filter) : overlaps(this.#filter, filter);
  }
}

const ANY_QOS = 0b111;

/** @returns the filter; when a name cannot be placed, the filter of all that lies at its level and below (empty: all). */
function placeNames(template: string, subject: AccessSubject): { text: string; isPlaced: boolean } {
  const levels = template.split('/');
  for (const [i, level] of levels.entries()) {
    const placed = placeLevel(level, subject);
    if (placed === undefined || (i === 0 && placed !== level && placed.startsWith('$'))) {
      return { text: i === 0 ? '' : `${levels.slice(0, i).join('/')}/#`, isPlaced: false };
    }
    levels[i] = placed;
  }
  return { text: levels.join('/'), isPlaced: true };
}

function placeLevel(level: string, { user, clientId }: AccessSubject): string | undefined {
  let placed = '';
  let from = 0;
  for (;;) {
    const open = level.indexOf('${', from);
    if (open < 0) return placed + level.slice(from);
    const close = level.indexOf('}', open);
    const name = level.slice(open + 2, close);
    const value = name === PLACEHOLDERS[0] ? user : clientId;
    // A topic name is without wildcards and NUL; a level is without a slash, too.
    if (value === undefined || value.includes('/') || !isTopicName(value)) return undefined;
    placed += level.slice(from, open) + value;
    from = close + 1;
  }
}
