import { expect, test } from '@jest/globals';
import { RemoteGroup, RemoteRoutes, topicFilterOf } from '@sluice/gateway/live/remote-routes';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import fc from 'fast-check';

const FILTERS = ['a', 'b', 'a/b', 'a/+', '+/b', '#', 'a/#', '+'];
const TOPICS = ['a', 'b', 'a/b', 'a/b/c', '$a'];
const route = fc.record({ filter: fc.constantFrom(...FILTERS), share: fc.constantFrom('', 'g', 'h') });
const step = fc.oneof(
  fc.record({ type: fc.constant('add' as const), gateway: fc.constantFrom('A', 'B', 'C'), route }),
  fc.record({ type: fc.constant('remove' as const), gateway: fc.constantFrom('A', 'B', 'C'), route }),
  fc.record({ type: fc.constant('gone' as const), gateway: fc.constantFrom('A', 'B', 'C'), route }),
);

test('whatever is added and taken back, every topic goes to whom a list of pairs would send it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const elsewhere = new Set<string>();
      const routes = new RemoteRoutes<string>((topicFilter, isElsewhere) => {
        expect(elsewhere.has(topicFilter)).toBe(!isElsewhere);
        if (isElsewhere) elsewhere.add(topicFilter);
        else elsewhere.delete(topicFilter);
      });
      let pairs: { gateway: string; filter: string; share: string }[] = [];
      for (const { type, gateway, route } of steps) {
        const same = (pair: (typeof pairs)[number]): boolean =>
          pair.gateway === gateway && pair.filter === route.filter && pair.share === route.share;
        if (type === 'add') {
          routes.add(gateway, route);
          if (!pairs.some(same)) pairs.push({ gateway, ...route });
        } else if (type === 'remove') {
          routes.remove(gateway, route);
          pairs = pairs.filter((pair) => !same(pair));
        } else {
          routes.removeAll(gateway);
          pairs = pairs.filter((pair) => pair.gateway !== gateway);
        }
        // Asked after every step, so that what is cached must follow.
        for (const topic of TOPICS) {
          const found = routes.match(topic);
          const plain = found.filter((match) => typeof match === 'string');
          const wanted = pairs.filter((pair) => matches(pair.filter, topic));
          expect([...plain].sort()).toEqual(
            [...new Set(wanted.filter((pair) => pair.share === '').map((pair) => pair.gateway))].sort(),
          );
          const groups = found.filter((match) => match instanceof RemoteGroup);
          const members = groups.flatMap((group) => group.gateways.map((each) => `${group.topicFilter} ${each}`));
          expect(members.sort()).toEqual(
            wanted
              .filter((pair) => pair.share !== '')
              .map((pair) => `${topicFilterOf(pair)} ${pair.gateway}`)
              .sort(),
          );
        }
        expect(routes.size).toBe(pairs.length);
        expect([...elsewhere].sort()).toEqual(
          [...new Set(pairs.filter((pair) => pair.share !== '').map(topicFilterOf))].sort(),
        );
      }
    }),
    { numRuns: 60 },
  );
});
