import { hasRole } from '@sluice/meta/node-info';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { groupKey, groupRange, machineKey } from '@sluice/multiraft/disk/keyspace';
import { isInternalQueue } from '@sluice/queue/machine/internal-queues';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import { decodeQueueRow } from '@sluice/queue/machine/row/queue-row';
import { RowTable } from '@sluice/queue/machine/row/row-keys';
import { type GroupLayout, imageDifference, unevennessOf } from '../check/layout-check.ts';
import type { QueueCheck } from '../check/queue-check.ts';
import { Violation } from '../simulation.ts';
import type { Fleet } from './fleet.ts';
import type { StoreNode } from './store-node.ts';

/** What must come to be when everything has healed, each within a bounded time. */
export class Quiescence {
  readonly #fleet: Fleet;
  readonly #check: QueueCheck;

  static readonly RESUME_MS_MAX = 40_000;
  /** While there is something to deliver, it takes no longer until something is. */
  static readonly STAND_MS_MAX = 30_000;
  /** A store leads again when it has been back for a while, and what was handed over in vain rests for ten seconds. */
  static readonly BALANCE_MS_MAX = 90_000;
  static readonly LOOK_MS = 500;
  static readonly READ_ATTEMPTS = 20;

  constructor(fleet: Fleet, check: QueueCheck) {
    this.#fleet = fleet;
    this.#check = check;
  }

