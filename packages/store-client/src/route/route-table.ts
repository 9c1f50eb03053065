/**
 * Who leads each partition, as far as this node knows. Nothing of it is replicated: four kinds of news arrive in any
 * order, some of them late, and acting on an old one would send a gateway back to a store that has been replaced.
 *
 * What orders them is the term. A store's own announcement counts from its term on; what the coordinator passes on only
 * says something when its term is newer than all that was heard, since the store it names may have refused meanwhile.
 * A hint in a refusal has no term and is believed only while nobody is known. A store that refused, or whose channel was
 * lost, is suspected: it is not believed again by hint or hearsay until something newer is known, or until every
 * replica was asked once. Knowing nothing, the replicas are asked in turn; who takes a batch leads (`confirmed`).
 *
 * Being wrong costs a refusal, never a message. No clock, no timers: who waits between two questions is the asker.
 */
export class RouteTable {
  readonly #topology: RouteTopology;
  readonly #routes = new Map<number, Route>();
  readonly #listeners: LeaderListener[] = [];

  constructor(topology: RouteTopology) {
    this.#topology = topology;
  }

  /**
   * Called whenever a partition's leader is known anew: another one, the same after it was suspected, or one that was
   * taken for it and now says so itself.
   */
  onLeader(listener: LeaderListener): void {
    this.#listeners.push(listener);
  }

  /** 0 when nobody is known. */
  leaderOf(partition: number): number {
    return this.#routes.get(partition)?.leader ?? 0;
  }

  /**
   * Whom to ask: the leader, or else the next replica in turn, those believed alive first. 0 when there is none to ask.
   */
  candidate(partition: number): number {
    const route = this.#route(partition);
    if (route.leader !== 0) return route.leader;
    const replicas = this.#topology.replicasOf(partition);
    if (replicas.length === 0) return 0;
    if (route.asked >= replicas.length) {
      route.asked = 0;
      route.suspects.length = 0;
    }
    const start = route.cursor;
    const turn = route.asked++;
    // A round asks everybody once, and begins one further than the round before.
    if (route.asked === replicas.length) route.cursor = (start + 1) % replicas.length;
    return this.#inTurn(replicas, start, turn);
  }

  /** The image of the cluster, or what is known of its leaders, changed. */
  topologyChanged(): void {
    for (let partition = 1; partition <= this.#topology.partitionCount; partition++) {
      const nodeId = this.#topology.leaderOf(partition);
      if (nodeId === 0) continue;
      const term = this.#topology.leaderTermOf(partition);
      const route = this.#route(partition);
      const isNews =
        term > route.term || (term === route.term && route.leader === 0 && !route.suspects.includes(nodeId));
      if (isNews) this.#become(partition, route, nodeId, term);
    }
  }

  /** A store said so itself, on a channel that is open now. */
  announced(partition: number, nodeId: number, term: number): void {
    const route = this.#route(partition);
    if (term < route.term) return;
    this.#topology.noteLeader(partition, nodeId, term);
    // Also when it was taken for the leader before: only now it says that it serves.
    const wasKnown = route.leader === nodeId;
    this.#become(partition, route, nodeId, term);
    if (wasKnown) this.#tell(partition, nodeId);
  }

  /** What a store that refused believes; 0: it knows nobody. Tell `suspect` of the refusal first. */
  hinted(partition: number, leader: number): void {
    if (leader === 0) return;
    const route = this.#route(partition);
    if (route.leader === 0 && !route.suspects.includes(leader)) this.#become(partition, route, leader, 0);
  }

  /** It took what only a leader takes. */
  confirmed(partition: number, nodeId: number): void {
    const route = this.#route(partition);
    if (route.leader !== 0) return;
    route.suspects.length = 0;
    this.#become(partition, route, nodeId, 0);
  }

  /** It refused, did not answer, or cannot be reached. */
  suspect(partition: number, nodeId: number): void {
    const route = this.#route(partition);
    if (!route.suspects.includes(nodeId)) route.suspects.push(nodeId);
    if (route.leader === nodeId) route.leader = 0;
  }

  /** Everything it led is led by nobody known. */
  lost(nodeId: number): void {
    for (const [partition, route] of this.#routes) if (route.leader === nodeId) this.suspect(partition, nodeId);
  }

  #become(partition: number, route: Route, nodeId: number, term: number): void {
    const isKnownAnew = route.leader !== nodeId;
    route.leader = nodeId;
    if (term > route.term) route.term = term;
    // A hint proves nothing: who follows one that is wrong must not be sent round in a circle by the next.
    if (term > 0) route.suspects.length = 0;
    route.asked = 0;
    if (isKnownAnew) this.#tell(partition, nodeId);
  }

  #tell(partition: number, nodeId: number): void {
    for (const listener of this.#listeners) listener(partition, nodeId);
  }

  #inTurn(replicas: readonly number[], start: number, turn: number): number {
    let left = turn;
    for (const wantAlive of [true, false]) {
      for (let i = 0; i < replicas.length; i++) {
        const nodeId = replicas[(start + i) % replicas.length] as number;
        if (this.#topology.isAlive(nodeId) === wantAlive && left-- === 0) return nodeId;
      }
    }
    return replicas[0] as number;
  }

  #route(partition: number): Route {
    let route = this.#routes.get(partition);
    if (route === undefined) {
      route = { leader: 0, term: 0, suspects: [], cursor: 0, asked: 0 };
      this.#routes.set(partition, route);
    }
    return route;
  }
}

export type LeaderListener = (partition: number, nodeId: number) => void;

/** What is asked of `meta/topology`. */
export interface RouteTopology {
  readonly partitionCount: number;
  /** Empty while the partition is not placed. */
  replicasOf(partition: number): readonly number[];
  leaderOf(partition: number): number;
  leaderTermOf(partition: number): number;
  isAlive(nodeId: number): boolean;
  noteLeader(partition: number, nodeId: number, term: number): boolean;
}

interface Route {
  leader: number;
  /** The newest heard of for the partition, whoever led in it. */
  term: number;
  suspects: number[];
  /** Where the round through the replicas began, and how many of it were asked. */
  cursor: number;
  asked: number;
}
