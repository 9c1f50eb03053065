import { SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import type { MetaMachine } from '@sluice/meta/meta-machine';
import type { NodeRegistration, NodeRole } from '@sluice/meta/node-info';
import type { QueueCheck } from '../check/queue-check.ts';
import type { MqttWatch } from '../sessions/mqtt-gateway.ts';
import type { SimMachine } from '../sim-machine.ts';
import type { SimNetwork } from '../sim-network.ts';
import type { SimWorld } from '../sim-world.ts';
import { driven, Violation } from '../simulation.ts';
import type { ClusterKnobs } from './cluster-knobs.ts';
import { GatewayNode } from './gateway-node.ts';
import { nodeInfo, obtainPlace, registrationOf } from './registration.ts';
import { StoreNode } from './store-node.ts';

/** The machines of one cluster: those it is founded with, those that come, those that are gone. */
export class Fleet {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly knobs: ClusterKnobs;
  /** Those that are gone are no more among them. */
  readonly stores = new Map<number, StoreNode>();
  readonly gateways: GatewayNode[] = [];
  /** Asked for a place and have none yet. */
  joining = 0;
  #joined = 0;
  readonly #everIds = new Set<number>();
  /** By group: the newest term that anybody was seen to lead in. */
  readonly #newestTerms = new Map<number, number>();

  /** What asks for a place is known to the network by a number beyond every id. */
  static readonly WIRE_IDS_FROM = 10_000;
  static readonly GATEWAY_IDS_FROM = 100;

  constructor(world: SimWorld, network: SimNetwork, knobs: ClusterKnobs) {
    this.world = world;
    this.network = network;
    this.knobs = knobs;
  }

  found(check: QueueCheck, onUp: (gateway: GatewayNode) => void, mqtt: MqttWatch | undefined): void {
    const { knobs } = this;
    const storeIds = Array.from({ length: knobs.stores }, (_, i) => i + 1);
    const coordinatorIds = storeIds.slice(0, 3);
    const rolesOf = (nodeId: number): readonly NodeRole[] =>
      knobs.allCoordinate || coordinatorIds.includes(nodeId) ? ['store', 'coordinator'] : ['store'];
    const stores = storeIds.map((id) => ({ id, registration: registrationOf(`s${id}`, `disk ${id}`, rolesOf(id)) }));
    const gateways = Array.from({ length: knobs.gateways }, (_, i) => ({
      id: Fleet.GATEWAY_IDS_FROM + i,
      registration: registrationOf(`g${i}`, `gateway ${i}`, ['gateway']),
    }));
    const formation = {
      clusterId: 'simulated',
      partitionCount: knobs.partitions,
      replicationFactor: Math.min(3, knobs.stores),
      queueCountMax: 1_000,
      founders: [...stores, ...gateways].map(({ id, registration }) => nodeInfo(id, registration)),
    };
    for (const { id, registration } of stores) {
      const founding = coordinatorIds.includes(id) ? { voters: coordinatorIds, formation } : undefined;
      this.#everIds.add(id);
      this.stores.set(id, new StoreNode({ ...this.#storeOptions(id), registration, founding, coordinatorIds }));
    }
    for (const { id, registration } of gateways) {
      this.#everIds.add(id);
      this.gateways.push(new GatewayNode({ ...this.#options(id), registration, coordinatorIds, check, onUp, mqtt }));
    }
    for (const machine of this.machines()) machine.start();
  }

  /** A cluster of one node, which has a directory that was made for it: nobody founds it. */
  alone(nodeId: number): StoreNode {
    const registration = registrationOf('restored', 'disk restored', ['store', 'coordinator']);
    const coordinatorIds = [nodeId];
    const store = new StoreNode({ ...this.#storeOptions(nodeId), registration, founding: undefined, coordinatorIds });
    this.#everIds.add(nodeId);
    this.stores.set(nodeId, store);
    return store;
  }

  *machines(): Iterable<StoreNode | GatewayNode> {
    yield* this.stores.values();
    yield* this.gateways;
  }

  /** A store with an empty disk gets a place, also under the name of one that is lost. */
  join(name: string, roles: readonly NodeRole[], joined: (store: StoreNode) => void = () => {}): void {
    this.#place(name, roles, (nodeId, registration, coordinatorIds) => {
      const options = { ...this.#storeOptions(nodeId), registration, founding: undefined, coordinatorIds };
      const store = new StoreNode(options);
      this.stores.set(nodeId, store);
      store.start();
      joined(store);
    });
  }

  joinGateway(name: string, check: QueueCheck): void {
    this.#place(name, ['gateway'], (nodeId, registration, coordinatorIds) => {
      const parts = { registration, coordinatorIds, check, onUp: () => {}, mqtt: undefined };
      const gateway = new GatewayNode({ ...this.#options(nodeId), ...parts });
      this.gateways.push(gateway);
      gateway.start();
    });
  }

  #place(
    name: string,
    roles: readonly NodeRole[],
    placed: (nodeId: number, registration: NodeRegistration, coordinatorIds: readonly number[]) => void,
  ): void {
    this.joining++;
    const number = ++this.#joined;
    const registration = registrationOf(name, `disk ${name}.${number}`, roles);
    const coordinators = (): number[] =>
      [...this.stores.values()].filter(({ coordinator }) => coordinator !== undefined).map(({ nodeId }) => nodeId);
    const { levels } = this.#options(0);
    const asking = { ...registration, levels };
    obtainPlace(this.network, Fleet.WIRE_IDS_FROM + number, asking, coordinators, (nodeId, coordinatorIds) => {
      this.joining--;
      if (this.#everIds.has(nodeId)) {
        this.world.fail(new Violation('ids', `${name} is given ${nodeId}, which somebody had before`));
        return;
      }
      this.#everIds.add(nodeId);
      this.world.trace.add(this.world.nowMs, 'cluster', `${name} is node ${nodeId}`);
      placed(nodeId, registration, coordinatorIds);
    });
  }

  /** It is gone with its disk, and comes back under no id. */
  retire(store: StoreNode): void {
    store.retire();
    this.stores.delete(store.nodeId);
  }

  /** Who leads as far as it can be told from outside: of the newest term that was ever seen. */
  leaderOf(groupId: number): StoreNode | undefined {
    let leader: StoreNode | undefined;
    let newest = this.#newestTerms.get(groupId) ?? 0;
    for (const store of this.stores.values()) {
      if (store.host?.leads(groupId) !== true) continue;
      const term = store.host.termOf(groupId);
      if (term < newest) continue;
      newest = term;
      leader = store;
    }
    this.#newestTerms.set(groupId, newest);
    return leader;
  }

  /** Voters of the group and whoever else is named in its membership; undefined while nobody is known to lead. */
  membersOf(groupId: number): { voters: readonly number[]; others: readonly number[] } | undefined {
    const status = this.leaderOf(groupId)?.host?.status(groupId);
    if (status === undefined) return undefined;
    const { voters, votersOutgoing, learners, learnersNext } = status.membership;
    return { voters, others: [...votersOutgoing, ...learners, ...learnersNext] };
  }

  /** The metadata as whoever leads it has applied it. */
  metadata(): MetaMachine | undefined {
    const coordinator = this.leaderOf(0)?.coordinator;
    return coordinator?.leads === true ? coordinator.machine : undefined;
  }

  /** Some store that runs has an image without the queue. */
  isUnheardOf(queueId: number): boolean {
    for (const { host, topology } of this.stores.values()) {
      if (host !== undefined && topology?.queue(queueId) === undefined) return true;
    }
    return false;
  }

  /** Any gateway that serves, for who administers. */
  anyGateway(): GatewayNode | undefined {
    return this.gateways.find(({ state, life }) => state === 'up' && !life.paused);
  }

  /** A promise of a machine's code, driven to its end. */
  inLife<T>(machine: SimMachine, act: () => Promise<T>): Promise<T> {
    const started = new Promise<T>((resolve, reject) => {
      this.world.after(0, machine.life, () => act().then(resolve, reject));
    });
    return driven(this.world, started, 60_000);
  }

  describe(): string {
    const said = [...this.stores.values()].map(({ name, registration, state, host, store }) => {
      if (host === undefined) return `${name} (${registration.name}) ${state}`;
      const groups: string[] = [];
      for (let groupId = 0; groupId <= this.knobs.partitions; groupId++) {
        const status = host.status(groupId);
        if (status === undefined) continue;
        const { role, term, leader, commit, applied, lastIndex, membership, impaired } = status;
        const { voters, votersOutgoing, learners } = membership;
        groups.push(
          `${groupId}: ${role} t${term} l${leader} c${commit} a${applied} last ${lastIndex} of ${voters}/${votersOutgoing}+${learners}${impaired === undefined ? '' : ' impaired'}`,
        );
      }
      return `${name} (${registration.name}) ${state} (${store?.unready() ?? 'ready'}) [${groups.join(' | ')}]`;
    });
    const gateway = this.anyGateway()?.topology;
    const nodes = gateway?.nodes().map((node) => `${node.nodeId} ${node.name} ${node.state}`) ?? [];
    const places: string[] = [];
    for (let n = 1; n <= this.knobs.partitions; n++) {
      const place = gateway?.partition(n);
      places.push(`${n}: ${place?.replicas} led by ${gateway?.leaderOf(n)}, wished ${place?.preferredLeader}`);
    }
    return `${said.join('; ')}; nodes ${nodes.join(', ')}; places ${places.join(', ')}`;
  }

  #options(nodeId: number) {
    const { world, network, knobs } = this;
    const { disk: diskKnobs, segmentBytes, upgrade } = knobs;
    return {
      world,
      network,
      nodeId,
      diskKnobs,
      segmentBytes,
      levels: upgrade === undefined ? SUPPORTED_LEVELS : upgrade.former,
    };
  }

  #storeOptions(nodeId: number) {
    const { placement, portionStreams, backups } = this.knobs;
    return { ...this.#options(nodeId), placement, portionStreams, pieceBytes: backups?.pieceBytes };
  }
}
