import type { Draw } from './draw.ts';
import type { SimMachine } from './sim-machine.ts';
import type { SimNetwork } from './sim-network.ts';
import type { SimWorld } from './sim-world.ts';

/** Does to the nodes what the seed drew, and takes all of it back when it is told to. */
export class Nemesis<Special extends string = never> {
  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #knobs: NemesisKnobs<Special>;
  readonly #machines: ReadonlyMap<number, SimMachine>;
  readonly #network: SimNetwork;
  readonly #special: (fault: Special, victim: SimMachine | undefined) => void;
  readonly #victim: (up: readonly SimMachine[]) => SimMachine;
  #over = false;
  readonly counts = new Map<string, number>();

  constructor(options: {
    world: SimWorld;
    draw: Draw;
    knobs: NemesisKnobs<Special>;
    machines: ReadonlyMap<number, SimMachine>;
    network: SimNetwork;
    /** Faults that only this kind of cluster has. */
    special(fault: Special, victim: SimMachine | undefined): void;
    /** Whom it hits, of those that run. */
    victim?(up: readonly SimMachine[]): SimMachine;
  }) {
    this.#world = options.world;
    this.#draw = options.draw;
    this.#knobs = options.knobs;
    this.#machines = options.machines;
    this.#network = options.network;
    this.#special = options.special;
    this.#victim = options.victim ?? ((up) => this.#draw.oneOf(up));
  }

  /** Spells of faults and spells of calm in turn: under faults alone nothing would get far enough to be lost. */
  begin(): void {
    if (this.#knobs.faults.length > 0) this.#rage(this.#world.nowMs + this.#draw.between(500, 6_000));
  }

  #rage(untilMs: number): void {
    const gapMs = this.#knobs.faultEveryMs * (0.5 + this.#draw.between(0, 100) / 100);
    this.#world.after(gapMs, this.#world.outside, () => {
      if (this.#over) return;
      if (this.#world.nowMs >= untilMs) {
        this.#calm();
        return;
      }
      const fault = this.#draw.oneOf(this.#knobs.faults);
      this.#world.trace.add(this.#world.nowMs, 'nemesis', fault);
      this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
      this.#do(fault);
      this.#rage(untilMs);
    });
  }

  #calm(): void {
    if (this.#draw.onceIn(3)) this.#heal();
    this.#world.after(this.#draw.between(500, 5_000), this.#world.outside, () => {
      if (!this.#over) this.#rage(this.#world.nowMs + this.#draw.between(500, 6_000));
    });
  }

  /** Everything heals; what lost its disk stays lost, and another has its place. */
  end(): void {
    this.#over = true;
    this.#heal();
  }

  #heal(): void {
    this.#world.trace.add(this.#world.nowMs, 'nemesis', 'everything heals');
    this.#network.mendAll();
    for (const node of this.#machines.values()) {
      node.disk.extraMs = 0;
      node.disk.hang(0);
      node.disk.failNext = 'none';
      node.disk.capacityBytes = Number.POSITIVE_INFINITY;
      node.life.resume();
      node.start();
    }
  }

  #do(fault: MachineFault | Special): void {
    const up = [...this.#machines.values()].filter((node) => node.state !== 'down');
    const node = up.length === 0 ? undefined : this.#victim(up);
    switch (fault) {
      case 'kill':
      case 'power':
        if (node !== undefined) this.#crash(node, fault === 'kill' ? 'process' : 'power');
        return;
      case 'power-all':
        for (const each of up) this.#crash(each, 'power');
        return;
      case 'pause':
        if (node !== undefined) this.#pause(node);
        return;
      case 'isolate':
        if (node !== undefined) this.#split([node.nodeId], 'both');
        return;
      case 'cut-one-way':
        if (node !== undefined) this.#split([node.nodeId], this.#draw.oneOf(['in', 'out']));
        return;
      case 'halves': {
        const ids = this.#draw.shuffled([...this.#machines.keys()]);
        this.#split(ids.slice(0, ids.length >>> 1), 'both');
        return;
      }
      case 'slow-link':
        if (node !== undefined) this.#slowLink(node);
        return;
      case 'slow-disk':
        if (node === undefined) return;
        node.disk.extraMs = this.#draw.oneOf([5, 20, 100]);
        this.#later(() => {
          node.disk.extraMs = 0;
        });
        return;
      case 'hung-disk':
        node?.disk.hang(this.#world.nowMs + this.#draw.between(100, 8_000));
        return;
      case 'sync-error':
        if (node !== undefined) node.disk.failNext = this.#draw.oneOf(['sync', 'write'] as const);
        return;
      case 'disk-full':
        if (node === undefined) return;
        node.disk.capacityBytes = node.disk.usedBytes + this.#draw.between(0, 4_000);
        this.#later(() => {
          node.disk.capacityBytes = Number.POSITIVE_INFINITY;
        });
        return;
      case 'reset-channels':
        for (const channel of [...this.#network.channels]) {
          if (node === undefined || channel.nodeId === node.nodeId) channel.expire();
        }
        return;
      default:
        this.#special(fault, node);
    }
  }

  #later(act: () => void): void {
    this.#world.after(this.#draw.between(50, this.#knobs.faultMsMax), this.#world.outside, () => {
      if (!this.#over) act();
    });
  }

  #crash(node: SimMachine, how: 'process' | 'power'): void {
    node.kill(how);
    this.#world.after(this.#draw.between(0, this.#knobs.downMsMax), this.#world.outside, () => node.start());
  }

  #pause(node: SimMachine): void {
    const { life } = node;
    life.pause();
    node.trace('is stopped');
    this.#network.paused();
    this.#later(() => {
      node.trace('goes on');
      life.resume();
    });
  }

  #split(inside: readonly number[], direction: string): void {
    const outside = [...this.#machines.keys()].filter((id) => !inside.includes(id));
    this.#world.trace.add(this.#world.nowMs, 'nemesis', `cuts ${inside} from ${outside} (${direction})`);
    const cuts: [number, number][] = [];
    for (const a of inside) {
      for (const b of outside) {
        if (direction !== 'in') cuts.push([a, b]);
        if (direction !== 'out') cuts.push([b, a]);
      }
    }
    for (const [from, to] of cuts) this.#network.cut(from, to);
    this.#later(() => {
      this.#world.trace.add(this.#world.nowMs, 'nemesis', `mends ${inside}`);
      for (const [from, to] of cuts) this.#network.mend(from, to);
    });
  }

  #slowLink(node: SimMachine): void {
    const moreMs = this.#draw.oneOf([20, 100, 600]);
    const others = [...this.#machines.keys()];
    for (const id of others) {
      this.#network.slow(node.nodeId, id, moreMs);
      this.#network.slow(id, node.nodeId, moreMs);
    }
    this.#later(() => {
      for (const id of others) {
        this.#network.slow(node.nodeId, id, 0);
        this.#network.slow(id, node.nodeId, 0);
      }
    });
  }
}

export interface NemesisKnobs<Special extends string> {
  faultEveryMs: number;
  /** How long a fault lasts at most. */
  faultMsMax: number;
  downMsMax: number;
  faults: readonly (MachineFault | Special)[];
}

export const MACHINE_FAULTS = [
  'kill',
  'power',
  'power-all',
  'pause',
  'isolate',
  'cut-one-way',
  'halves',
  'slow-link',
  'slow-disk',
  'hung-disk',
  'sync-error',
  'disk-full',
  'reset-channels',
] as const;
export type MachineFault = (typeof MACHINE_FAULTS)[number];
