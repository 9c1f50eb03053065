import { setTimeout as sleep } from 'node:timers/promises';

const BEFORE_MS = 1_000;
const DOWN_MS = 1_500;
const FROZEN_MS = 3_000;

/** What is done to the nodes of a cluster while a demo runs: never to more than one at a time. */
export class Harm {
  #cluster;
  #score;

  constructor(cluster, score) {
    this.#cluster = cluster;
    this.#score = score;
  }

  /** SIGKILL and a restart of the node that leads the queue's partition; then whoever leads it by then is frozen. */
  async leader(queue) {
    await this.#series(() => this.#leaderOf(queue), `which led ${queue}`, queue);
  }

  /** The same to the gateway with most clients. */
  async gateway(queue) {
    await this.#series(() => this.#busiestGateway(), 'a gateway with clients', queue);
  }

  /** The same to the coordinator that leads. */
  async coordinator(queue) {
    const leading = async () => (await (await this.#cluster.rest()).get('/api/v5/cluster')).coordinator;
    await this.#series(leading, 'the leading coordinator', queue);
  }

  async #series(pick, what, queue) {
    await this.#cluster.whole();
    await sleep(BEFORE_MS);
    const victim = this.#cluster.node(await pick());
    this.#score.note(`  SIGKILL: ${victim.name}, ${what}`);
    await victim.kill();
    await sleep(DOWN_MS);
    await victim.start();
    this.#score.note(`  ${victim.name} is started again`);
    await this.#cluster.whole();
    const frozen = this.#cluster.node(await this.#leaderOf(queue));
    this.#score.note(`  SIGSTOP for ${FROZEN_MS / 1000} s: ${frozen.name}, which leads ${queue}`);
    frozen.pause();
    await sleep(FROZEN_MS);
    frozen.resume();
    await this.#cluster.whole();
    await sleep(BEFORE_MS);
  }

  async #leaderOf(queue) {
    for (;;) {
      const leader = await (await this.#cluster.rest()).leaderOf(queue).catch(() => undefined);
      if (leader !== undefined) return leader;
      await sleep(100);
    }
  }

  async #busiestGateway() {
    let busiest = { name: '', connections: -1 };
    for (const gateway of this.#cluster.gateways) {
      const nodes = await this.#cluster.restOf(gateway).get('/api/v5/nodes');
      const list = Array.isArray(nodes) ? nodes : nodes.data;
      const { connections = 0 } = list.find(({ node }) => node === gateway.name) ?? {};
      if (connections > busiest.connections) busiest = { name: gateway.name, connections };
    }
    return busiest.name;
  }
}
