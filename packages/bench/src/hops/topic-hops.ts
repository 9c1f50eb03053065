import { assert } from '@sluice/common/assert';
import { MatchCache } from '@sluice/mqtt/topic/match-cache';
import { TopicTrie } from '@sluice/mqtt/topic/topic-trie';
import type { Hop, PreparedHop } from './hop.ts';

/** Topics that are published in turn. */
const TOPICS = 64;
const ROUND_MESSAGES = 1_024;

/** Who wants a topic: among more and more filters, and when it was asked before. */
export function topicHops(): Hop[] {
  return [
    ...[1, 1_000, 100_000].map(
      (filters): Hop => ({
        name: `topic-match-${filters}`,
        what: `a topic matched among ${filters.toLocaleString('en')} filters`,
        prepare: () => matching(filters),
      }),
    ),
    { name: 'topic-match-cached', what: 'a topic that was matched before', prepare: cached },
  ];
}

/** Half of them have a wildcard, and every topic has one filter of each half as far as they reach. */
function matching(filters: number): PreparedHop {
  const trie = new TopicTrie<number>();
  for (let i = 0; i < filters; i++) trie.add(i % 2 === 0 ? topicOf(i >> 1) : `site/${i >> 1}/+/state`, i);
  const topics = Array.from({ length: TOPICS }, (_, i) => topicOf(i % Math.ceil(filters / 2)));
  let found = 0;
  const visit = (): void => {
    found++;
  };
  trie.match(topics[0] as string, visit);
  assert(found > 0, 'what is measured finds something');
  return {
    messages: ROUND_MESSAGES,
    round() {
      for (let i = 0; i < ROUND_MESSAGES; i++) trie.match(topics[i % TOPICS] as string, visit);
    },
  };
}

function cached(): PreparedHop {
  const cache = new MatchCache<number>();
  const topics = Array.from({ length: TOPICS }, (_, i) => topicOf(i));
  for (const topic of topics) cache.put(topic, [1]);
  return {
    messages: ROUND_MESSAGES,
    round() {
      for (let i = 0; i < ROUND_MESSAGES; i++) cache.get(topics[i % TOPICS] as string);
    },
  };
}

function topicOf(i: number): string {
  return `site/${i}/camera/state`;
}
