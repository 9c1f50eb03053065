import type { NodeRole } from '@sluice/meta/node-info';
import { rotDisk } from '../disk-rot.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { Fleet } from './fleet.ts';
import type { StoreNode } from './store-node.ts';

/**
 * What happens to stores and their disks besides what happens to machines: an operator stops them, drains them, sends
 * them away and adds others, and a disk is lost or rots. Replicas then move under traffic, by the cluster's own hands.
 *
 * Copies are lost one disk at a time, and the next only when every group has a full set of whole ones again: more than
 * that no cluster survives, and none is asked to.
 */
export class StoreMoves {
  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #fleet: Fleet;
  /** Lost its disk, or its disk rots, and is still named somewhere. */
  #lost: StoreNode | undefined;
  #drained: StoreNode | undefined;
  #leaving: StoreNode | undefined;
  #added = 0;
  #isOver = false;
  /** Wishes that may still be heard. */
  #unheard = 0;
  #copiesAskedMs = Number.NEGATIVE_INFINITY;
  readonly counts = new Map<string, number>();

  static readonly STORES_MAX = 6;
  /** How long a cluster may take until what its operator asked for is so. */
  static readonly DONE_MS_MAX = 60_000;
  static readonly LOOK_MS = 500;
  /** A wish of which nothing was heard for so long was not heard either. */
  static readonly WISH_MS_MAX = 20_000;

  constructor(options: { world: SimWorld; draw: Draw; fleet: Fleet }) {
    this.#world = options.world;
    this.#draw = options.draw;
    this.#fleet = options.fleet;
  }

  do(fault: StoreFault, victim: StoreNode | undefined): void {
    this.#look();
    if (fault === 'add-store') this.#add();
    else if (fault === 'copies') this.#copies();
    else if (victim === undefined) return;
    else if (fault === 'stop') this.#stop(victim);
    else if (fault === 'drain') this.#drain(victim);
    else if (fault === 'leave') this.#leave(victim);
    else if (this.#mayLose(victim) && !(fault === 'rot' && this.#leaving !== undefined)) {
      this.#count(fault);
      this.#lost = victim;
      if (fault === 'lose-disk') this.#lose(victim);
      else this.#rot(victim);
    }
  }

  /** What was begun comes to its end; nothing new is begun. */
  async end(): Promise<void> {
    this.#isOver = true;
    const isDone = (): boolean => {
      const isOpen = this.#fleet.joining > 0 || this.#leaving !== undefined || this.#drained !== undefined;
      return this.#look() && !isOpen && this.#unheard === 0 && !this.#oneIsLost();
    };
    if (await this.#world.runUntil(this.#world.nowMs + StoreMoves.DONE_MS_MAX, StoreMoves.LOOK_MS, isDone)) return;
    const open = [
      `${this.#fleet.joining} join`,
      `leaves: ${this.#leaving?.name}`,
      `drains: ${this.#drained?.name}`,
      `lost: ${this.#lost?.name}`,
    ];
    throw new Violation('liveness', `stores do not come or go: ${open.join(', ')}; ${this.#fleet.describe()}`);
  }

  #add(): void {
    if (this.#fleet.stores.size + this.#fleet.joining >= StoreMoves.STORES_MAX) return;
    this.#count('add-store');
    const coordinators = [...this.#fleet.stores.values()].filter((store) => store.isCoordinator).length;
    const roles: readonly NodeRole[] = coordinators < 3 || this.#draw.onceIn(2) ? ['store', 'coordinator'] : ['store'];
    this.#fleet.join(`added${++this.#added}`, roles);
  }

  /** More or fewer copies of everything; none while a copy is lost, for the lost one could be the one to stay. */
  #copies(): void {
    const gateway = this.#fleet.anyGateway();
    if (gateway === undefined || this.#oneIsLost()) return;
    const copies = this.#draw.between(1, Math.min(3, this.#staying()));
    this.#copiesAskedMs = this.#world.nowMs;
    this.#world.after(0, gateway.life, () => {
      gateway.cluster?.setReplicationFactor(copies).then(
        (outcome) => {
          const told = outcome.ok ? 'done' : outcome.code;
          this.#world.trace.add(this.#world.nowMs, gateway.name, `there shall be ${copies} copies: ${told}`);
          if (outcome.ok) this.#count('copies');
        },
        (cause: unknown) => this.#world.fail(cause),
      );
    });
  }

