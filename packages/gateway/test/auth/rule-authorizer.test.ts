// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { describe, expect, test } from '@jest/globals';
import type { AccessRule } from '@sluice/meta/access/access-rule';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import fc from 'fast-check';
import type { AccessSubject, ClientAccess } from '../../src/auth/authorizer.ts';
import { RuleAuthorizer } from '../../src/auth/rule-authorizer.ts';
import { FileRules, parseAddresses } from '../../src/auth/scoped-rules.ts';

const ANN: AccessSubject = { user: 'ann', clientId: 'c1', peerHost: '10.1.2.3', isSuperuser: false };

function rule(text: string, more: Partial<AccessRule> = {}): AccessRule {
  const [permission, action, ...topic] = text.split(' ') as [AccessRule['permission'], AccessRule['action'], string];
  return { permission, action, topic: topic.join(' '), ...more };
}

function authorizerOf(rules: readonly AccessRule[], noMatch: 'allow' | 'deny' = 'deny'): RuleAuthorizer {
  return new RuleAuthorizer({ sources: [{ rulesFor: () => rules }], noMatch });
}

function accessOf(rules: readonly AccessRule[], subject: AccessSubject = ANN): ClientAccess {
  return authorizerOf(rules).admit(subject);
}

describe('the first rule that concerns what is asked decides', () => {
  test('by action', () => {
    const access = accessOf([rule('allow publish a/#'), rule('allow subscribe b'), rule('allow consume c')]);
    expect(access.mayPublish('a/x', 0, false)).toBe(true);
    expect(access.mayRead('a/x', 0, 'subscribe')).toBe(false);
    expect(access.mayPublish('b', 0, false)).toBe(false);
    expect(access.mayRead('b', 0, 'subscribe')).toBe(true);
    expect(access.mayRead('b', 1, 'consume')).toBe(true);
    expect(access.mayRead('c', 0, 'subscribe')).toBe(false);
    expect(access.mayRead('c', 1, 'consume')).toBe(true);
  });

  test('by order', () => {
    const access = accessOf([rule('allow all a/open'), rule('deny all a/#'), rule('allow all #')]);
    expect(access.mayPublish('a/open', 1, false)).toBe(true);
    expect(access.mayPublish('a/shut', 1, false)).toBe(false);
    expect(access.mayPublish('b', 1, false)).toBe(true);
  });

  test('by QoS and retain, where a rule names them', () => {
    const access = accessOf([rule('deny publish t', { retain: true }), rule('allow publish t', { qos: [0, 1] })]);
    expect(access.mayPublish('t', 1, false)).toBe(true);
    expect(access.mayPublish('t', 1, true)).toBe(false);
    expect(access.mayPublish('t', 2, false)).toBe(false);
    expect(access.mayPublish('t', 1, false)).toBe(true);
  });

  test('`eq` is that filter and no other', () => {
    const access = accessOf([rule('deny subscribe eq #'), rule('allow subscribe eq a/+'), rule('allow subscribe b/#')]);
    expect(access.mayRead('#', 0, 'subscribe')).toBe(false);
    expect(access.mayRead('a/+', 0, 'subscribe')).toBe(true);
    expect(access.mayRead('a/x', 0, 'subscribe')).toBe(false);
    expect(access.mayRead('b/+/c', 0, 'subscribe')).toBe(true);
  });

  test('a filter that reaches further than what is allowed is refused, and one that touches what is denied', () => {
    const access = accessOf([rule('deny subscribe a/secret'), rule('allow subscribe a/#')]);
    expect(access.mayRead('#', 0, 'subscribe')).toBe(false);
    expect(access.mayRead('a/#', 0, 'subscribe')).toBe(false);
    expect(access.mayRead('a/+', 0, 'subscribe')).toBe(false);
    expect(access.mayRead('a/b/#', 0, 'subscribe')).toBe(true);
  });

  test('nothing is decided by a rule: what the configuration says', () => {
    expect(authorizerOf([], 'allow').admit(ANN).mayPublish('x', 0, false)).toBe(true);
    expect(authorizerOf([], 'deny').admit(ANN).mayRead('x', 0, 'subscribe')).toBe(false);
  });

  test('a superuser is asked nothing', () => {
    expect(accessOf([rule('deny all #')], { ...ANN, isSuperuser: true }).mayPublish('x', 0, false)).toBe(true);
  });
});

/** What is allowed to be subscribed to is, topic by topic, allowed by the first rule that matches the topic. */
test('B25: no subscription reaches a topic that the rules deny', () => {
  const level = fc.constantFrom('a', 'b', '+');
  const filter = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'));
  const rules = fc.array(
    fc.tuple(fc.constantFrom('allow', 'deny'), filter).map(([permission, topic]) => rule(`${permission} all ${topic}`)),
    { maxLength: 5 },
  );
  const topics = ['a', 'b', 'c'].flatMap((x) => [
    x,
    ...['a', 'b', 'c'].flatMap((y) => [`${x}/${y}`, `${x}/${y}/a`, `${x}/${y}/c`]),
  ]);
  fc.assert(
    fc.property(rules, filter, (all, asked) => {
      if (!accessOf(all).mayRead(asked, 0, 'subscribe')) return true;
      return topics
        .filter((topic) => matches(asked, topic))
        .every((topic) => all.find((one) => matches(one.topic, topic))?.permission === 'allow');
    }),
    { numRuns: 2_000, seed: 7 },
  );
});

