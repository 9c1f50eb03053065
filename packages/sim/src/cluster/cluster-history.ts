import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import { groupKey, groupRange, machineKey } from '@sluice/multiraft/keyspace';
import { decodeQueueRow } from '@sluice/queue/machine/queue-row';
import { RowTable } from '@sluice/queue/machine/row-keys';
import { QueueCheck, textOf } from '../check/queue-check.ts';
import { Draw } from '../draw.ts';
import { Nemesis } from '../nemesis.ts';
import type { SimMachine } from '../sim-machine.ts';
import { SimNetwork } from '../sim-network.ts';
import type { SimWorld } from '../sim-world.ts';
import { driven, type SimulationOptions, simulate, type Verdict, Violation } from '../simulation.ts';
import { type ClusterFault, type ClusterKnobs, drawClusterKnobs } from './cluster-knobs.ts';
import { GatewayNode } from './gateway-node.ts';
import { nodeInfo } from './registration.ts';
import { SimWorker, type WorkerKnobs } from './sim-worker.ts';
import { StoreNode } from './store-node.ts';

export interface ClusterSimulationOptions extends SimulationOptions {
  safetyMs?: number;
  adjust?(knobs: ClusterKnobs): ClusterKnobs;
}

/** Stores, coordinators and gateways' clients, all of it the real code, under every fault of machines and wires. */
export function simulateCluster(seed: number, options: ClusterSimulationOptions = {}): Promise<Verdict> {
  return simulate('cluster', seed, options, (world) => new ClusterHistory(world, options).run());
}

export class ClusterHistory {
  readonly world: SimWorld;
  readonly #draw: Draw;
  readonly knobs: ClusterKnobs;
  readonly network: SimNetwork;
  readonly stores = new Map<number, StoreNode>();
  readonly gateways: GatewayNode[] = [];
  readonly check: QueueCheck;
  readonly #workerKnobs: WorkerKnobs;
  readonly #queues: QueueDefinition[] = [];
  #workers: { worker: SimWorker; gateway: GatewayNode; life: string; queueId: number; partition: number }[] = [];
  readonly #sequences = new Map<string, number>();
  #nextMessage = 1;
  #publishing = true;
  #leaderChanges = 0;
  readonly #leaders = new Map<number, number>();

  /** From the first start until every partition is led and the queues exist. */
  static readonly FORM_MS_MAX = 60_000;
  static readonly RESUME_MS_MAX = 40_000;
  /** While there is something to deliver, it takes no longer until something is. */
  static readonly STAND_MS_MAX = 30_000;
  static readonly SAMPLE_MS = 100;
  /** While queues are drained nobody thinks for long: what is left is a fault and not a backlog. */
  static readonly LAST_THINK_MS = 5;
  static readonly READ_ATTEMPTS = 20;

