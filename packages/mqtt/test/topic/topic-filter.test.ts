import { describe, expect, test } from '@jest/globals';
import { matches, parseTopicFilter, topicFilterProblem } from '@sluice/mqtt/topic/topic-filter';
import fc from 'fast-check';
import { dollarAwareMatch, filterArbitrary, topicArbitrary } from './arbitraries.ts';

describe('a topic filter', () => {
  test.each(['#', '+', '/', '+/+', '+/#', 'a/#', '/#', 'a/+/c', '/+', '+/', 'a//b', '$SYS/#', '__proto__/+'])(
    '%j is valid',
    (filter) => expect(topicFilterProblem(filter)).toBeUndefined(),
  );

  test.each([
    ['', 'MQTT-4.7.3-1'],
    ['a#', 'MQTT-4.7.1-1'],
    ['#a', 'MQTT-4.7.1-1'],
    ['a/#/b', 'MQTT-4.7.1-1'],
    ['#/', 'MQTT-4.7.1-1'],
    ['##', 'MQTT-4.7.1-1'],
    ['a+', 'MQTT-4.7.1-2'],
    ['+a/b', 'MQTT-4.7.1-2'],
    ['a/++', 'MQTT-4.7.1-2'],
    ['+#', 'MQTT-4.7.1-2'],
    ['a\u0000b', 'MQTT-4.7.3-2'],
    ['a/\udfff', 'MQTT-1.5.4-1'],
  ])('%j is refused by %s', (filter, clause) => expect(topicFilterProblem(filter)).toContain(clause));

  test('of 65 000 levels is refused', () => expect(topicFilterProblem('+/'.repeat(32_000))).toContain('levels'));
});

describe('what a subscription asks for', () => {
  test.each([
    ['a/+', { kind: 'plain', filter: 'a/+' }],
    ['$SYS/#', { kind: 'plain', filter: '$SYS/#' }],
    ['$share', { kind: 'plain', filter: '$share' }],
    ['$queued/x', { kind: 'plain', filter: '$queued/x' }],
    ['$share/g/#', { kind: 'shared', group: 'g', filter: '#' }],
    ['$share/g//a', { kind: 'shared', group: 'g', filter: '/a' }],
    ['$share/__proto__/a/b', { kind: 'shared', group: '__proto__', filter: 'a/b' }],
    ['$q/jobs/+', { kind: 'queue-by-filter', filter: 'jobs/+' }],
    ['$q//jobs', { kind: 'queue-by-filter', filter: '/jobs' }],
    ['$queue/jobs', { kind: 'queue-by-name', name: 'jobs', filter: undefined }],
    ['$queue/jobs.v-1_x/a/#', { kind: 'queue-by-name', name: 'jobs.v-1_x', filter: 'a/#' }],
    ['$queue/7//a', { kind: 'queue-by-name', name: '7', filter: '/a' }],
  ])('%j', (text, expected) => expect(parseTopicFilter(text)).toEqual(expected));

  test.each([
    '',
    '$share/',
    '$share/g',
    '$share/g/',
    '$share//x',
    '$share/+/x',
    '$share/#',
    '$q/',
    '$q/a#',
    '$queue/',
    '$queue/-a',
    '$queue/a b',
    '$queue/+',
    '$queue/a/',
    '$queue//a',
    '$queue/a/#/b',
    '$share/g/$share/h/t',
    '$share/g/$queue/n',
    '$q/$share/g/t',
    '$q/$q/t',
    '$queue/n/$q/t',
  ])('%j is refused', (text) => expect(parseTopicFilter(text).kind).toBe('invalid'));

  test('who shares a queue is told that a queue is shared by itself', () => {
    expect(parseTopicFilter('$share/g/$queue/n')).toMatchObject({
      problem: '$queue/ may stand at the beginning only: all who subscribe to a queue share its messages',
    });
  });

  test('nothing makes the parser throw', () => {
    const prefix = fc.constantFrom('', '$share/', '$q/', '$queue/', '$share/g/');
    fc.assert(
      fc.property(prefix, fc.string({ unit: 'binary' }), (head, tail) => {
        expect(typeof parseTopicFilter(head + tail).kind).toBe('string');
      }),
      { seed: 1120 },
    );
  });
});

describe('matching one filter', () => {
  test.each([
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/#', 'sport', true],
    ['sport/#', 'sports', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/x', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/x', true],
    ['$SYS/#', '$SYS', true],
    ['a/#', 'a/$b', true],
    ['a', 'a/', false],
    ['a/', 'a', false],
    ['#', '/', true],
    ['Accounts', 'accounts', false],
    ['a/b', 'a/bc', false],
    ['a/b/c', 'a/b', false],
    ['+/#', 'a', true],
  ])('%s against %s: %s', (filter, topic, expected) => expect(matches(filter, topic)).toBe(expected));

  test('agrees with splitting both into levels', () => {
    fc.assert(
      fc.property(filterArbitrary, topicArbitrary, (filter, topic) => {
        expect(matches(filter, topic)).toBe(dollarAwareMatch(filter, topic));
      }),
      { seed: 1120, numRuns: 2000 },
    );
  });
});
