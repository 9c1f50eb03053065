import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import { groupKey } from '@sluice/multiraft/disk/keyspace';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import { decodeQueueRow } from '@sluice/queue/machine/row/queue-row';
import { RowTable } from '@sluice/queue/machine/row/row-keys';
import { LimitCheck } from '../check/limit-check.ts';
import { QueueCheck } from '../check/queue-check.ts';
import { RetentionCheck } from '../check/retention-check.ts';
import { WorkerCheck } from '../check/worker-check.ts';
import { Draw } from '../draw.ts';
import { Nemesis } from '../nemesis.ts';
import { LOSES_LIVE } from '../retained/retained-knobs.ts';
import { SessionLoad } from '../sessions/session-load.ts';
import { WorkerCrew } from '../sessions/worker-crew.ts';
import { type SimMachine, WALL_CLOCK_MS } from '../sim-machine.ts';
import { SimNetwork } from '../sim-network.ts';
import type { SimWorld } from '../sim-world.ts';
import { type SimulationOptions, simulate, type Verdict, Violation } from '../simulation.ts';
import { BackupTrial } from './backup-trial.ts';
import { ClockFaults } from './clock-faults.ts';
import { type ClusterFault, type ClusterKnobs, drawClusterKnobs, GENTLE_FAULTS } from './cluster-knobs.ts';
import { Fleet } from './fleet.ts';
import type { GatewayNode } from './gateway-node.ts';
import { LimitMoves } from './limit-moves.ts';
import { Publishers } from './publishers.ts';
import { QueueMoves } from './queue-moves.ts';
import { Quiescence } from './quiescence.ts';
import { RetentionMoves } from './retention-moves.ts';
import { SimWorker, type WorkerKnobs } from './sim-worker.ts';
import { STORE_FAULTS, StoreMoves } from './store-moves.ts';
import { Upgrade } from './upgrade.ts';

export interface ClusterSimulationOptions extends SimulationOptions {
  safetyMs?: number;
  /** As it is named where it fails. */
  scenario?: string;
  adjust?(knobs: ClusterKnobs, draw: Draw): ClusterKnobs;
}

/** Stores, coordinators and gateways, all of it the real code, under every fault of machines, disks and wires. */
export function simulateCluster(seed: number, options: ClusterSimulationOptions = {}): Promise<Verdict> {
  return simulate(options.scenario ?? 'cluster', seed, options, (world) => new ClusterHistory(world, options).run());
}

export class ClusterHistory {
  readonly world: SimWorld;
  readonly knobs: ClusterKnobs;
  readonly fleet: Fleet;
  readonly check: QueueCheck;
  readonly #draw: Draw;
  readonly #workerKnobs: WorkerKnobs;
  readonly #queueMoves: QueueMoves;
  readonly #storeMoves: StoreMoves;
  readonly #publishers: Publishers;
  readonly #limitMoves: LimitMoves | undefined;
  readonly #retention: { check: RetentionCheck; moves: RetentionMoves } | undefined;
  readonly #limitCheck = new LimitCheck(() => this.#isCalm);
  readonly #sessions: SessionLoad | undefined;
  /** The queues that are there from beginning to end. */
  readonly #lasting: QueueDefinition[] = [];
  readonly #clocks: ClockFaults;
  readonly #backups: BackupTrial | undefined;
  readonly #crew: WorkerCrew | undefined;
  #workers: SimWorker[] = [];
  #hired = 0;
  #leaderChanges = 0;
  readonly #leaders = new Map<number, number>();

  /** From the first start until every partition is led. */
  static readonly FORM_MS_MAX = 60_000;
  static readonly SAMPLE_MS = 100;
  /** What clocks may differ by without one of them being called wrong. */
  static readonly AHEAD_MS_MAX = 10_000;
  /** Longer than anybody who reads what is retained asks for it. */
  static readonly SEVERED_MS_MAX = 20_000;
  static readonly WIRE_MS_MAX = 2_000;
  /** While queues are drained nobody thinks for long: what is left is a fault and not a backlog. */
  static readonly LAST_THINK_MS = 5;

