import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Deadline, DeadlineWheel } from '../src/connection/deadline-wheel.ts';

class Alarm extends Deadline {
  atMs = 0;
  readonly fired: number[] = [];
  again: (() => void) | undefined;
  expired(nowMs: number): void {
    this.fired.push(nowMs);
    this.again?.();
  }
}

const TICK_MS = 10;
const step = fc.oneof(
  fc.record({ do: fc.constant('arm' as const), alarm: fc.nat({ max: 5 }), inMs: fc.nat({ max: 500 }) }),
  fc.record({ do: fc.constant('disarm' as const), alarm: fc.nat({ max: 5 }), inMs: fc.constant(0) }),
  fc.record({ do: fc.constant('wait' as const), alarm: fc.constant(0), inMs: fc.nat({ max: 300 }) }),
);

test('every deadline comes once: never early, at most a tick late, in whatever slot it lies', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let nowMs = 12_345;
      const wheel = new DeadlineWheel(TICK_MS, nowMs, 8);
      const alarms = Array.from({ length: 6 }, () => new Alarm());
      const armed = new Map<Alarm, number>();
      for (const { do: what, alarm: index, inMs } of steps) {
        const alarm = alarms[index] as Alarm;
        if (what === 'arm') {
          wheel.arm(alarm, nowMs + inMs);
          armed.set(alarm, nowMs + inMs);
        } else if (what === 'disarm') {
          wheel.disarm(alarm);
          armed.delete(alarm);
        } else {
          nowMs += inMs;
          for (const a of alarms) a.fired.length = 0;
          wheel.advance(nowMs);
          for (const a of alarms) {
            const atMs = armed.get(a);
            if (a.fired.length > 0) {
              expect(a.fired).toEqual([nowMs]);
              expect(atMs).toBeLessThanOrEqual(nowMs);
              armed.delete(a);
            } else if (atMs !== undefined) expect(atMs).toBeGreaterThan(nowMs - 2 * TICK_MS);
          }
        }
        expect(wheel.size).toBe(armed.size);
      }
    }),
  );
});

test('an alarm may arm itself again, and disarm another that was due with it', () => {
  const wheel = new DeadlineWheel(TICK_MS, 0, 8);
  const [first, second] = [new Alarm(), new Alarm()];
  const disarm = (other: Alarm) => (): void => wheel.disarm(other);
  first.again = disarm(second);
  second.again = disarm(first);
  wheel.arm(first, 20);
  wheel.arm(second, 20);
  wheel.advance(100);
  expect(first.fired.length + second.fired.length).toBe(1);
  const loop = new Alarm();
  loop.again = () => wheel.arm(loop, 0);
  wheel.arm(loop, 110);
  wheel.advance(110);
  wheel.advance(110);
  wheel.advance(120);
  expect(loop.fired).toEqual([110, 120]);
});
