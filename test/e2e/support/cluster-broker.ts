import { readFileSync } from 'node:fs';
import { SeededPrng } from '@sluice/common/prng';
import { type ClusterProcess, ClusterUnderTest, type LayoutName } from '../../cluster/cluster-under-test.ts';
import { RestClient } from '../../harness/rest.ts';
import { type Address, type ListenerName, parseReadyLine, type ServerOptions } from '../../harness/server-process.ts';
import type { Broker, Which } from './broker.ts';

const REST_MS_MAX = 120_000;
const KEY = 'harness';
const SECRET = 'harness-secret';

/**
 * A cluster that looks like one broker: whoever asks where to connect is sent to a gateway by chance, whoever asks for
 * the management API to a node by chance. The chance is seeded, so that a test that fails fails again.
 */
export class ClusterBroker implements Broker {
  readonly cluster: ClusterUnderTest;
  readonly #prng: SeededPrng;
  #last: ClusterProcess;

  private constructor(cluster: ClusterUnderTest, seed: number) {
    this.cluster = cluster;
    this.#prng = new SeededPrng(seed);
    this.#last = cluster.gateways()[0] as ClusterProcess;
  }

  static async start(layout: LayoutName, { flags = [] }: ServerOptions = {}, seed = 1): Promise<ClusterBroker> {
    return new ClusterBroker(await ClusterUnderTest.start({ layout, flags }), seed);
  }

  get mqtt(): Address {
    return this.address('mqtt');
  }

  /** Of another node every time, as chance has it. */
  address(listener: ListenerName): Address {
    const node = this.#draw(listener === 'http' ? this.cluster.nodes : this.cluster.gateways());
    if (listener !== 'http') this.#last = node;
    return addressOf(node, listener);
  }

  rest(authentication: 'key' | 'anonymous' = 'key'): RestClient {
    return clientOf(this.#draw(this.cluster.nodes), authentication);
  }

  rests(authentication: 'key' | 'anonymous' = 'key'): RestClient[] {
    return this.cluster.nodes.filter(({ isRunning }) => isRunning).map((node) => clientOf(node, authentication));
  }

  get log(): string {
    return this.cluster.nodes.map(({ name, logFile }) => `--- ${name}\n${readFileSync(logFile, 'utf8')}`).join('\n');
  }

  async stop(which: Which = 'one'): Promise<void> {
    for (const role of ['gateway', 'store', 'coordinator']) {
      const wave = this.#victims(which).filter((node) => node.isRunning && node.roles.includes(role));
      for (const [node, { code, signal }] of await Promise.all(
        wave.map(async (one) => [one, await one.stop()] as const),
      )) {
        if (code !== 0) throw this.cluster.failure(`SIGTERM ended ${node.name} with code ${code}, signal ${signal}`);
      }
    }
  }

  async restart(which: Which = 'one'): Promise<void> {
    const victims = this.#victims(which);
    await Promise.all(victims.filter(({ isRunning }) => isRunning).map((node) => node.kill()));
    await Promise.all(victims.map(({ name }) => this.cluster.restart(name)));
    await this.cluster.atRest(REST_MS_MAX);
  }

  async dispose(): Promise<void> {
    await this.cluster.dispose();
  }

  /** The same as long as no other client was sent anywhere. */
  #victims(which: Which): ClusterProcess[] {
    if (which === 'all') return this.cluster.nodes;
    const gateway = this.#last;
    if (gateway.roles.includes('store')) return [gateway];
    const stores = this.cluster.withRole('store');
    return [gateway, stores[this.cluster.gateways().indexOf(gateway) % stores.length] as ClusterProcess];
  }

  #draw(nodes: readonly ClusterProcess[]): ClusterProcess {
    const running = nodes.filter(({ isRunning }) => isRunning);
    return running[this.#prng.below(running.length)] as ClusterProcess;
  }
}

function clientOf({ http }: ClusterProcess, authentication: 'key' | 'anonymous'): RestClient {
  return authentication === 'key' ? new RestClient(`http://${http}`, KEY, SECRET) : new RestClient(`http://${http}`);
}

/** As its `ready` line has it: the last of them, since a node may have started several times. */
function addressOf({ name, logFile }: ClusterProcess, listener: ListenerName): Address {
  const line = readFileSync(logFile, 'utf8')
    .split('\n')
    .findLast((one) => one.startsWith('ready '));
  const address = line === undefined ? undefined : parseReadyLine(line).get(listener);
  if (address === undefined) throw new Error(`${name} has no listener ${listener}`);
  return address;
}