  constructor(world: SimWorld, options: ClusterSimulationOptions) {
    this.world = world;
    this.#draw = new Draw(world.prng);
    const drawn = drawClusterKnobs(this.#draw, options.safetyMs ?? 20_000);
    this.knobs = options.adjust?.(drawn) ?? drawn;
    this.network = new SimNetwork(world, this.knobs.network);
    const { window, thinkMsMax, returnOneIn } = this.knobs;
    this.#workerKnobs = { window, thinkMsMax, returnOneIn };
    this.check = new QueueCheck(() => this.knobs.faults.length === 0);
  }

  async run(): Promise<string> {
    const { world, knobs } = this;
    this.#found();
    await this.#define();
    const nemesis = new Nemesis<ClusterFault>({
      world,
      draw: this.#draw,
      knobs,
      machines: this.stores,
      network: this.network,
      special: (fault) => this.#special(fault),
      victim: (up) => this.#victim(up),
    });
    nemesis.begin();
    this.#sample();
    for (let publisher = 1; publisher <= knobs.publishers; publisher++) this.#publish(`p${publisher}`);
    await world.run(world.nowMs + knobs.safetyMs);
    nemesis.end();
    for (const gateway of this.gateways) gateway.start();
    await this.#resumes();
    this.#publishing = false;
    this.#workerKnobs.thinkMsMax = ClusterHistory.LAST_THINK_MS;
    await this.#drains();
    this.check.atTheEnd();
    await this.#converges();
    const faults = [...nemesis.counts].map(([fault, count]) => `${fault} ${count}`).join(', ');
    return `${knobs.stores} stores, ${knobs.gateways} gateways, ${knobs.partitions} partitions, ${this.#queues.length} queues, ${this.check.acknowledgements} acknowledged, ${this.check.deliveries} deliveries (${this.check.duplicates} duplicates), ${this.#leaderChanges} changes of leaders; ${faults}`;
  }

  #found(): void {
    const { knobs, world, network } = this;
    const storeIds = Array.from({ length: knobs.stores }, (_, i) => i + 1);
    const gatewayIds = Array.from({ length: knobs.gateways }, (_, i) => 100 + i);
    const coordinatorIds = storeIds.slice(0, 3);
    const formation = {
      clusterId: 'simulated',
      partitionCount: knobs.partitions,
      replicationFactor: Math.min(3, knobs.stores),
      queueCountMax: 1_000,
      founders: [
        ...storeIds.map((nodeId) =>
          nodeInfo(nodeId, coordinatorIds.includes(nodeId) ? ['store', 'coordinator'] : ['store']),
        ),
        ...gatewayIds.map((nodeId) => nodeInfo(nodeId, ['gateway'])),
      ],
    };
    const machine = { world, network, diskKnobs: knobs.disk, segmentBytes: knobs.segmentBytes };
    for (const nodeId of storeIds) {
      this.stores.set(nodeId, new StoreNode({ ...machine, nodeId, formation, coordinatorIds }));
    }
    for (const nodeId of gatewayIds) {
      const onUp = (gateway: GatewayNode): void => this.#manned(gateway);
      this.gateways.push(new GatewayNode({ ...machine, nodeId, coordinatorIds, onUp }));
    }
    for (const store of this.stores.values()) store.start();
    for (const gateway of this.gateways) gateway.start();
  }

