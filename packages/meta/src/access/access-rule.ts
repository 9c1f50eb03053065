import { parseTopicFilter, topicFilterProblem } from '@sluice/mqtt/topic/topic-filter';

/**
 * One permission: may such a client do this with topics of that filter? Rules are read in order and the first that
 * concerns what is asked decides. A rule speaks of topics, never of the ways to read them: one on `jobs` governs
 * `jobs`, `$share/<group>/jobs`, `$q/jobs`, `$queue/<name>/jobs` and, by the queue's own filter, `$queue/<name>` alike.
 */
export interface AccessRule {
  readonly permission: 'allow' | 'deny';
  readonly action: AccessAction;
  /**
   * A topic filter, with `${username}` and `${clientid}` for who asks; after `eq ` the text of a filter itself: `eq #`
   * is the subscription to `#` and no other.
   */
  readonly topic: string;
  /** Undefined: any. */
  readonly qos?: readonly number[] | undefined;
  /** Of a publish; undefined: with and without. */
  readonly retain?: boolean | undefined;
}

/** `subscribe` is every way of reading, queues included; `consume` is taking from queues alone. */
export const ACCESS_ACTIONS = ['publish', 'subscribe', 'consume', 'all'] as const;
export type AccessAction = (typeof ACCESS_ACTIONS)[number];

export const PLACEHOLDERS = ['username', 'clientid'] as const;
export const LITERAL_PREFIX = 'eq ';

/** What a rule says when somebody tries to place a client's name in it. */
const PLACEHOLDER_OPEN = '${';

/** Undefined for a filter that may stand in a rule; otherwise what is wrong with it. */
export function ruleTopicProblem(topic: string): string | undefined {
  let filter = topic.startsWith(LITERAL_PREFIX) ? topic.slice(LITERAL_PREFIX.length) : topic;
  for (const name of PLACEHOLDERS) filter = filter.replaceAll(`\${${name}}`, 'x');
  if (filter.includes(PLACEHOLDER_OPEN)) {
    return `knows no placeholders but ${PLACEHOLDERS.map((name) => `\${${name}}`).join(' and ')}`;
  }
  const problem = topicFilterProblem(filter);
  if (problem !== undefined) return `is not a topic filter: ${problem}`;
  const request = parseTopicFilter(filter);
  if (request.kind === 'plain' || topic.startsWith(LITERAL_PREFIX)) return undefined;
  return 'names a way of reading, not a topic: a rule on "jobs" governs $q/jobs, $queue/<name>/jobs and $share/<group>/jobs';
}
