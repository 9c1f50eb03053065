import type { NodeLevels, PartitionLeader } from '@sluice/meta/cluster-liveness';
import { type LevelRange, UNTOLD_LEVELS } from '@sluice/meta/feature-levels';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';

/**
 * Which nodes live and what they lead, as their reports say. Soft: nothing is replicated, a new leading coordinator hears
 * everything anew within a second, and until a node had the time to find it, it counts as alive. Otherwise each change of
 * coordinator would look like the death of all.
 *
 * Time is an argument.
 */
export class NodeLiveness {
  readonly #nodes = new Map<number, Heard>();
  readonly #silenceMs: number;
  #sinceMs = 0;
  #lookedMs = 0;

  /** Silent for longer: not alive. Above an election timeout, so that a store is not given up before its peers do. */
  static readonly SILENCE_MS = 5_000;
  /** Nobody looked for so long: this process was paused, and the silence was its own. */
  static readonly PAUSE_MS = 1_500;
  /** A node whose connection broke and that was not back since is not waited for any longer when something changes. */
  static readonly BROKEN_MS = 1_000;

  constructor(silenceMs: number = NodeLiveness.SILENCE_MS) {
    this.#silenceMs = silenceMs;
  }

  /** This node leads from now on: who is known to exist has time to report. */
  begin(nowMs: number): void {
    this.#nodes.clear();
    this.#sinceMs = nowMs;
    this.#lookedMs = nowMs;
  }

