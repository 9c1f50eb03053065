import type { Logger } from '@sluice/common/logger';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import { hasRole, type NodeInfo } from '@sluice/meta/node-info';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import { changedPlacements, placePartitions } from '@sluice/meta/placement';
import type { PartitionReport } from '@sluice/rpc/contract/topology-feed';
import type { NodeLiveness } from './liveness/node-liveness.ts';

/**
 * Decides where partitions shall live, on the leading coordinator: the best places are a pure function (`placePartitions`);
 * here is when and in which steps they become the decided ones. A few partitions move at a time, because each move is a
 * copy over the network; those that are in danger go first. It performs nothing: `decide` returns commands.
 *
 * A replica that is impaired goes out of its partition, and in again once the group has let it go and its node has wiped
 * it: so it is made anew from its peers without ever voting with a hole.
 */
export class PlacementLoop {
  readonly #liveness: NodeLiveness;
  readonly #settings: PlacementSettings;
  readonly #logger: Logger;
  /** When the first store reported to a cluster without places. */
  #firstStoreMs: number | undefined;
  #computed: { key: string; best: readonly PartitionInfo[] } | undefined;
  /** Partitions whose replicas were changed and have not followed yet. */
  readonly #following = new Set<number>();
  /** `partition:node` of replicas that are being made anew. */
  readonly #exchanging = new Set<string>();

  constructor(options: { liveness: NodeLiveness; settings: PlacementSettings; logger: Logger }) {
    this.#liveness = options.liveness;
    this.#settings = options.settings;
    this.#logger = options.logger;
  }

  /** This node leads from now on. */
  begin(): void {
    this.#firstStoreMs = undefined;
    this.#computed = undefined;
    this.#following.clear();
    this.#exchanging.clear();
  }

  decide(view: PlacementView, nowMs: number): MetaCommand[] {
    const reports = this.#partitionReports(view.nodes, nowMs);
    const commands: MetaCommand[] = [];
    for (const { partition, bootstrap } of view.partitions) {
      if (bootstrap && reports.has(partition)) commands.push({ kind: 'partition-formed', partition });
    }
    this.#noteFollowed(view.partitions, reports);
    this.#noteExchanges(view, reports);
    const placing = this.#place(view, reports, nowMs);
    if (placing !== undefined) commands.push(placing);
    for (const node of view.nodes) {
      if (node.state === 'leaving' && this.#hasLeft(node, view, reports, nowMs)) {
        this.#logger.info({ node: node.name }, 'a node has left the cluster: nothing is on it any more');
        commands.push({ kind: 'set-node-state', nodeId: node.nodeId, state: 'gone' });
      } else if (this.#isForgotten(node, nowMs)) {
        this.#logger.info({ node: node.name }, 'a gateway was not heard of for long: the cluster goes on without it');
        commands.push({ kind: 'set-node-state', nodeId: node.nodeId, state: 'gone' });
      }
    }
    return commands;
  }

  #place(view: PlacementView, reports: Reports, nowMs: number): MetaCommand | undefined {
    const stores = view.nodes.filter((node) => node.state !== 'gone' && hasRole(node, 'store'));
    const isFirst = view.partitions.some(({ replicas }) => replicas.length === 0);
    const silent = new Set<number>();
    const lost = new Set<number>();
    for (const { nodeId } of stores) {
      if (isFirst ? this.#liveness.report(nodeId) === undefined : this.#isUnsteady(nodeId, nowMs)) silent.add(nodeId);
      if (this.#liveness.silentMs(nodeId, nowMs) > this.#settings.replaceAfterMs) lost.add(nodeId);
    }
    if (isFirst && this.#awaitsStores(view, stores.length - silent.size, nowMs)) return undefined;
    const awaited = new Set(stores.map(({ nodeId }) => nodeId).filter((nodeId) => !lost.has(nodeId)));
    const desired = this.#best(view, stores, silent, lost).map((placed, i) =>
      this.#withoutExchanged(placed, view.partitions[i] as PartitionInfo, awaited),
    );
    const able = new Set(
      stores.filter(({ nodeId, state }) => state === 'active' && !silent.has(nodeId)).map(({ nodeId }) => nodeId),
    );
    const staying = new Set(
      stores.filter(({ nodeId, state }) => state !== 'leaving' && !lost.has(nodeId)).map(({ nodeId }) => nodeId),
    );
    const steps = this.#steps(view, this.#withoutHastyPairs(view, desired, stores, nowMs), reports, able, staying);
    const placements = changedPlacements(view.partitions, steps);
    if (placements.length === 0) return undefined;
    if (isFirst) for (const nodeId of able) this.#liveness.countedOn(nodeId);
    let moves = 0;
    for (const { partition, replicas } of placements) {
      const former = view.partitions[partition - 1]?.replicas ?? [];
      if (isSameSet(former, replicas)) continue;
      moves++;
      if (former.length > 0) this.#following.add(partition);
    }
    this.#logger.info({ moves, leaders: placements.length - moves }, 'partitions get stores, or other leaders');
    return { kind: 'place-partitions', placements, expectedEpoch: view.epoch };
  }

  /** Computed again only when something that it depends on moved: most of the time nothing does. */
  #best(
    view: PlacementView,
    stores: readonly NodeInfo[],
    silent: ReadonlySet<number>,
    lost: ReadonlySet<number>,
  ): readonly PartitionInfo[] {
    const bootstrapping = view.partitions.filter(({ bootstrap }) => bootstrap).length;
    const key = `${view.layoutEpoch}:${bootstrapping}:${[...silent]}:${[...lost]}`;
    if (this.#computed?.key !== key) {
      const { replicationFactor, partitions: current } = view;
      this.#computed = { key, best: placePartitions({ stores, replicationFactor, current, silent, lost }) };
    }
    return this.#computed.best;
  }

