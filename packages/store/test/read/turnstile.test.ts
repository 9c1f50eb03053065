import { expect, test } from '@jest/globals';
import { Turnstile } from '../../src/read/turnstile.ts';

test('lets so many in at once, the others in the order of their coming', async () => {
  const turnstile = new Turnstile(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const passes = [1, 2, 3, 4].map((n) =>
    turnstile.pass(() => {
      begun.push(n);
      return new Promise<void>((resolve) => ends.push(resolve));
    }),
  );
  await turns();
  expect(begun).toEqual([1, 2]);
  ends[1]?.();
  await turns();
  expect(begun).toEqual([1, 2, 3]);
  for (const end of ends) end();
  await turns();
  for (const end of ends) end();
  await Promise.all(passes);
  expect(begun).toEqual([1, 2, 3, 4]);
});

test('a failure gives its place away like any end', async () => {
  const turnstile = new Turnstile(1);
  await expect(turnstile.pass(() => Promise.reject(new Error('of a test')))).rejects.toThrow('of a test');
  expect(await turnstile.pass(() => Promise.resolve(5))).toBe(5);
});

test('remembers nobody for ever, though somebody waits all the time', async () => {
  const turnstile = new Turnstile(1);
  let left = 3 * Turnstile.FORGOTTEN_AT;
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      await turnstile.pass(async () => {});
      expect(turnstile.length).toBeLessThanOrEqual(Turnstile.FORGOTTEN_AT + 3);
    }
  };
  await Promise.all([one(), one(), one()]);
});

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
