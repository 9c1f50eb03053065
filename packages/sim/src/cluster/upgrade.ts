import type { Coordinator } from '@sluice/coordinator/coordinator';
import { FIRST_LEVEL, type LevelRange } from '@sluice/meta/feature-levels';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { Fleet } from './fleet.ts';
import type { GatewayNode } from './gateway-node.ts';
import { StoreNode } from './store-node.ts';

export interface UpgradeKnobs {
  /** Undefined: of a build from before there were levels. */
  former: LevelRange | undefined;
  newer: LevelRange;
  everyMs: number;
}

/**
 * Machines get another build one by one, while everything else goes on. The level of a cluster never falls and neither do
 * the builds here, so it is enough to look just before a machine is upgraded: what nobody believed then, nobody wrote.
 */
export class Upgrade {
  readonly #world: SimWorld;
  readonly #fleet: Fleet;
  readonly #knobs: UpgradeKnobs;

  /** Of the rise, once everybody is upgraded and up. */
  static readonly RISE_MS_MAX = 30_000;
  static readonly LOOK_MS = 100;

  constructor(options: { world: SimWorld; fleet: Fleet; knobs: UpgradeKnobs }) {
    this.#world = options.world;
    this.#fleet = options.fleet;
    this.#knobs = options.knobs;
  }

  begin(): void {
    this.#world.after(this.#knobs.everyMs, this.#world.outside, () => {
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
    const machine = [...this.#fleet.machines()].find(({ levels }) => levels !== this.#knobs.newer);
    if (machine === undefined) return false;
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