  /**
   * Places that begin with too few replicas would only have to grow at once. So the first ones wait until there are as
   * many stores as copies, or nobody else who could be one; or for a while.
   */
  #awaitsStores(view: PlacementView, reported: number, nowMs: number): boolean {
    if (reported === 0) return true;
    this.#firstStoreMs ??= nowMs;
    if (reported >= view.replicationFactor) return false;
    if (view.nodes.filter(({ state }) => state !== 'gone').length === reported) return false;
    return nowMs - this.#firstStoreMs < this.#settings.firstPatienceMs;
  }

  /**
   * Two voters commit nothing without either, and the second has just begun: while a third may be about to come, a single
   * replica stays alone, and becomes three at once.
   */
  #withoutHastyPairs(
    { partitions, replicationFactor }: PlacementView,
    desired: readonly PartitionInfo[],
    stores: readonly NodeInfo[],
    nowMs: number,
  ): readonly PartitionInfo[] {
    const { pairPatienceMs } = this.#settings;
    const isNew = ({ nodeId }: NodeInfo): boolean => {
      if (this.#liveness.report(nodeId) === undefined) return true;
      return this.#liveness.isAlive(nodeId, nowMs) && this.#liveness.steadyMs(nodeId, nowMs) < pairPatienceMs;
    };
    if (replicationFactor < 3 || !stores.some(isNew)) return desired;
    return desired.map((placed, i) => {
      const former = partitions[i] as PartitionInfo;
      return former.replicas.length === 1 && placed.replicas.length === 2 ? former : placed;
    });
  }

  /** Of the desired places those that may be taken now; the others stay, led by whoever can. */
  #steps(
    view: PlacementView,
    desired: readonly PartitionInfo[],
    reports: Reports,
    able: ReadonlySet<number>,
    staying: ReadonlySet<number>,
  ): PartitionInfo[] {
    const moving = new Set(this.#following);
    for (const { partition, replicas } of view.partitions) {
      const report = reports.get(partition);
      if (report !== undefined && !follows(report, replicas)) moving.add(partition);
    }
    const urgent = (i: number): boolean => {
      const { replicas } = view.partitions[i] as PartitionInfo;
      return !replicas.every((nodeId) => staying.has(nodeId));
    };
    const candidates = desired
      .map((_, i) => i)
      .filter((i) => !isSameSet((desired[i] as PartitionInfo).replicas, view.partitions[i]?.replicas ?? []))
      .sort((a, b) => Number(urgent(b)) - Number(urgent(a)) || a - b);
    const allowed = new Set<number>();
    let room = this.#settings.movesMax - moving.size;
    for (const i of candidates) {
      const { partition, replicas } = view.partitions[i] as PartitionInfo;
      if (replicas.length === 0) allowed.add(i);
      else if (moving.has(partition)) {
        // It waits for a replica that will not come.
        if (urgent(i)) allowed.add(i);
      } else if (room > 0) {
        allowed.add(i);
        room--;
      }
    }
    return desired.map((placed, i) => {
      const former = view.partitions[i] as PartitionInfo;
      const replicas = allowed.has(i) ? placed.replicas : former.replicas;
      const wishes = [placed.preferredLeader, former.preferredLeader, ...replicas];
      const preferredLeader = wishes.find((nodeId) => replicas.includes(nodeId) && able.has(nodeId)) ?? 0;
      return { ...placed, replicas, preferredLeader };
    });
  }

  #isUnsteady(nodeId: number, nowMs: number): boolean {
    if (!this.#liveness.isAlive(nodeId, nowMs)) return true;
    // Not heard yet, and still given the time.
    if (this.#liveness.report(nodeId) === undefined) return false;
    return this.#liveness.unbrokenMs(nodeId, nowMs) < this.#settings.steadyMs;
  }

  #noteFollowed(partitions: readonly PartitionInfo[], reports: Reports): void {
    for (const { partition, replicas } of partitions) {
      const report = reports.get(partition);
      if (report !== undefined && follows(report, replicas)) this.#following.delete(partition);
    }
  }

  #noteExchanges(view: PlacementView, reports: Reports): void {
    for (const node of view.nodes) {
      const report = this.#liveness.report(node.nodeId);
      if (report === undefined || node.state === 'gone') continue;
      for (const partition of report.impaired) {
        const place = view.partitions[partition - 1];
        const key = `${partition}:${node.nodeId}`;
        if (place === undefined || place.replicas.length < 2 || !place.replicas.includes(node.nodeId)) continue;
        if (this.#exchanging.has(key)) continue;
        this.#logger.warn(
          { node: node.name, partition },
          'a replica cannot be trusted: it is made anew from its peers',
        );
        this.#exchanging.add(key);
      }
    }
    for (const key of this.#exchanging) {
      const [partition, nodeId] = key.split(':').map(Number) as [number, number];
      const own = this.#liveness.report(nodeId);
      const group = reports.get(partition);
      const isOut = group !== undefined && !group.voters.includes(nodeId) && !group.learners.includes(nodeId);
      const isWiped = own === undefined || !(own.replicas.includes(partition) || own.impaired.includes(partition));
      const isGone = !view.nodes.some((node) => node.nodeId === nodeId && node.state !== 'gone');
      if ((isOut && isWiped) || isGone) this.#exchanging.delete(key);
    }
  }

  /** A partition stays where it is while a replica is made anew, but for one on a node that will hardly come back. */
  #withoutExchanged(placed: PartitionInfo, former: PartitionInfo, awaited: ReadonlySet<number>): PartitionInfo {
    const isExchanged = (nodeId: number): boolean => this.#exchanging.has(`${placed.partition}:${nodeId}`);
    // Its replicas are who they are until it has begun: other places would be refused, and those of all partitions with them.
    if (former.bootstrap || ![...awaited].some(isExchanged)) return placed;
    const replicas = former.replicas.filter((nodeId) => !isExchanged(nodeId));
    // All of them at once: nothing can be made anew from nothing.
    return replicas.length === 0 ? former : { ...placed, replicas };
  }

  #hasLeft(node: NodeInfo, view: PlacementView, reports: Reports, nowMs: number): boolean {
    const { nodeId } = node;
    if (view.metadataMembers.includes(nodeId)) return false;
    if (view.partitions.some(({ replicas }) => replicas.includes(nodeId))) return false;
    for (const { voters, learners } of reports.values()) {
      if (voters.includes(nodeId) || learners.includes(nodeId)) return false;
    }
    // A group without a leader may still count on it.
    if (view.partitions.some(({ partition }) => !reports.has(partition))) return false;
    // One that is dead has said its last; what it said then is not so for ever.
    const report = this.#liveness.isAlive(nodeId, nowMs) ? this.#liveness.report(nodeId) : undefined;
    // Who is connected there would be cut off from the stores.
    return report === undefined || ((report.connections ?? 0) === 0 && report.replicas.every((id) => id === 0));
  }

  /** What keeps nothing need not come back; where pods come and go, none of them does. */
  #isForgotten({ nodeId, state, roles }: NodeInfo, nowMs: number): boolean {
    if (state === 'gone' || roles.some((role) => role !== 'gateway')) return false;
    return this.#liveness.silentMs(nodeId, nowMs) > this.#settings.replaceAfterMs;
  }

  /** Of each partition, what its leader of the latest term says, if that lives. */
  #partitionReports(nodes: readonly NodeInfo[], nowMs: number): Reports {
    const latest = new Map<number, PartitionReport>();
    for (const { nodeId } of nodes) {
      if (!this.#liveness.isAlive(nodeId, nowMs)) continue;
      for (const report of this.#liveness.report(nodeId)?.leads ?? []) {
        if ((latest.get(report.partition)?.term ?? -1) < report.term) latest.set(report.partition, report);
      }
    }
    return latest;
  }
}