  constructor(world: SimWorld, options: ClusterSimulationOptions) {
    this.world = world;
    const draw = new Draw(world.prng);
    this.#draw = draw;
    const drawn = drawClusterKnobs(draw, options.safetyMs ?? 20_000);
    const knobs = options.adjust?.(drawn, draw) ?? drawn;
    this.knobs = knobs;
    const { window, thinkMsMax, returnOneIn } = knobs;
    this.#workerKnobs = { window, thinkMsMax, returnOneIn };
    const keepsHolders = knobs.faults.every((fault) => isOfClocks(fault) || GENTLE_FAULTS.includes(fault));
    const isCalm = (): boolean => this.#isCalm;
    const retention =
      knobs.retentionMoveEveryMs === undefined
        ? undefined
        : new RetentionCheck({ nowMs: () => world.nowMs, isCalm, keepsHolders });
    const { backups, faultMsMax } = knobs;
    if (backups !== undefined) this.#backups = new BackupTrial({ world, draw, knobs, backups, isCalm, keepsHolders });
    const crewCheck =
      knobs.crew === undefined ? undefined : new WorkerCheck({ nowMs: () => world.nowMs, isCalm, keepsHolders });
    const check = this.#backups?.check ?? retention ?? crewCheck ?? new QueueCheck(isCalm, () => keepsHolders);
    this.check = check;
    this.fleet = new Fleet(world, new SimNetwork(world, knobs.network), knobs);
    const { gateways } = this.fleet;
    if (knobs.crew !== undefined && crewCheck !== undefined)
      this.#crew = new WorkerCrew({ fleet: this.fleet, draw, knobs: knobs.crew, check: crewCheck });
    this.#clocks = new ClockFaults({ world, draw, fleet: this.fleet, faultMsMax });
    this.#queueMoves = new QueueMoves({ world, draw, knobs, check, gateways });
    this.#storeMoves = new StoreMoves({ world, draw, fleet: this.fleet });
    const isDoomed = (queueId: number): boolean => this.#queueMoves.doomed.has(queueId);
    const isUnheardOf = (queueId: number): boolean => this.fleet.isUnheardOf(queueId);
    this.#publishers = new Publishers({ world, draw, knobs, check, gateways, isDoomed, isUnheardOf });
    const everyMs = knobs.limitMoveEveryMs;
    if (everyMs !== undefined)
      this.#limitMoves = new LimitMoves({ world, draw, gateways, everyMs, payloadBytes: knobs.payloadBytes });
    if (retention !== undefined) {
      const moving = this.#queueMoves.names;
      const { retentionMoveEveryMs = 0, payloadBytes } = knobs;
      const parts = { world, draw, gateways, check: retention, moving, payloadBytes };
      const moves = new RetentionMoves({ ...parts, everyMs: retentionMoveEveryMs });
      this.#retention = { check: retention, moves };
    }
    if (knobs.sessions !== undefined) {
      this.#sessions = new SessionLoad({
        fleet: this.fleet,
        draw,
        knobs: knobs.sessions,
        queueCheck: check,
        isCalm,
        mayMiss: () => !keepsHolders,
        mayLoseLive: knobs.faults.some((fault) => LOSES_LIVE.includes(fault)),
      });
    }
  }

  /** Nothing is done to anybody; what time of day a machine has is nothing. */
  get #isCalm(): boolean {
    return this.knobs.faults.every(isOfClocks);
  }

  async run(): Promise<string> {
    const { world, knobs, fleet, check } = this;
    fleet.found(check, (gateway) => this.#manned(gateway), this.#sessions);
    await this.#forms();
    await this.#define();
    for (const gateway of fleet.gateways) this.#manned(gateway);
    const nemesis = new Nemesis<ClusterFault>({
      world,
      draw: this.#draw,
      knobs,
      machines: fleet.stores,
      network: fleet.network,
      special: (fault, victim) => this.#special(fault, victim),
      victim: (up) => this.#victim(up),
    });
    nemesis.begin();
    this.#sample();
    this.#publishers.begin();
    this.#queueMoves.begin();
    if (this.#limitMoves !== undefined) {
      for (const { queueId } of this.#lasting) check.limited(queueId);
      this.#limitMoves.begin(this.#lasting);
    }
    this.#retention?.moves.begin(this.#lasting);
    this.#backups?.begin(fleet);
    this.#crew?.begin(this.#lasting, this.#queueMoves.names);
    this.#sessions?.begin(this.#lasting);
    const upgrade =
      knobs.upgrade === undefined ? undefined : new Upgrade({ world, draw: this.#draw, fleet, knobs: knobs.upgrade });
    upgrade?.begin();
    await world.run(world.nowMs + knobs.safetyMs);
    this.#queueMoves.end();
    this.#limitMoves?.end();
    this.#retention?.moves.end();
    this.#backups?.end();
    this.#crew?.end();
    nemesis.end();
    for (const gateway of fleet.gateways) {
      gateway.life.resume();
      gateway.start();
    }
    await upgrade?.end();
    await this.#heals();
    upgrade?.atTheEnd();
    await this.#backups?.atTheEnd(fleet, this.#lasting);
    return this.#summary(nemesis.counts);
  }

  async #heals(): Promise<void> {
    const { check, world } = this;
    const quiescence = new Quiescence(this.fleet, check);
    await this.#storeMoves.end();
    await this.#queueMoves.answered();
    await this.#retention?.moves.answered();
    const queues = await quiescence.isOneImage();
    this.#queueMoves.atTheEnd(queues);
    const lasting = new Set(queues.map(({ name }) => name));
    for (const { name } of this.#lasting) {
      if (!lasting.has(name)) throw new Violation('metadata', `queue ${name} is gone, and nobody removed it`);
    }
    const ids = new Set(queues.map(({ queueId }) => queueId));
    for (const queueId of this.#queueMoves.doomed) if (!ids.has(queueId)) check.gone(queueId, world.nowMs);
    // What lies beyond a limit that refuses is refused until workers have made room.
    if (this.#retention !== undefined) this.#workerKnobs.thinkMsMax = ClusterHistory.LAST_THINK_MS;
    await quiescence.resumes(queues);
    this.#publishers.end();
    this.#workerKnobs.thinkMsMax = ClusterHistory.LAST_THINK_MS;
    await this.#sessions?.comesToRest();
    await quiescence.drains(queues);
    check.atTheEnd(world.nowMs);
    this.#crew?.leave();
    if (this.#retention === undefined) await quiescence.hasCountedWhatIsMissing(check.missing);
    else await this.#endsAsItWasKept(this.#retention.check, queues, quiescence);
    await quiescence.isBalanced();
    await quiescence.converges();
  }

  async #endsAsItWasKept(
    check: RetentionCheck,
    queues: readonly QueueDefinition[],
    quiescence: Quiescence,
  ): Promise<void> {
    for (const { queueId } of queues) {
      for (const { row, partition } of await quiescence.rowsOf(queueId)) check.endsWith(row, partition);
    }
    const lasting = new Set(this.#lasting.map(({ queueId }) => queueId));
    for (const queue of queues) if (lasting.has(queue.queueId)) check.isDefined(queue);
    await quiescence.keepsNothing();
    for (const queue of queues) await quiescence.isToldAsItIs(queue);
  }

  #summary(nemesis: ReadonlyMap<string, number>): string {
    const { knobs, check, fleet } = this;
    // Of what is tried with stores, only what could be done counts.
    const tried = [...nemesis].filter(([fault]) => !(STORE_FAULTS as readonly string[]).includes(fault));
    const faults = new Map([...tried, ...this.#storeMoves.counts]);
    const { done, refused, unknown } = this.#queueMoves.counts;
    return [
      `${knobs.stores} stores (${fleet.stores.size} in the end), ${knobs.gateways} gateways, ${knobs.partitions} partitions`,
      `${this.#lasting.length} queues and ${done} changes of others (${refused} refused, ${unknown} unknown)`,
      `${check.acknowledgements} acknowledged, ${check.deliveries} deliveries (${check.duplicates} duplicates)`,
      ...(this.#limitMoves === undefined ? [] : [this.#limitsSummary(this.#limitMoves)]),
      ...(this.#retention === undefined ? [] : [this.#retentionSummary(this.#retention)]),
      ...(this.#crew === undefined ? [] : [this.#crew.summary]),
      ...(this.#backups === undefined ? [] : [this.#backups.summary]),
      ...(this.#sessions === undefined ? [] : [this.#sessions.summary]),
      `${this.#leaderChanges} changes of leaders; ${[...faults].map(([fault, count]) => `${fault} ${count}`).join(', ')}`,
    ].join(', ');
  }

  #limitsSummary({ changes }: LimitMoves): string {
    return `${changes} changes of limits, ${this.#limitCheck.looks} looks, ${this.#unseen} dropped unseen`;
  }

  #retentionSummary({ moves, check }: { moves: RetentionMoves; check: RetentionCheck }): string {
    const { purges, changes } = moves;
    const gone = `${check.purgedMessages} messages in ${purges} purges, ${this.#unseen} gone unseen`;
    return `${gone}, ${changes} changes of settings, ${check.answers} answers`;
  }

  get #unseen(): number {
    return [...this.check.missing.values()].reduce((sum, { length }) => sum + length, 0);
  }

  async #forms(): Promise<void> {
    const { world, fleet } = this;
    const isUp = (): boolean =>
      [...fleet.machines()].every((machine) => machine.state === 'up') &&
      [...fleet.stores.values()].every(({ store }) => store?.unready() === undefined);
    if (await world.runUntil(world.nowMs + ClusterHistory.FORM_MS_MAX, ClusterHistory.SAMPLE_MS, isUp)) return;
    throw new Violation('liveness', `the cluster does not form: ${fleet.describe()}`);
  }

  async #define(): Promise<void> {
    const { knobs, fleet } = this;
    const gateway = fleet.gateways[0] as GatewayNode;
    const make = async (name: string, isLastValue: boolean, partitionCount: number): Promise<void> => {
      const created = await fleet.inLife(gateway, () =>
        (gateway.queues as NonNullable<GatewayNode['queues']>).create({
          ...QUEUE_SETTING_DEFAULTS,
          keyExpression: isLastValue ? 'message.from' : null,
          dispatchStrategy: this.#draw.oneOf(['random', 'round_robin', 'least_inflight']),
          name,
          topicFilter: `t/${name}`,
          isLastValue,
          partitionCount,
        }),
      );
      if (!created.ok) throw new Violation('liveness', `queue ${name} is not created: ${JSON.stringify(created)}`);
      this.#lasting.push(created.value);
    };
    for (let i = 0; i < knobs.regularQueues; i++) await make(`regular${i}`, false, 1);
    for (let i = 0; i < knobs.spreadQueues; i++) await make(`spread${i}`, false, knobs.partitions);
    for (let i = 0; i < knobs.lastValueQueues; i++) await make(`last${i}`, true, 1);
  }

  /** A gateway has its workers: those of a former life are gone. */
  #manned(gateway: GatewayNode): void {
    this.#workers = this.#workers.filter((worker) => worker.gateway !== gateway && worker.isThere);
    for (const name of [...this.#lasting.map(({ name }) => name), ...this.#queueMoves.names]) {
      for (let i = 0; i < this.knobs.workersPerQueue; i++) this.#employ(gateway, name);
    }
  }

  #employ(gateway: GatewayNode, queue: string): void {
    const worker = new SimWorker({
      clientId: `${gateway.life.name}-${++this.#hired}`,
      gateway,
      queue,
      check: this.check,
      draw: this.#draw,
      knobs: this.#workerKnobs,
      holds: (held, of) => this.#holds(held, of),
    });
    this.#workers.push(worker);
  }

  /** A store that does not answer for two seconds is taken to have given back its credit: it may still use it. */
  #holds(held: number, { clientId, queue }: SimWorker): void {
    const { partitions, thinkMsMax } = this.knobs;
    // What was sent under another limit may still be on its way.
    const sinceMs = this.world.nowMs - 2 * thinkMsMax - ClusterHistory.WIRE_MS_MAX;
    const window = this.#retention?.check.windowOf(queue, this.knobs.window, sinceMs) ?? this.knobs.window;
    try {
      this.check.within(held, this.#isCalm ? window : window * partitions, clientId);
    } catch (cause) {
      this.world.fail(cause);
    }
  }

  #special(fault: ClusterFault, victim: SimMachine | undefined): void {
    const { fleet, world } = this;
    const gateway = this.#draw.oneOf(fleet.gateways);
    if (fault === 'gateway') this.#strike(gateway);
    else if (fault === 'transfer') this.#transfer();
    else if (fault === 'sever') this.#sever(gateway);
    else if (fault === 'gateway-wires') this.#slowWires(gateway);
    else if (fault === 'clock') this.#clocks.jump();
    else if (fault === 'astray') this.#clocks.goAstray();
    else if (fault === 'stop-all') for (const store of fleet.stores.values()) this.#storeMoves.do('stop', store);
    else if (fault === 'workers') {
      this.#workers = this.#workers.filter((worker) => worker.isThere);
      const leaver = this.#workers.length === 0 ? undefined : this.#draw.oneOf(this.#workers);
      if (leaver === undefined || gateway.state !== 'up') return;
      this.#workers = this.#workers.filter((worker) => worker !== leaver);
      world.after(0, leaver.gateway.life, () => leaver.leave());
      this.#employ(gateway, leaver.queue);
    } else this.#storeMoves.do(fault, victim === undefined ? undefined : fleet.stores.get(victim.nodeId));
  }

  #transfer(): void {
    const groupId = this.#draw.between(0, this.knobs.partitions);
    const heir = this.#draw.oneOf([...this.fleet.stores.keys()]);
    for (const { host, life } of this.fleet.stores.values()) {
      if (host === undefined || life.paused || !host.leads(groupId)) continue;
      this.world.after(0, life, () => void host.transferLeadership(groupId, heir));
    }
  }

  /** It dies, stands still for a while, or is cut off from one store. */
  #strike(gateway: GatewayNode): void {
    const { world, fleet, knobs } = this;
    const how = this.#draw.oneOf(['process', 'power', 'stop', 'cut'] as const);
    const lastsMs = this.#draw.between(50, knobs.faultMsMax);
    if (how === 'stop') {
      const { life } = gateway;
      life.pause();
      fleet.network.paused();
      world.after(lastsMs, world.outside, () => life.resume());
    } else if (how === 'cut') {
      const nodeId = this.#draw.oneOf([...fleet.stores.keys()]);
      const ways = this.#draw.oneOf([
        [true, true],
        [true, false],
        [false, true],
      ] as const);
      if (ways[0]) fleet.network.cut(nodeId, gateway.nodeId);
      if (ways[1]) fleet.network.cut(gateway.nodeId, nodeId);
      world.after(lastsMs, world.outside, () => {
        fleet.network.mend(nodeId, gateway.nodeId);
        fleet.network.mend(gateway.nodeId, nodeId);
      });
    } else {
      gateway.kill(how);
      world.after(this.#draw.between(0, knobs.downMsMax), world.outside, () => gateway.start());
    }
  }

  /** From one store, in both directions. */
  #sever({ nodeId }: GatewayNode): void {
    const { world, fleet } = this;
    const other = this.#draw.oneOf([...fleet.stores.keys()]);
    world.trace.add(world.nowMs, 'nemesis', `severs ${nodeId} from ${other}`);
    fleet.network.cut(nodeId, other);
    fleet.network.cut(other, nodeId);
    world.after(this.#draw.between(200, ClusterHistory.SEVERED_MS_MAX), world.outside, () => {
      fleet.network.mend(nodeId, other);
      fleet.network.mend(other, nodeId);
    });
  }

  #slowWires(gateway: GatewayNode): void {
    const { world, fleet, knobs } = this;
    const { network } = fleet;
    const other = this.#draw.oneOf(fleet.gateways);
    const moreMs = this.#draw.oneOf([5, 30, 100]);
    network.slow(gateway.nodeId, other.nodeId, moreMs);
    network.slow(other.nodeId, gateway.nodeId, moreMs);
    world.after(this.#draw.between(50, knobs.faultMsMax), world.outside, () => {
      network.slow(gateway.nodeId, other.nodeId, 0);
      network.slow(other.nodeId, gateway.nodeId, 0);
    });
  }

  /** Leaders are the more interesting half. */
  #victim(up: readonly SimMachine[]): SimMachine {
    const groupId = this.#draw.between(0, this.knobs.partitions);
    const leader = up.find((machine) => machine.host?.leads(groupId));
    return leader !== undefined && this.#draw.onceIn(2) ? leader : this.#draw.oneOf(up);
  }

  /** What replicas have applied, and who leads. */
  #sample(): void {
    this.world.after(ClusterHistory.SAMPLE_MS, this.world.outside, () => {
      this.#sample();
      for (let groupId = 0; groupId <= this.knobs.partitions; groupId++) this.#sampleGroup(groupId);
    });
  }

  #sampleGroup(groupId: number): void {
    const { knobs } = this;
    this.fleet.leaderOf(groupId);
    for (const { storage, host, nodeId } of this.fleet.stores.values()) {
      // What a follower has applied nobody is told: the leader's disk may hang, and others be ahead of it.
      if (storage === undefined || host === undefined || !host.leads(groupId)) continue;
      if (host.status(groupId)?.role !== 'leader') {
        this.world.fail(new Violation('leadership ended', `node ${nodeId} serves group ${groupId}, leads no more`));
      }
      if (groupId === 0) continue;
      if (this.#leaders.get(groupId) !== nodeId) {
        this.#leaders.set(groupId, nodeId);
        this.#leaderChanges++;
      }
      if (knobs.faults.includes('astray')) this.#looksAtTime(groupId, nodeId);
      const from = groupKey(groupId, Uint8Array.of(RowTable.QUEUE));
      const to = groupKey(groupId, Uint8Array.of(RowTable.QUEUE + 1));
      const { nowMs } = this.world;
      storage.engine.scan(from, to, 100).then(
        (rows) => {
          for (const { value } of rows) {
            const queue = decodeQueueRow(value);
            try {
              this.check.floor(queue.queueId, groupId, queue.head, nowMs);
            } catch (cause) {
              this.world.fail(cause);
            }
            this.#looksAtLimits(queue, groupId, nowMs);
          }
        },
        () => {},
      );
    }
  }

  /** What a clock that is wrong stamped is the partition's time from then on. */
  #looksAtTime(partition: number, nodeId: number): void {
    const timeMs = this.fleet.stores.get(nodeId)?.store?.timeOf(partition) ?? 0;
    const aheadMs = timeMs - WALL_CLOCK_MS - this.world.nowMs;
    if (aheadMs <= ClusterHistory.AHEAD_MS_MAX) return;
    this.world.fail(
      new Violation('time', `partition ${partition} is ahead by ${Math.round(aheadMs)} ms on node ${nodeId}`),
    );
  }

  #looksAtLimits(queue: QueueState, partition: number, nowMs: number): void {
    if (!this.check.isLimited(queue.queueId)) return;
    try {
      this.#limitCheck.look(queue, partition, nowMs);
      this.#retention?.check.look(queue, partition, nowMs);
    } catch (cause) {
      this.world.fail(cause);
    }
  }
}

/** Faults that do nothing to anybody but to the time of day. */
function isOfClocks(fault: string): boolean {
  return fault === 'clock' || fault === 'astray';
}
