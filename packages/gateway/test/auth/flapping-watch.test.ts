import { expect, test } from '@jest/globals';
import type { AuthenticationOutcome } from '../../src/auth/authenticator.ts';
import { FlappingWatch } from '../../src/auth/flapping-watch.ts';

test('who is let in too often within a window is banned; who fails is not counted, and a quiet client never is', async () => {
  let nowMs = 0;
  const banned: string[] = [];
  const inner = {
    method: 'inner',
    authenticate: ({
      username,
    }: {
      username?: string | undefined;
    }): AuthenticationOutcome | Promise<AuthenticationOutcome> => {
      const outcome = { reasonCode: username === 'wrong' ? 0x86 : 0, identity: username };
      return username === 'slow' ? Promise.resolve(outcome) : outcome;
    },
  };
  const watch = new FlappingWatch(inner, {
    connectsMax: 3,
    windowMs: 1_000,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    ban: (clientId) => banned.push(clientId),
  });
  const connect = async (clientId: string, username?: string): Promise<number> =>
    (await watch.authenticate({ clientId, username, password: undefined, peerHost: '' })).reasonCode;
  for (let i = 0; i < 10; i++) expect(await connect('victim', 'wrong')).toBe(0x86);
  expect([await connect('a'), await connect('a'), await connect('a', 'slow'), await connect('a')]).toEqual([
    0, 0, 0, 0x8a,
  ]);
  expect(await connect('a')).toBe(0x8a);
  expect(banned).toEqual(['a']);
  for (let i = 0; i < 20; i++) {
    nowMs += 400;
    expect(await connect('quiet')).toBe(0);
  }
  expect(await connect('__proto__')).toBe(0);
  expect(banned).toEqual(['a']);
});