  /**
   * All nodes act on one image, and nothing is under way that would change it: who asked was told that nobody knows, while
   * the change waited for a disk. @returns its queues.
   */
  async isOneImage(): Promise<QueueDefinition[]> {
    const { world } = this.#fleet;
    const isOne = (): boolean => {
      const machine = this.#fleet.metadata();
      const status = this.#fleet.leaderOf(0)?.host?.status(0);
      return (
        machine !== undefined &&
        status !== undefined &&
        status.applied === status.lastIndex &&
        [...this.#fleet.machines()].every(({ state, topology }) => state === 'up' && topology?.epoch === machine.epoch)
      );
    };
    if (!(await world.runUntil(world.nowMs + Quiescence.RESUME_MS_MAX, Quiescence.LOOK_MS, isOne))) {
      const said = [...this.#fleet.machines()].map(
        ({ name, state, topology }) => `${name} ${state} ${topology?.epoch}`,
      );
      throw new Violation(
        'liveness',
        `the image is ${this.#fleet.metadata()?.epoch}, ${said.join(', ')}; ${this.#fleet.describe()}`,
      );
    }
    const queues = [...(this.#fleet.metadata()?.queues() ?? [])].sort((a, b) => a.queueId - b.queueId);
    for (const { name, topology } of this.#fleet.machines()) {
      const difference = imageDifference(queues, topology?.list() ?? []);
      if (difference !== undefined) throw new Violation('image', `${name}: ${difference}`);
    }
    return queues;
  }

  /** Something is acknowledged for every queue. */
  async resumes(queues: readonly QueueDefinition[]): Promise<void> {
    const { world } = this.#fleet;
    const before = this.#check.acknowledgedByQueue();
    const stuck = (): QueueDefinition[] => {
      const now = this.#check.acknowledgedByQueue();
      return queues.filter(({ queueId }) => (now.get(queueId) ?? 0) <= (before.get(queueId) ?? 0));
    };
    const isResumed = (): boolean => stuck().length === 0;
    if (await world.runUntil(world.nowMs + Quiescence.RESUME_MS_MAX, Quiescence.LOOK_MS, isResumed)) return;
    const names = stuck().map(({ name }) => name);
    throw new Violation('liveness', `nothing is acknowledged for ${names}: ${this.#fleet.describe()}`);
  }

  /** What was accepted and delivered to nobody was dropped for newer messages, and every replica counts that. */
  async hasCountedWhatIsMissing(missing: ReadonlyMap<number, readonly number[]>): Promise<void> {
    for (const [queueId, { length: count }] of missing) {
      let counted = 0;
      for (const { row } of await this.rowsOf(queueId)) counted += row.droppedOverflow;
      if (count <= counted) continue;
      throw new Violation('acknowledged and lost', `${count} of queue ${queueId}, of which ${counted} were dropped`);
    }
  }

  /** What the leaders of its partitions say of a queue. */
  async rowsOf(queueId: number): Promise<{ row: QueueState; partition: number }[]> {
    const found: { row: QueueState; partition: number }[] = [];
    for (let partition = 1; partition <= this.#fleet.knobs.partitions; partition++) {
      const store = this.#fleet.leaderOf(partition);
      const rows = store === undefined ? [] : await this.#rows(store, partition, RowTable.QUEUE);
      const row = rows.map(({ value }) => decodeQueueRow(value)).find((each) => each.queueId === queueId);
      if (row !== undefined) found.push({ row, partition });
    }
    return found;
  }

  /** Every queue, on every replica, is empty, and no other queue is there any more. */
  async drains(queues: readonly QueueDefinition[]): Promise<void> {
    const { world, gateways } = this.#fleet;
    let movedMs = world.nowMs;
    let deliveries = -1;
    let left: string[] = [];
    while (world.nowMs < movedMs + Quiescence.STAND_MS_MAX) {
      await world.run(world.nowMs + Quiescence.LOOK_MS);
      if (this.#check.deliveries > deliveries) movedMs = world.nowMs;
      deliveries = this.#check.deliveries;
      left = await this.#left(queues);
      if (left.length === 0 && gateways.every(({ producer }) => (producer?.bufferedBytes ?? 0) === 0)) return;
    }
    throw new Violation('liveness', `not drained: ${left.join('; ')}; ${this.#fleet.describe()}`);
  }

  async #left(queues: readonly QueueDefinition[]): Promise<string[]> {
    const left: string[] = [];
    for (const store of this.#fleet.stores.values()) {
      if (store.state !== 'up' || store.topology === undefined) {
        left.push(`${store.name} is ${store.state}`);
        continue;
      }
      for (let partition = 1; partition <= this.#fleet.knobs.partitions; partition++) {
        if (!store.topology.replicasOf(partition).includes(store.nodeId)) continue;
        const rows = (await this.#rows(store, partition, RowTable.QUEUE)).map(({ value }) => decodeQueueRow(value));
        for (const { queueId, name, partitions } of queues) {
          if (!partitions.includes(partition)) continue;
          const row = rows.find((each) => each.queueId === queueId);
          if (row === undefined) left.push(`${store.name} does not know ${name}`);
          else if (row.depth !== 0) left.push(`${store.name} ${name} holds ${row.depth} from ${row.head}`);
        }
        for (const row of rows) {
          // The broker's own are nobody's to remove.
          if (isInternalQueue(row.queueId)) continue;
          if (queues.some(({ queueId, partitions }) => queueId === row.queueId && partitions.includes(partition)))
            continue;
          const { name, queueId, depth, head, tail, isRemoved } = row;
          const what = `${depth} from ${head} to ${tail}${isRemoved ? '' : ', and does not know it'}`;
          left.push(`${store.name} keeps ${name} (${queueId}), which was removed: ${what}`);
        }
      }
    }
    return left;
  }

  /** What the metrics pages say of a queue, all together, is what its rows say. */
  async isToldAsItIs({ queueId, name }: QueueDefinition): Promise<void> {
    const told = {
      published: 0,
      accepted: 0,
      overwritten: 0,
      dropped: 0,
      purged: 0,
      expired: 0,
      depth: 0,
      inflight: 0,
    };
    const kinds = Object.keys(told) as (keyof typeof told)[];
    for (const machine of this.#fleet.stores.values()) {
      const { store } = machine;
      if (store === undefined) continue;
      const figures = await this.#fleet.inLife(machine, () => store.figures.named((each) => each === name));
      for (const each of figures) for (const kind of kinds) told[kind] += each[kind];
    }
    const counted = { ...told, depth: 0, inflight: 0 };
    for (const kind of ['published', 'accepted', 'overwritten', 'dropped', 'purged', 'expired'] as const)
      counted[kind] = 0;
    for (const { row } of await this.rowsOf(queueId)) {
      counted.published += row.published;
      counted.accepted += row.accepted;
      counted.overwritten += row.overwritten;
      counted.dropped += row.droppedOverflow;
      counted.purged += row.droppedPurged;
      counted.expired += row.expired + row.droppedExpired;
    }
    const other = kinds.find((kind) => told[kind] !== counted[kind]);
    if (other === undefined) return;
    throw new Violation(
      'figures',
      `${name}: ${told[other]} ${other} on the metrics pages, ${counted[other]} in its rows`,
    );
  }

  /** No replica has a row of a record any more, nor of an entry that holds one: its log is free to give all of it back. */
  async keepsNothing(): Promise<void> {
    const { world } = this.#fleet;
    const untilMs = world.nowMs + Quiescence.STAND_MS_MAX;
    let left: string[];
    do {
      await world.run(world.nowMs + Quiescence.LOOK_MS);
      left = [];
      for (const store of this.#fleet.stores.values()) {
        for (let partition = 1; partition <= this.#fleet.knobs.partitions; partition++) {
          for (const table of [RowTable.INDEX, RowTable.KEY, RowTable.ENTRY]) {
            const { length } = await this.#rows(store, partition, table);
            if (length > 0) left.push(`${store.name} has ${length} rows ${String.fromCharCode(table)} of ${partition}`);
          }
        }
      }
    } while (left.length > 0 && world.nowMs < untilMs);
    if (left.length > 0) throw new Violation('space', `nothing is left, and ${left.join('; ')}`);
  }

  #rows(store: StoreNode, groupId: number, table: number): Promise<{ key: Uint8Array; value: Uint8Array }[]> {
    const { storage } = store;
    if (storage === undefined) return Promise.resolve([]);
    const [from, to] = [groupKey(groupId, Uint8Array.of(table)), groupKey(groupId, Uint8Array.of(table + 1))];
    return this.#fleet.inLife(store, () => storage.engine.scan(from, to, 1_000));
  }

  /** Copies and leaders are even over the stores within one, and are where they were decided to be. */
  async isBalanced(): Promise<void> {
    const { world } = this.#fleet;
    let said = '';
    const isEven = (): boolean => {
      said = this.#unevenness();
      return said === '';
    };
    if (await world.runUntil(world.nowMs + Quiescence.BALANCE_MS_MAX, Quiescence.LOOK_MS, isEven)) return;
    throw new Violation('balance', `${said}; ${this.#fleet.describe()}`);
  }

  /** Empty when there is none. */
  #unevenness(): string {
    const { stores, knobs } = this.#fleet;
    const machine = this.#fleet.metadata();
    if (machine === undefined) return 'nobody leads the metadata';
    const groups: GroupLayout[] = [];
    for (let groupId = 1; groupId <= knobs.partitions; groupId++) {
      const leader = this.#fleet.leaderOf(groupId);
      const members = this.#fleet.membersOf(groupId);
      if (leader === undefined || members === undefined) return `nobody leads group ${groupId}`;
      const replicas = machine.partitions()[groupId - 1]?.replicas ?? [];
      groups.push({ groupId, leader: leader.nodeId, ...members, replicas });
    }
    const active = machine.nodes().filter((node) => node.state === 'active' && hasRole(node, 'store'));
    return unevennessOf({
      active: active.map(({ nodeId }) => nodeId),
      running: [...stores.keys()],
      replicationFactor: machine.replicationFactor,
      groups,
    });
  }

  /** All replicas of each group stand at one index, with one state. */
  async converges(): Promise<void> {
    const { world, knobs } = this.#fleet;
    for (let groupId = 0; groupId <= knobs.partitions; groupId++) {
      const isOne = (): boolean => {
        const applied = this.#members(groupId).map(({ host }) => host?.status(groupId)?.applied ?? -1);
        return applied.length > 0 && applied.every((index) => index === applied[0] && index >= 0);
      };
      if (!(await world.runUntil(world.nowMs + Quiescence.RESUME_MS_MAX, 200, isOne))) {
        throw new Violation('liveness', `group ${groupId} is not one in the end: ${this.#fleet.describe()}`);
      }
      await this.#agree(groupId);
    }
  }

  /** Read at one index; where an entry came in between, read again. */
  async #agree(groupId: number): Promise<void> {
    const { world } = this.#fleet;
    for (let attempt = 0; attempt < Quiescence.READ_ATTEMPTS; attempt++) {
      const states: { name: string; applied: number; rows: string }[] = [];
      for (const store of this.#members(groupId)) states.push(await this.#stateOf(store, groupId));
      const [first] = states;
      if (first !== undefined && states.every(({ applied }) => applied === first.applied)) {
        const other = states.find(({ rows }) => rows !== first.rows);
        if (other === undefined) return;
        const where = `group ${groupId} at ${first.applied}: ${first.name} and ${other.name}`;
        throw new Violation('replica agreement', `${where}: ${apart(first.rows, other.rows)}`);
      }
      await world.run(world.nowMs + 100);
    }
    throw new Violation('liveness', `group ${groupId} never stands still`);
  }

  async #stateOf(store: StoreNode, groupId: number): Promise<{ name: string; applied: number; rows: string }> {
    const { host, storage, name } = store;
    if (host === undefined || storage === undefined) return { name, applied: -1, rows: '' };
    const { from, to } = groupRange(groupId);
    return this.#fleet.inLife(store, async () => {
      await host.written();
      const applied = host.status(groupId)?.applied ?? -1;
      const rows = await storage.engine.scan(from, to, 1_000_000);
      return { name, applied, rows: rows.map(({ key, value }) => `${hex(machineKey(key))}=${hex(value)}`).join('\n') };
    });
  }

  #members(groupId: number): StoreNode[] {
    const leader = this.#fleet.leaderOf(groupId);
    if (leader?.state !== 'up') return [];
    const voters = leader.host?.status(groupId)?.committedMembership.voters ?? [];
    return voters.map((nodeId) => this.#fleet.stores.get(nodeId)).filter((store) => store !== undefined);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** Metadata is text. */
function readable(row: string | undefined): string {
  const [key = '', value = ''] = row?.split('=') ?? [];
  const text = Buffer.from(value, 'hex').toString('latin1');
  return `${key} ${/^[\x20-\x7e]*$/.test(text) ? text : value}`;
}

function apart(a: string, b: string): string {
  const [left, right] = [a.split('\n'), b.split('\n')];
  const at = left.findIndex((line, i) => line !== right[i]);
  return `${readable(left[at])} against ${readable(right[at === -1 ? left.length : at])}`;
}
