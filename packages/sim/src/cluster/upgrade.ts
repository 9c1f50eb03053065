import type { Coordinator } from '@sluice/coordinator/coordinator';
import { FIRST_LEVEL, type LevelRange } from '@sluice/meta/feature-levels';
import type { Draw } from '../draw.ts';
import type { Life, SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { Fleet } from './fleet.ts';
import type { GatewayNode } from './gateway-node.ts';
import { StoreNode } from './store-node.ts';

export interface UpgradeKnobs {
  /** Undefined: of a build from before there were levels. */
  former: LevelRange | undefined;
  newer: LevelRange;
  everyMs: number;
  /** Each time a machine is due, once in so many times one that is upgraded goes back to the former build first; undefined: none does. */
  backOneIn?: number;
}

/**
 * Machines get another build one by one, in any order, while everything else goes on; some of them go back, while others
 * have not been upgraded. The level of a cluster never falls, and until its last machine is upgraded there is always one of
 * the former build, so it is enough to look just before a machine is upgraded: what nobody believed then, nobody wrote.
 */
export class Upgrade {
  readonly #world: SimWorld;
  readonly #fleet: Fleet;
  readonly #draw: Draw;
  readonly #knobs: UpgradeKnobs;
  /** Goes back, and is not up yet. */
  #returning: { machine: StoreNode | GatewayNode; former: Life } | undefined;

  /** Of the rise, once everybody is upgraded and up. */
  static readonly RISE_MS_MAX = 30_000;
  static readonly LOOK_MS = 100;

  constructor(options: { world: SimWorld; draw: Draw; fleet: Fleet; knobs: UpgradeKnobs }) {
    this.#world = options.world;
    this.#draw = options.draw;
    this.#fleet = options.fleet;
    this.#knobs = options.knobs;
  }

  begin(): void {
    this.#world.after(this.#knobs.everyMs, this.#world.outside, () => {
      const { backOneIn } = this.#knobs;
      if (backOneIn !== undefined && this.#draw.onceIn(backOneIn)) this.#back();
      if (this.#next()) this.begin();
    });
  }

  /** Nobody is left behind. */
  async end(): Promise<void> {
    while (this.#next()) await this.#world.run(this.#world.nowMs + this.#knobs.everyMs);
    const isUp = (): boolean => [...this.#fleet.machines()].every(({ state }) => state === 'up');
    await this.#until('every upgraded machine is up', isUp);
    const isRisen = (): boolean => this.#levels().every((level) => level === this.#knobs.newer.max);
    await this.#until(`the level rises to ${this.#knobs.newer.max}`, isRisen);
  }

  /** What the metadata says, every replica of it says. */
  atTheEnd(): void {
    for (const { name, coordinator } of this.#fleet.stores.values()) {
      const level = levelOf(coordinator) ?? this.#knobs.newer.max;
      if (level !== this.#knobs.newer.max) throw new Violation('level', `${name} is at level ${level} in the end`);
    }
  }

  /** False when all are upgraded. */
  #next(): boolean {
    const former = [...this.#fleet.machines()].filter(({ levels }) => levels !== this.#knobs.newer);
    if (former.length === 0) return false;
    if (this.#isReturning()) return true;
    const machine = this.#draw.oneOf(former);
    const early = this.#levels().find((level) => level > FIRST_LEVEL.level);
    if (early !== undefined) {
      this.#world.fail(new Violation('level', `${machine.name} is of the former build, and the level is ${early}`));
      return false;
    }
    machine.levels = this.#knobs.newer;
    this.#world.trace.add(this.#world.nowMs, machine.name, 'is upgraded');
    this.#restart(machine);
    return true;
  }

  /** What one has written the former build reads, for as long as there is a machine of that. */
  #back(): void {
    const machines = [...this.#fleet.machines()];
    const upgraded = machines.filter(({ levels }) => levels === this.#knobs.newer);
    if (upgraded.length === 0 || upgraded.length === machines.length || this.#isReturning()) return;
    const machine = this.#draw.oneOf(upgraded);
    machine.levels = this.#knobs.former;
    this.#returning = { machine, former: machine.life };
    this.#world.trace.add(this.#world.nowMs, machine.name, 'goes back to the former build');
    this.#restart(machine);
  }

  /** One after the other: until it is there as what it was, everybody believes that it is of the newer build. */
  #isReturning(): boolean {
    if (this.#returning === undefined) return false;
    const { machine, former } = this.#returning;
    const isThere = machine.life !== former && machine.state === 'up';
    if (isThere) this.#returning = undefined;
    return !isThere;
  }

  /** A machine that is down starts with what is installed. */
  #restart(machine: StoreNode | GatewayNode): void {
    if (machine.state === 'down') return;
    if (machine instanceof StoreNode && machine.state === 'up' && !machine.life.paused) {
      machine.stop(() => this.#world.after(0, this.#world.outside, () => machine.start()));
      return;
    }
    machine.kill('process');
    this.#world.after(0, this.#world.outside, () => machine.start());
  }

  /** As the images of all machines that run have it, and the metadata of all coordinators. */
  #levels(): number[] {
    const levels: number[] = [];
    for (const { topology } of this.#fleet.machines()) {
      if (topology !== undefined && topology.epoch > 0) levels.push(topology.featureLevel.level);
    }
    for (const { coordinator } of this.#fleet.stores.values()) {
      const level = levelOf(coordinator);
      if (level !== undefined) levels.push(level);
    }
    return levels;
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    if (await this.#world.runUntil(this.#world.nowMs + Upgrade.RISE_MS_MAX, Upgrade.LOOK_MS, holds)) return;
    throw new Violation('liveness', `not so: ${what}; levels ${this.#levels()}; ${this.#fleet.describe()}`);
  }
}

/** Undefined: it has no metadata. There may be more coordinators than the metadata has copies. */
function levelOf(coordinator: Coordinator | undefined): number | undefined {
  return coordinator === undefined || coordinator.machine.epoch === 0
    ? undefined
    : coordinator.machine.featureLevel.level;
}
