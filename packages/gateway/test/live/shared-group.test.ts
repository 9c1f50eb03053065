import { describe, expect, test } from '@jest/globals';
import { LiveRouter } from '@sluice/gateway/live/live-router';
import { publish, RecordingSubscriber, subscription } from './fixtures.ts';

function group(count: number): { router: LiveRouter; members: RecordingSubscriber[] } {
  const router = new LiveRouter();
  const members = Array.from({ length: count }, (_, i) => new RecordingSubscriber(`m${i}`));
  for (const member of members) router.subscribe(member, subscription('$share/g/jobs/+'));
  return { router, members };
}

function counts(members: RecordingSubscriber[]): number[] {
  return members.map((member) => member.take().length);
}

describe('a shared group', () => {
  test('gives each message to one member, each member a turn a round', () => {
    const { router, members } = group(3);
    for (let i = 0; i < 9; i++) expect(router.route(publish('jobs/1'))).toBe(1);
    expect(counts(members)).toEqual([3, 3, 3]);
  });

  test('passes over a member that is not ready', () => {
    const { router, members } = group(3);
    (members[1] as RecordingSubscriber).ready = false;
    for (let i = 0; i < 4; i++) router.route(publish('jobs/1'));
    expect(counts(members)).toEqual([2, 0, 2]);
  });

  test('with nobody ready goes on in turn', () => {
    const { router, members } = group(3);
    for (const member of members) member.ready = false;
    for (let i = 0; i < 6; i++) router.route(publish('jobs/1'));
    expect(counts(members)).toEqual([2, 2, 2]);
  });

  test('asks only so many members before it gives up on a ready one', () => {
    const { router, members } = group(1_000);
    let asked = 0;
    for (const member of members) {
      Object.defineProperty(member, 'ready', {
        get: () => {
          asked++;
          return false;
        },
      });
    }
    router.route(publish('jobs/1'));
    expect(asked).toBe(64);
  });

  test('gets its own copy beside ordinary subscriptions and other groups', () => {
    const { router, members } = group(2);
    const plain = new RecordingSubscriber('plain');
    router.subscribe(plain, subscription('jobs/#'));
    router.subscribe(plain, subscription('$share/other/jobs/+', { identifier: 7 }));
    expect(router.route(publish('jobs/1'))).toBe(3);
    expect(counts(members).reduce((sum, n) => sum + n, 0)).toBe(1);
    expect(plain.take().length).toBe(2);
    expect(router.sharedGroups).toBe(2);
  });

  test('redelivers to anyone but the one who refused, ready or not', () => {
    const { router, members } = group(3);
    const [refuser, other, third] = members as [RecordingSubscriber, RecordingSubscriber, RecordingSubscriber];
    for (let i = 0; i < 4; i++)
      expect(router.redeliverShared(publish('jobs/1'), '$share/g/jobs/+', refuser)).toBe(true);
    expect(counts(members)).toEqual([0, 2, 2]);
    other.ready = false;
    third.ready = false;
    expect(router.redeliverShared(publish('jobs/1'), '$share/g/jobs/+', refuser)).toBe(true);
    expect(refuser.take()).toEqual([]);
    router.leave(other);
    router.unsubscribe(third, '$share/g/jobs/+');
    expect(router.redeliverShared(publish('jobs/1'), '$share/g/jobs/+', refuser)).toBe(false);
    expect(router.redeliverShared(publish('jobs/1'), '$share/nobody/x', refuser)).toBe(false);
  });

  test('keeps its turns while members come and go, and ends with the last', () => {
    const { router, members } = group(5);
    router.route(publish('jobs/1'));
    router.leave(members[0] as RecordingSubscriber);
    router.leave(members[3] as RecordingSubscriber);
    counts(members);
    for (let i = 0; i < 6; i++) router.route(publish('jobs/1'));
    expect(counts(members)).toEqual([0, 2, 2, 0, 2]);
    for (const member of members) router.leave(member);
    expect(router.route(publish('jobs/1'))).toBe(0);
    expect([router.sharedGroups, router.subscriptions]).toEqual([0, 0]);
  });

  test('a member that subscribes again keeps one place with the new identifier', () => {
    const { router, members } = group(1);
    const [member] = members as [RecordingSubscriber];
    expect(router.subscribe(member, subscription('$share/g/jobs/+', { identifier: 9 }))).toBe('replaced');
    expect(router.route(publish('jobs/1'))).toBe(1);
    expect(member.take()).toEqual([['jobs/1', 9]]);
    expect([...router.subscriptionsOf(member)].length).toBe(1);
  });

  test('a thousand members leave in the time of a thousand', () => {
    const { router, members } = group(1_000);
    for (const member of members) expect(router.leave(member).shared).toBe(1);
    expect(router.sharedGroups).toBe(0);
  });
});
