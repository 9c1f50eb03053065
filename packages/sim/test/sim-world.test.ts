import { describe, expect, test } from '@jest/globals';
import { simulate } from '../src/simulation.ts';

describe('a simulated world', () => {
  test('has timers of its own, and promises move on between two events', async () => {
    const heard: string[] = [];
    const verdict = await simulate('test', 1, {}, async (world) => {
      setTimeout(async () => {
        heard.push(`timeout ${world.nowMs}`);
        for (let i = 0; i < 10; i++) await undefined;
        heard.push('ten promises later');
      }, 100);
      setTimeout(() => heard.push(`next ${world.nowMs}`), 100);
      const interval = setInterval(() => heard.push(`interval ${world.nowMs}`), 60);
      await world.run(150);
      clearInterval(interval);
      await world.run(1_000);
      return '';
    });
    expect(verdict.failure).toBeUndefined();
    expect(heard).toEqual(['interval 60', 'timeout 100', 'ten promises later', 'next 100', 'interval 120']);
  });

  test('the time of day and chance are not to be had', async () => {
    for (const act of [() => Date.now(), () => Math.random(), () => performance.now(), () => process.hrtime()]) {
      const verdict = await simulate('test', 1, {}, async (world) => {
        setTimeout(() => {
          try {
            act();
          } catch {
            // Whoever swallows it is found out all the same.
          }
        }, 1);
        await world.run(10);
        return '';
      });
      expect(verdict.failure?.message).toContain('was called within a simulation');
    }
    expect(Date.now()).toBeGreaterThan(0);
  });

  test('timers of a life that ended vanish; those of a stopped one come at once, in order', async () => {
    const heard: string[] = [];
    await simulate('test', 1, {}, async (world) => {
      const [dies, stops] = [world.life('dies'), world.life('stops')];
      world.after(0, dies, () => setInterval(() => heard.push('dead'), 10));
      world.after(0, stops, () => setInterval(() => heard.push(`stopped ${world.nowMs}`), 10));
      await world.run(5);
      dies.end();
      stops.pause();
      await world.run(100);
      stops.resume();
      await world.run(105);
      return '';
    });
    expect(heard).toEqual(['stopped 100']);
  });

  test('is alone in its process', async () => {
    const first = simulate('test', 1, {}, async (world) => {
      await world.run(10);
      return 'whole';
    });
    await expect(simulate('test', 2, {}, async () => '')).rejects.toThrow('a simulation is still going on');
    expect((await first).summary).toBe('whole');
    expect((await simulate('test', 2, {}, async () => '')).failure).toBeUndefined();
  });
});
