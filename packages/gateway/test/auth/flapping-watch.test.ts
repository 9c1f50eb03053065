import { expect, test } from '@jest/globals';
import { anonymousAuthenticator } from '../../src/auth/authenticator.ts';
import { FlappingWatch } from '../../src/auth/flapping-watch.ts';

test('who opens its session too often within a window is banned, once; a quiet client never is', () => {
  let nowMs = 0;
  const banned: string[] = [];
  const watch = new FlappingWatch(anonymousAuthenticator, {
    connectsMax: 3,
    windowMs: 1_000,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    ban: (clientId) => banned.push(clientId),
  });
  const connect = (clientId: string): boolean => watch.mayOpen(clientId);
  expect([connect('a'), connect('a'), connect('a'), connect('a')]).toEqual([true, true, true, false]);
  expect(connect('a')).toBe(false);
  expect(banned).toEqual(['a']);
  for (let i = 0; i < 20; i++) {
    nowMs += 400;
    expect(connect('quiet')).toBe(true);
  }
  expect(connect('__proto__')).toBe(true);
  expect(banned).toEqual(['a']);
});