describe('B20: names of clients cannot widen a rule', () => {
  const allow = [
    rule('allow all home/${username}/#'),
    rule('allow all ${username}/own'),
    rule('allow all d-${clientid}'),
  ];

  test('a plain name stands where its placeholder was', () => {
    const access = accessOf(allow);
    expect(access.mayPublish('home/ann/x', 0, false)).toBe(true);
    expect(access.mayPublish('home/bob/x', 0, false)).toBe(false);
    expect(access.mayRead('home/ann/#', 0, 'subscribe')).toBe(true);
    expect(access.mayPublish('ann/own', 0, false)).toBe(true);
    expect(access.mayPublish('d-c1', 0, false)).toBe(true);
  });

  test.each([['+'], ['#'], ['a/b'], ['../x'], ['ann/#'], ['an\u0000n'], [''], ['x+'], ['\ud800']])(
    'the user name %j gets nothing by it',
    (user) => {
      const access = accessOf(allow, { ...ANN, user });
      for (const topic of ['home/ann/x', 'home/a/b/x', 'home/+/x', 'ann/own', `home/${user}/x`]) {
        expect(access.mayPublish(topic, 0, false)).toBe(false);
        expect(access.mayRead(topic, 0, 'subscribe')).toBe(false);
      }
      expect(access.mayRead('home/#', 0, 'subscribe')).toBe(false);
    },
  );

  test.each([['$SYS'], ['$share'], ['$q']])('nor does %s, where it would be the first level', (user) => {
    const access = accessOf([rule('allow all ${username}/#')], { ...ANN, user });
    expect(access.mayPublish(`${user}/x`, 0, false)).toBe(false);
    expect(access.mayRead(`${user}/#`, 0, 'subscribe')).toBe(false);
  });

  test('without a proved user name, ${username} is nobody', () => {
    expect(accessOf(allow, { ...ANN, user: undefined }).mayPublish('home/undefined/x', 0, false)).toBe(false);
  });

  test('a name that cannot be placed is no way around a denial either', () => {
    const denied = [rule('deny all home/${username}/secret'), rule('allow all #')];
    expect(accessOf(denied).mayPublish('home/ann/secret', 0, false)).toBe(false);
    expect(accessOf(denied).mayPublish('home/ann/open', 0, false)).toBe(true);
    const strange = accessOf(denied, { ...ANN, user: 'a/b' });
    expect(strange.mayPublish('home/a/b/secret', 0, false)).toBe(false);
    expect(strange.mayPublish('home/other', 0, false)).toBe(false);
    expect(strange.mayPublish('elsewhere', 0, false)).toBe(true);
  });
});

describe('whom a rule concerns', () => {
  const list = parseAddresses(['10.1.0.0/16', '2001:db8::/32', '192.0.2.7']);
  if ('wrong' in list) throw new Error(list.wrong);
  const file = new FileRules([
    { users: new Set(['ann']), clientIds: undefined, addresses: undefined, rules: [rule('allow publish user')] },
    { users: undefined, clientIds: new Set(['c1']), addresses: undefined, rules: [rule('allow publish client')] },
    { users: undefined, clientIds: undefined, addresses: list.list, rules: [rule('allow publish address')] },
    { users: new Set(['ann']), clientIds: new Set(['c2']), addresses: undefined, rules: [rule('allow publish both')] },
  ]);
  const allowed = (subject: Partial<AccessSubject>): string[] => {
    const access = new RuleAuthorizer({ sources: [file], noMatch: 'deny' }).admit({ ...ANN, ...subject });
    return ['user', 'client', 'address', 'both'].filter((topic) => access.mayPublish(topic, 0, false));
  };

  test('all that is said must hold', () => {
    expect(allowed({})).toEqual(['user', 'client', 'address']);
    expect(allowed({ clientId: 'c2' })).toEqual(['user', 'address', 'both']);
    expect(allowed({ user: undefined, clientId: 'x', peerHost: '::ffff:10.1.9.9' })).toEqual(['address']);
    expect(allowed({ user: '__proto__', clientId: 'constructor', peerHost: '2001:db8::1' })).toEqual(['address']);
    expect(allowed({ user: undefined, clientId: 'x', peerHost: '10.2.0.1' })).toEqual([]);
    expect(allowed({ user: undefined, clientId: 'x', peerHost: '' })).toEqual([]);
  });

  test.each([['10.0.0.0/33'], ['10.0.0'], ['::1/129'], ['host'], ['10.0.0.0/8/8'], ['10.0.0.0/'], ['']])(
    '%j is no address',
    (text) => {
      expect(parseAddresses([text])).toEqual({ wrong: text });
    },
  );
});

test('after a change answers are new ones, those that were remembered too', () => {
  const rules = [rule('allow all a')];
  const authorizer = authorizerOf(rules);
  let told = 0;
  authorizer.onChange(() => told++);
  const access = authorizer.admit(ANN);
  expect(access.mayPublish('a', 0, false)).toBe(true);
  rules[0] = rule('deny all a');
  expect(access.mayPublish('a', 0, false)).toBe(true);
  authorizer.changed();
  expect(access.mayPublish('a', 0, false)).toBe(false);
  expect(told).toBe(1);
});

test('any number of topics gives the answers of the rules', () => {
  const access = accessOf([rule('deny all t/+/x'), rule('allow all t/#', { qos: [1] })]);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 300; i++) {
      expect(access.mayPublish(`t/${i}`, 1, false)).toBe(true);
      expect(access.mayPublish(`t/${i}/x`, 1, false)).toBe(false);
      expect(access.mayPublish(`t/${i}`, 0, false)).toBe(false);
    }
  }
});