  async #define(): Promise<void> {
    const { knobs, world } = this;
    const isUp = (): boolean =>
      [...this.stores.values(), ...this.gateways].every((machine) => machine.state === 'up') &&
      [...this.stores.values()].every(({ store }) => store?.unready() === undefined);
    if (!(await world.runUntil(world.nowMs + ClusterHistory.FORM_MS_MAX, ClusterHistory.SAMPLE_MS, isUp))) {
      const said = [...this.stores.values()].map(({ name, state, store }) => `${name} ${state} ${store?.unready()}`);
      throw new Violation('liveness', `the cluster does not form: ${said.join('; ')}`);
    }
    const specs = [
      ...Array.from({ length: knobs.regularQueues }, (_, i) => ({
        name: `regular${i}`,
        isLastValue: false,
        spread: 1,
      })),
      ...Array.from({ length: knobs.spreadQueues }, (_, i) => ({
        name: `spread${i}`,
        isLastValue: false,
        spread: knobs.partitions,
      })),
      ...Array.from({ length: knobs.lastValueQueues }, (_, i) => ({ name: `last${i}`, isLastValue: true, spread: 1 })),
    ];
    for (const { name, isLastValue, spread } of specs) {
      const gateway = this.gateways[0] as GatewayNode;
      const created = await this.#inLife(gateway, () =>
        (gateway.queues as NonNullable<GatewayNode['queues']>).create({
          ...QUEUE_SETTING_DEFAULTS,
          keyExpression: isLastValue ? 'message.from' : null,
          dispatchStrategy: this.#draw.oneOf(['random', 'round_robin', 'least_inflight']),
          name,
          topicFilter: `t/${name}`,
          isLastValue,
          partitionCount: spread,
        }),
      );
      if (!created.ok) throw new Violation('liveness', `queue ${name} is not created: ${JSON.stringify(created)}`);
      this.#queues.push(created.value);
    }
    for (const gateway of this.gateways) this.#manned(gateway);
  }

  #inLife<T>(machine: SimMachine, act: () => Promise<T>): Promise<T> {
    const started = new Promise<T>((resolve, reject) => {
      this.world.after(0, machine.life, () => act().then(resolve, reject));
    });
    return driven(this.world, started, 60_000);
  }

  /** A gateway has its workers: those of a former life are gone. */
  #manned(gateway: GatewayNode): void {
    this.#workers = this.#workers.filter((each) => each.gateway !== gateway || each.life === gateway.life.name);
    for (const queue of this.#queues) {
      for (const partition of queue.partitions) {
        for (let i = 0; i < this.knobs.workersPerQueue; i++) this.#employ(gateway, queue, partition);
      }
    }
  }

  #employ(gateway: GatewayNode, queue: QueueDefinition, partition: number): void {
    const worker = new SimWorker({
      gateway,
      queue,
      partition,
      check: this.check,
      draw: this.#draw,
      knobs: this.#workerKnobs,
    });
    this.#workers.push({ worker, gateway, life: gateway.life.name, queueId: queue.queueId, partition });
  }

  #publish(publisher: string): void {
    const { knobs, world } = this;
    world.after(knobs.publishEveryMs * (0.5 + this.#draw.between(0, 100) / 100), world.outside, () => {
      if (!this.#publishing) return;
      this.#publish(publisher);
      const number = Number(publisher.slice(1));
      // One connection: a publisher is at one gateway until that is gone, and then at the next.
      const up = this.gateways.filter((each) => each.state === 'up' && !each.life.paused);
      const gateway = up[number % Math.max(1, up.length)];
      if (gateway === undefined) return;
      world.after(0, gateway.life, () => {
        for (const queue of this.#queues) {
          for (let i = 0; i < knobs.batch; i++) this.#publishOne(gateway, publisher, number, queue);
        }
      });
    });
  }

  #publishOne(gateway: GatewayNode, publisher: string, number: number, queue: QueueDefinition): void {
    const { producer } = gateway;
    if (producer === undefined || producer.congested) return;
    const partition = queue.partitions[number % queue.partitions.length] as number;
    const key = queue.isLastValue ? `k${this.#draw.between(1, this.knobs.keys)}` : undefined;
    // A publisher that moved to another gateway is another one: what it left behind is answered to nobody.
    const from = `${publisher}@${gateway.life.name}`;
    const line = `${from}:${queue.queueId}:${key ?? ''}`;
    const sequence = (this.#sequences.get(line) ?? 0) + 1;
    this.#sequences.set(line, sequence);
    const message = { id: this.#nextMessage++, queueId: queue.queueId, publisher: from, sequence, key };
    this.check.published(message);
    // Values of one publisher are its own: a key is the publisher's.
    const fullKey = key === undefined ? undefined : Buffer.from(`${from}/${key}`);
    producer.add(
      partition,
      {
        targets: [{ queueId: queue.queueId, key: fullKey }],
        topic: queue.topicFilter,
        payload: Buffer.from(`${textOf(message)} ${'.'.repeat(this.knobs.payloadBytes)}`),
        qos: 1,
        retain: false,
        publisher: from,
        publishedAtMs: gateway.clock.nowMs(),
        expiresAtMs: 0,
        properties: undefined,
      },
      {
        recordStored: () => {
          this.world.trace.count(message.id);
          this.check.acknowledged(message.id);
        },
        recordFailed: (failure) => {
          // Nobody knows: also a refusal may follow an attempt that was stored and not answered.
          if (failure !== 'unavailable' && knobsAreCalm(this.knobs)) this.check.refused(message.id);
          if (failure.startsWith('queue-')) {
            this.world.fail(new Violation('queues known', `${message.id} for queue ${queue.name}: ${failure}`));
          }
        },
      },
    );
  }

  #special(fault: ClusterFault): void {
    const gateway = this.#draw.oneOf(this.gateways);
    if (fault === 'gateway') {
      gateway.kill(this.#draw.oneOf(['process', 'power']));
      this.world.after(this.#draw.between(0, this.knobs.downMsMax), this.world.outside, () => gateway.start());
      return;
    }
    if (fault === 'transfer') {
      const groupId = this.#draw.between(0, this.knobs.partitions);
      const heir = this.#draw.oneOf([...this.stores.keys()]);
      for (const { host, life } of this.stores.values()) {
        if (host === undefined || life.paused || !host.leads(groupId)) continue;
        this.world.after(0, life, () => void host.transferLeadership(groupId, heir));
      }
      return;
    }
    const leaver = this.#workers.length === 0 ? undefined : this.#draw.oneOf(this.#workers);
    if (leaver === undefined || gateway.state !== 'up') return;
    this.#workers = this.#workers.filter((each) => each !== leaver);
    this.world.after(0, leaver.gateway.life, () => leaver.worker.leave());
    const queue = this.#queues.find(({ queueId }) => queueId === leaver.queueId) as QueueDefinition;
    this.#employ(gateway, queue, leaver.partition);
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
      for (const { storage, host, nodeId } of this.stores.values()) {
        if (storage === undefined || host === undefined) continue;
        for (let groupId = 1; groupId <= this.knobs.partitions; groupId++) {
          const serves = host.leads(groupId);
          if (serves && host.status(groupId)?.role !== 'leader') {
            this.world.fail(new Violation('leadership ended', `node ${nodeId} serves group ${groupId}, leads no more`));
          }
          if (serves && this.#leaders.get(groupId) !== nodeId) {
            this.#leaders.set(groupId, nodeId);
            this.#leaderChanges++;
          }
          // What a follower has applied nobody is told: the leader's disk may hang, and others be ahead of it.
          if (!serves) continue;
          const from = groupKey(groupId, Uint8Array.of(RowTable.QUEUE));
          const to = groupKey(groupId, Uint8Array.of(RowTable.QUEUE + 1));
          const { nowMs } = this.world;
          storage.engine.scan(from, to, 100).then(
            (rows) => {
              for (const { value } of rows) {
                const { queueId, head } = decodeQueueRow(value);
                this.check.floor(queueId, groupId, head, nowMs);
              }
            },
            () => {},
          );
        }
      }
    });
  }

  async #resumes(): Promise<void> {
    const { world } = this;
    const before = this.#queues.map(({ queueId }) => this.check.acknowledgedOf(queueId));
    const isResumed = (): boolean =>
      this.#queues.every(({ queueId }, i) => this.check.acknowledgedOf(queueId) > (before[i] as number));
    if (await world.runUntil(world.nowMs + ClusterHistory.RESUME_MS_MAX, 500, isResumed)) return;
    const stuck = this.#queues.filter(({ queueId }, i) => this.check.acknowledgedOf(queueId) === before[i]);
    throw new Violation(
      'liveness',
      `nothing is acknowledged for ${stuck.map(({ name }) => name)}: ${this.#describe()}`,
    );
  }

  /** Every queue, on every replica, is empty. */
  async #drains(): Promise<void> {
    const { world } = this;
    let movedMs = world.nowMs;
    let deliveries = -1;
    let left: string[] = [];
    while (world.nowMs < movedMs + ClusterHistory.STAND_MS_MAX) {
      await world.run(world.nowMs + 500);
      if (this.check.deliveries > deliveries) movedMs = world.nowMs;
      deliveries = this.check.deliveries;
      left = await this.#depths();
      if (left.length === 0 && this.gateways.every(({ producer }) => (producer?.bufferedBytes ?? 0) === 0)) return;
    }
    throw new Violation('liveness', `not drained: ${left.join('; ')}; ${this.#describe()}`);
  }

  async #depths(): Promise<string[]> {
    const left: string[] = [];
    for (const store of this.stores.values()) {
      if (store.state !== 'up' || store.topology === undefined) {
        left.push(`${store.name} is ${store.state}`);
        continue;
      }
      for (const queue of this.#queues) {
        for (const partition of queue.partitions) {
          if (!store.topology.replicasOf(partition).includes(store.nodeId)) continue;
          const rows = await this.#rows(store, partition, RowTable.QUEUE);
          const row = rows.map(({ value }) => decodeQueueRow(value)).find(({ queueId }) => queueId === queue.queueId);
          if (row === undefined) left.push(`${store.name} does not know ${queue.name}`);
          else if (row.depth !== 0) left.push(`${store.name} ${queue.name} holds ${row.depth} from ${row.head}`);
        }
      }
    }
    return left;
  }

  #rows(store: StoreNode, groupId: number, table: number): Promise<{ key: Uint8Array; value: Uint8Array }[]> {
    const { storage } = store;
    if (storage === undefined) return Promise.resolve([]);
    const [from, to] = [groupKey(groupId, Uint8Array.of(table)), groupKey(groupId, Uint8Array.of(table + 1))];
    return this.#inLife(store, () => storage.engine.scan(from, to, 1_000));
  }

  /** All replicas of each group stand at one index, with one state. */
  async #converges(): Promise<void> {
    const { world } = this;
    for (let groupId = 0; groupId <= this.knobs.partitions; groupId++) {
      const isOne = (): boolean => {
        const applied = this.#members(groupId).map(({ host }) => host?.status(groupId)?.applied ?? -1);
        return applied.length > 0 && applied.every((index) => index === applied[0] && index >= 0);
      };
      if (!(await world.runUntil(world.nowMs + ClusterHistory.RESUME_MS_MAX, 200, isOne))) {
        throw new Violation('liveness', `group ${groupId} is not one in the end: ${this.#describe()}`);
      }
      await this.#agree(groupId);
    }
  }

  /** Read at one index; where an entry came in between, read again. */
  async #agree(groupId: number): Promise<void> {
    for (let attempt = 0; attempt < ClusterHistory.READ_ATTEMPTS; attempt++) {
      const states: { name: string; applied: number; rows: string }[] = [];
      for (const store of this.#members(groupId)) states.push(await this.#stateOf(store, groupId));
      const [first] = states;
      if (first !== undefined && states.every(({ applied }) => applied === first.applied)) {
        const other = states.find(({ rows }) => rows !== first.rows);
        if (other === undefined) return;
        const where = `group ${groupId} at ${first.applied}: ${first.name} and ${other.name}`;
        throw new Violation('replica agreement', `${where}: ${apart(first.rows, other.rows)}`);
      }
      await this.world.run(this.world.nowMs + ClusterHistory.SAMPLE_MS);
    }
    throw new Violation('liveness', `group ${groupId} never stands still`);
  }

  async #stateOf(store: StoreNode, groupId: number): Promise<{ name: string; applied: number; rows: string }> {
    const { host, storage, name } = store;
    if (host === undefined || storage === undefined) return { name, applied: -1, rows: '' };
    const { from, to } = groupRange(groupId);
    return this.#inLife(store, async () => {
      await host.written();
      const applied = host.status(groupId)?.applied ?? -1;
      const rows = await storage.engine.scan(from, to, 1_000_000);
      return { name, applied, rows: rows.map(({ key, value }) => `${hex(machineKey(key))}=${hex(value)}`).join('\n') };
    });
  }

  #members(groupId: number): StoreNode[] {
    for (const { host, state } of this.stores.values()) {
      if (state !== 'up' || host?.leads(groupId) !== true) continue;
      const voters = host.status(groupId)?.committedMembership.voters ?? [];
      return voters.map((nodeId) => this.stores.get(nodeId)).filter((store) => store !== undefined);
    }
    return [];
  }

  #describe(): string {
    const said = [...this.stores.values()].map(({ name, state, host, store }) => {
      if (host === undefined) return `${name} ${state}`;
      const groups: string[] = [];
      for (let groupId = 0; groupId <= this.knobs.partitions; groupId++) {
        const status = host.status(groupId);
        if (status === undefined) continue;
        const { role, term, leader, commit, applied, lastIndex, membership } = status;
        groups.push(
          `${groupId}: ${role} t${term} l${leader} c${commit} a${applied} last ${lastIndex} of ${membership.voters}/${membership.votersOutgoing}+${membership.learners}`,
        );
      }
      return `${name} ${state} (${store?.unready() ?? 'ready'}) [${groups.join(' | ')}]`;
    });
    return said.join('; ');
  }
}

function knobsAreCalm({ faults }: ClusterKnobs): boolean {
  return faults.length === 0;
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
