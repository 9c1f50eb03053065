import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import type { Fleet } from './fleet.ts';

/** What is done to the time of day of machines, and to nothing else of them. */
export class ClockFaults {
  readonly #parts: { world: SimWorld; draw: Draw; fleet: Fleet; faultMsMax: number };
  #isAstray = false;

  constructor(parts: { world: SimWorld; draw: Draw; fleet: Fleet; faultMsMax: number }) {
    this.#parts = parts;
  }

  /** And stays so, or is put right again. */
  jump(): void {
    const { world, draw, fleet, faultMsMax } = this.#parts;
    const { name, clock } = draw.oneOf([...fleet.machines()]);
    const byMs = draw.oneOf([50, 3_000, 60_000, 3_600_000]) * draw.oneOf([1, -1]);
    clock.offsetMs += byMs;
    world.trace.add(world.nowMs, 'nemesis', `the clock of ${name} jumps by ${byMs}`);
    if (draw.onceIn(2)) return;
    world.after(draw.between(50, faultMsMax), world.outside, () => {
      clock.offsetMs -= byMs;
    });
  }

  /** One at a time: of three clocks two are right. */
  goAstray(): void {
    const { world, draw, fleet, faultMsMax } = this.#parts;
    if (this.#isAstray) return;
    this.#isAstray = true;
    const leaders = [...fleet.stores.values()].filter(({ host }) => host?.leads(1));
    const { name, clock } = draw.oneOf(draw.onceIn(2) && leaders.length > 0 ? leaders : [...fleet.machines()]);
    const byMs = draw.oneOf([3_600_000, 86_400_000, 5 * 365 * 86_400_000]) * draw.oneOf([1, 1, -1]);
    clock.offsetMs += byMs;
    world.trace.add(world.nowMs, 'nemesis', `the clock of ${name} goes astray by ${byMs}`);
    world.after(draw.between(50, 3 * faultMsMax), world.outside, () => {
      clock.offsetMs -= byMs;
      this.#isAstray = false;
    });
  }
}