export interface PlacementSettings {
  /** A silent store, or gateway, is given up after that: longer than a restart, or every restart would copy everything. */
  replaceAfterMs: number;
  /** The first places wait that long for as many stores as there shall be copies. */
  firstPatienceMs: number;
  /** So long after a store came a single replica waits for a third store before it becomes two. */
  pairPatienceMs: number;
  /** A store leads again when it has been back for that long. */
  steadyMs: number;
  /** Partitions that move at once. */
  movesMax: number;
}

export const DEFAULT_PLACEMENT_SETTINGS: PlacementSettings = {
  replaceAfterMs: 5 * 60_000,
  firstPatienceMs: 10_000,
  pairPatienceMs: 10_000,
  steadyMs: 10_000,
  movesMax: 4,
};

export interface PlacementView {
  epoch: number;
  /** When nodes, places or the factor changed last. */
  layoutEpoch: number;
  nodes: readonly NodeInfo[];
  /** Partition 1 first. */
  partitions: readonly PartitionInfo[];
  replicationFactor: number;
  /** Voters and learners of the metadata group. */
  metadataMembers: readonly number[];
}

type Reports = ReadonlyMap<number, PartitionReport>;

function follows(report: PartitionReport, replicas: readonly number[]): boolean {
  return report.learners.length === 0 && isSameSet(report.voters, replicas);
}

function isSameSet(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((nodeId) => b.includes(nodeId));
}