  /**
   * It belongs to the cluster. One that joined a moment ago has not had the time to find this coordinator: without this its
   * silence would be as old as the coordinator's term, and a gateway be given up before its first word.
   */
  met(nodeId: number, nowMs: number): void {
    if (this.#nodes.has(nodeId)) return;
    const heard = this.#of(nodeId);
    heard.heardMs = nowMs;
    heard.brokenMs = nowMs;
  }

  opened(nodeId: number): void {
    const heard = this.#of(nodeId);
    heard.channels++;
    // Whoever comes back may be another build: it says anew what it supports.
    heard.levels = undefined;
  }

  closed(nodeId: number, nowMs: number): void {
    const heard = this.#nodes.get(nodeId);
    if (heard === undefined || heard.channels === 0) return;
    heard.channels--;
    heard.brokenMs = nowMs;
  }

  heard(nodeId: number, nowMs: number): void {
    this.#hear(nodeId, nowMs);
  }

  /** True when it says anything but the figures anew: somebody else leads, or a replica came, went or broke. */
  reported(nodeId: number, report: NodeReport, nowMs: number): boolean {
    const heard = this.#hear(nodeId, nowMs);
    const former = heard.report;
    if (former === undefined) {
      heard.steadySinceMs = nowMs;
      heard.unbrokenSinceMs = nowMs - this.#sinceMs <= this.#silenceMs ? Number.NEGATIVE_INFINITY : nowMs;
    }
    heard.report = report;
    const levels = report.levels ?? UNTOLD_LEVELS;
    const isNews = heard.levels?.min !== levels.min || heard.levels.max !== levels.max;
    heard.levels = levels;
    return isNews || former === undefined || !isSameState(former, report);
  }

  report(nodeId: number): NodeReport | undefined {
    return this.#nodes.get(nodeId)?.report;
  }

  /** What it supports, as it said on the connection it has now; undefined while it has none. */
  levels(nodeId: number, nowMs: number): LevelRange | undefined {
    const heard = this.#nodes.get(nodeId);
    return heard === undefined || heard.channels === 0 || !this.isAlive(nodeId, nowMs) ? undefined : heard.levels;
  }

  /** Of those that are connected. */
  levelsOf(nodeIds: readonly number[], nowMs: number): NodeLevels[] {
    return nodeIds.flatMap((nodeId) => {
      const levels = this.levels(nodeId, nowMs);
      return levels === undefined ? [] : { nodeId, min: levels.min, max: levels.max };
    });
  }

  isAlive(nodeId: number, nowMs: number): boolean {
    return this.silentMs(nodeId, nowMs) <= this.#silenceMs;
  }

  /**
   * Whether a change should wait for it: alive, and its connection stands or broke only just. One that has not come to
   * this coordinator yet is waited for too, unless its silence shows elsewhere (`seemsDead`).
   */
  isExpected(nodeId: number, nowMs: number, seemsDead: boolean): boolean {
    if (!this.isAlive(nodeId, nowMs)) return false;
    const heard = this.#nodes.get(nodeId);
    if (heard === undefined) return !seemsDead || nowMs - this.#sinceMs <= NodeLiveness.BROKEN_MS;
    return heard.channels > 0 || nowMs - heard.brokenMs <= NodeLiveness.BROKEN_MS;
  }

  /** No connection of it to this coordinator stands, whether or not it counts as alive. */
  isParted(nodeId: number): boolean {
    return (this.#nodes.get(nodeId)?.channels ?? 0) === 0;
  }

  silentMs(nodeId: number, nowMs: number): number {
    this.#look(nowMs);
    return nowMs - Math.max(this.#sinceMs, this.#nodes.get(nodeId)?.heardMs ?? 0);
  }

  /** How long it has been reporting without a silence; 0 while it has not yet, to this coordinator. */
  steadyMs(nodeId: number, nowMs: number): number {
    const heard = this.#nodes.get(nodeId);
    if (heard?.report === undefined || !this.isAlive(nodeId, nowMs)) return 0;
    return nowMs - heard.steadySinceMs;
  }

  /**
   * How long no silence of it is known of. As `steadyMs`, but nobody is taken for new only because this coordinator is: who
   * reported while everybody still had the time to find it has been there for ever.
   */
  unbrokenMs(nodeId: number, nowMs: number): number {
    const heard = this.#nodes.get(nodeId);
    if (heard?.report === undefined || !this.isAlive(nodeId, nowMs)) return 0;
    return nowMs - heard.unbrokenSinceMs;
  }

  /** The first places were given to it: it need not prove itself after it was counted on. */
  countedOn(nodeId: number): void {
    const heard = this.#nodes.get(nodeId);
    if (heard !== undefined) heard.unbrokenSinceMs = Number.NEGATIVE_INFINITY;
  }

  /** Of each partition the one of the latest term, on nodes that are alive. */
  leaders(nowMs: number): PartitionLeader[] {
    const latest = new Map<number, PartitionLeader>();
    for (const [nodeId, { report }] of this.#nodes) {
      if (report === undefined) continue;
      for (const { partition, term } of report.leads) {
        if ((latest.get(partition)?.term ?? -1) < term) latest.set(partition, { partition, nodeId, term });
      }
    }
    return [...latest.values()]
      .filter(({ nodeId }) => this.isAlive(nodeId, nowMs))
      .sort((a, b) => a.partition - b.partition);
  }

  /** The cluster knows it no more. */
  forget(nodeId: number): void {
    if (this.#nodes.get(nodeId)?.channels === 0) this.#nodes.delete(nodeId);
  }

  #hear(nodeId: number, nowMs: number): Heard {
    const silentMs = this.silentMs(nodeId, nowMs);
    const heard = this.#of(nodeId);
    // Back after a silence: how long it stays counts from here.
    if (silentMs > this.#silenceMs) {
      heard.steadySinceMs = nowMs;
      heard.unbrokenSinceMs = nowMs;
    }
    heard.heardMs = nowMs;
    return heard;
  }

  /** Whoever was paused takes everybody for silent; they are given the time to say something again. */
  #look(nowMs: number): void {
    if (nowMs - this.#lookedMs > NodeLiveness.PAUSE_MS) this.#sinceMs = nowMs;
    this.#lookedMs = nowMs;
  }

  #of(nodeId: number): Heard {
    let heard = this.#nodes.get(nodeId);
    if (heard === undefined) {
      heard = {
        heardMs: 0,
        steadySinceMs: 0,
        unbrokenSinceMs: 0,
        brokenMs: 0,
        channels: 0,
        report: undefined,
        levels: undefined,
      };
      this.#nodes.set(nodeId, heard);
    }
    return heard;
  }
}

interface Heard {
  heardMs: number;
  steadySinceMs: number;
  unbrokenSinceMs: number;
  brokenMs: number;
  channels: number;
  report: NodeReport | undefined;
  levels: LevelRange | undefined;
}

function isSameState(a: NodeReport, b: NodeReport): boolean {
  if (a.disk !== b.disk) return false;
  if (a.impaired.join() !== b.impaired.join() || a.replicas.join() !== b.replicas.join()) return false;
  if (a.leads.length !== b.leads.length) return false;
  return a.leads.every((was, i) => {
    const is = b.leads[i];
    return (
      is !== undefined &&
      was.partition === is.partition &&
      was.term === is.term &&
      was.membershipIndex === is.membershipIndex
    );
  });
}