  /** As a rolling restart does it. */
  #stop(store: StoreNode): void {
    if (store.state !== 'up' || store.life.paused) return;
    this.#count('stop');
    const downMs = this.#draw.between(0, this.#fleet.knobs.downMsMax);
    store.stop(() => this.#world.after(downMs, this.#world.outside, () => store.start()));
  }

  #drain(store: StoreNode): void {
    if (this.#drained !== undefined || this.#leaving === store || this.#fleet.stores.size < 2) return;
    this.#drained = store;
    this.#wish(store, 'draining');
    this.#world.after(this.#draw.between(500, 8_000), this.#world.outside, () => this.#wish(store, 'active'));
  }

  /** Sent away for good; its machine is switched off when the cluster says that nothing is on it any more. */
  #leave(store: StoreNode): void {
    if (this.#leaving !== undefined || this.#drained === store || this.#lost === store || this.#oneRots()) return;
    // A refusal for want of others is asked for too, now and then.
    const copies = this.#fleet.anyGateway()?.topology?.replicationFactor ?? 1;
    if (this.#staying() <= copies && !this.#draw.onceIn(8)) return;
    this.#leaving = store;
    store.expected.add('NODE_GONE');
    this.#wish(store, 'leaving');
  }

  #staying(): number {
    return [...this.#fleet.stores.values()].filter((store) => store !== this.#lost && store !== this.#leaving).length;
  }

  #wish(store: StoreNode, state: 'active' | 'draining' | 'leaving'): void {
    const gateway = this.#fleet.anyGateway();
    if (gateway === undefined || !this.#fleet.stores.has(store.nodeId)) return;
    this.#unheard++;
    let isOpen = true;
    const over = (): void => {
      if (isOpen) this.#unheard--;
      isOpen = false;
    };
    // Whoever was not answered may have been heard, and what is under way may be heard late.
    const overLater = (): void => void this.#world.after(StoreMoves.WISH_MS_MAX, this.#world.outside, over);
    gateway.life.onEnd(overLater);
    this.#world.after(0, gateway.life, () => {
      const { cluster } = gateway;
      if (cluster === undefined) return;
      cluster.setNodeState(store.registration.name, state).then(
        (outcome) => {
          const told = outcome.ok ? 'done' : outcome.code;
          this.#world.trace.add(
            this.#world.nowMs,
            gateway.name,
            `${store.registration.name} shall be ${state}: ${told}`,
          );
          if (outcome.ok && state !== 'active') this.#count(state === 'leaving' ? 'leave' : 'drain');
          if (!outcome.ok && outcome.code === 'UNAVAILABLE') {
            overLater();
            return;
          }
          over();
          if (!outcome.ok && state === 'leaving' && this.#leaving === store) this.#leaving = undefined;
        },
        (cause: unknown) => this.#world.fail(cause),
      );
    });
  }

  /** What became of the wishes, as the cluster itself says. True when all stores are what they were. */
  #look(): boolean {
    const metadata = this.#fleet.metadata();
    if (metadata === undefined) return false;
    let areActive = true;
    for (const store of [...this.#fleet.stores.values()]) {
      const state = metadata.node(store.nodeId)?.state ?? 'unknown';
      if (state !== 'active') areActive = false;
      // Its operator switches it off; so also one whose wish nobody knew to have been heard.
      if (state === 'gone') this.#fleet.retire(store);
      if (state === 'draining' && this.#isOver) this.#wish(store, 'active');
      if (state === 'active' && store === this.#drained) this.#drained = undefined;
      if (state === 'active' && store === this.#leaving && this.#unheard === 0) this.#leaving = undefined;
    }
    if (this.#leaving !== undefined && !this.#fleet.stores.has(this.#leaving.nodeId)) this.#leaving = undefined;
    if (this.#drained !== undefined && !this.#fleet.stores.has(this.#drained.nodeId)) this.#drained = undefined;
    return areActive;
  }

  /** Its machine is gone with its disk; another one is put in its place, under its name or as somebody new. */
  #lose(store: StoreNode): void {
    this.#world.trace.add(this.#world.nowMs, 'nemesis', `${store.name} loses its disk`);
    this.#fleet.retire(store);
    this.#replace(store);
  }

  #replace({ registration: { name, roles } }: StoreNode): void {
    this.#world.after(this.#draw.between(0, 3_000), this.#world.outside, () => this.#fleet.join(name, roles));
  }

  /**
   * Bits of its disk flip while it runs. The cluster is given time to find it out and to make replicas anew; then the disk
   * is exchanged all the same, as nobody keeps one that rots.
   */
  #rot(store: StoreNode): void {
    for (const code of DAMAGE) store.expected.add(code);
    rotDisk(store, this.#draw, this.#draw.between(1, 6));
    const { outside } = this.#world;
    if (this.#draw.onceIn(2)) {
      this.#world.after(this.#draw.between(0, 1_000), outside, () => {
        store.kill(this.#draw.oneOf(['process', 'power']));
        store.start();
      });
    }
    this.#world.after(this.#draw.between(500, 8_000), outside, () => this.#exchange(store));
  }

  /** What was whole when the disk began to rot may not be any more: it is exchanged when the others can do without. */
  #exchange(store: StoreNode): void {
    if (this.#canDoWithout(store)) this.#lose(store);
    else this.#world.after(StoreMoves.LOOK_MS, this.#world.outside, () => this.#exchange(store));
  }

  /** Without it every group that it votes in has a majority on whole disks, in both halves of a joint membership. */
  #canDoWithout(store: StoreNode): boolean {
    for (let groupId = 0; groupId <= this.#fleet.knobs.partitions; groupId++) {
      const status = this.#fleet.leaderOf(groupId)?.host?.status(groupId);
      if (status === undefined) return false;
      const { voters, votersOutgoing } = status.membership;
      for (const half of [voters, votersOutgoing]) {
        if (!half.includes(store.nodeId)) continue;
        const others = half.filter((nodeId) => nodeId !== store.nodeId && this.#isWhole(nodeId, groupId));
        if (others.length <= half.length / 2) return false;
      }
    }
    return true;
  }

  /** What was acknowledged is also elsewhere, on disks that are whole, and nobody else is lost. */
  #mayLose(store: StoreNode): boolean {
    const fleet = this.#fleet;
    if (this.#isOver || store === this.#leaving || this.#oneIsLost()) return false;
    // A wish that is not heard yet may make it the only copy.
    const topology = fleet.anyGateway()?.topology;
    if (topology === undefined || topology.replicationFactor < 3) return false;
    if (this.#world.nowMs - this.#copiesAskedMs < StoreMoves.WISH_MS_MAX) return false;
    for (let groupId = 0; groupId <= fleet.knobs.partitions; groupId++) {
      const members = fleet.membersOf(groupId);
      if (members === undefined || members.others.length > 0) return false;
      if (!members.voters.includes(store.nodeId)) continue;
      if (members.voters.length < 3 || !members.voters.every((nodeId) => this.#isWhole(nodeId, groupId))) return false;
    }
    return true;
  }

  #isWhole(nodeId: number, groupId: number): boolean {
    const store = this.#fleet.stores.get(nodeId);
    const status = store?.host?.status(groupId);
    return store?.state === 'up' && status !== undefined && status.impaired === undefined;
  }

  /** Nobody is sent away meanwhile: with the one that leaves, groups may shrink to where they need the one that rots. */
  #oneRots(): boolean {
    return this.#lost !== undefined && this.#fleet.stores.has(this.#lost.nodeId);
  }

  #oneIsLost(): boolean {
    const lost = this.#lost;
    if (lost === undefined) return false;
    if (this.#fleet.joining > 0 || this.#fleet.stores.has(lost.nodeId)) return true;
    for (let groupId = 0; groupId <= this.#fleet.knobs.partitions; groupId++) {
      const members = this.#fleet.membersOf(groupId);
      if (members === undefined || [...members.voters, ...members.others].includes(lost.nodeId)) return true;
    }
    this.#lost = undefined;
    return false;
  }

  #count(fault: StoreFault): void {
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
  }
}

/** What a node may say, and not start, when its disk rots. */
const DAMAGE = ['ENTRY_LOG_DAMAGED', 'IMAGE_DAMAGED', 'STATE_UNRECOVERABLE'];

export const STORE_FAULTS = ['stop', 'drain', 'leave', 'add-store', 'copies', 'lose-disk', 'rot'] as const;
export type StoreFault = (typeof STORE_FAULTS)[number];
