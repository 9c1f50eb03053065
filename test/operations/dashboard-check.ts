import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { HandClient } from '../e2e/support/hand-client.ts';
import { API } from '../faults/load.ts';
import type { Address } from '../harness/server-process.ts';
import { annotationQueries, type PanelQuery, panelQueries } from './dashboard-queries.ts';
import { Scraper } from './scraper.ts';

const RULES = new URL('../../deploy/prometheus/rules.yaml', import.meta.url).pathname;
const DATA_MS_MAX = 60_000;
const TICK_MS = 100;

export interface DashboardOutcome {
  queries: number;
  panels: number;
  /** Queries that never had data, with why. */
  empty: string[];
}

/**
 * A real Prometheus scrapes a cluster under load, and every query of every panel is asked until it has had data: a panel
 * of a metric that was renamed, or of a label that nobody sets, stays empty and is named.
 */
export async function checkDashboards(): Promise<DashboardOutcome> {
  const cluster = await ClusterUnderTest.start({ layout: 'compact' });
  let scraper: Scraper | undefined;
  const load = new DemoLoad(cluster);
  try {
    scraper = await Scraper.start(
      cluster.nodes.map(({ http }) => http),
      RULES,
    );
    await load.start();
    for (const { expr } of annotationQueries()) await scraper.query(expr);
    const queries = panelQueries();
    const empty = await unanswered(scraper, queries);
    const panels = new Set(queries.map(({ dashboard, panel }) => `${dashboard}/${panel}`)).size;
    return { queries: queries.length, panels, empty };
  } catch (cause) {
    throw cluster.failure(cause);
  } finally {
    await load.stop();
    await scraper?.stop();
    await cluster.dispose();
  }
}

async function unanswered(scraper: Scraper, queries: readonly PanelQuery[]): Promise<string[]> {
  const deadlineMs = performance.now() + DATA_MS_MAX;
  let left = [...queries];
  for (;;) {
    const still: PanelQuery[] = [];
    for (const query of left) if (!hasData(await scraper.query(query.expr))) still.push(query);
    left = still;
    if (left.length === 0 || performance.now() > deadlineMs) break;
    await delay(1_000);
  }
  return left.map(({ dashboard, panel, expr }) => `${dashboard}, ${panel}: ${expr}`);
}

/** A quotient of nothing by nothing draws no line. */
function hasData(results: readonly { value: [number, string] }[]): boolean {
  return results.some(({ value: [, value] }) => value !== 'NaN');
}

/**
 * A task queue whose workers keep up and sometimes refuse, one that nobody consumes, a last-value queue, and clients that come
 * and go, do what they may not, or speak no MQTT.
 */
class DemoLoad {
  readonly #cluster: ClusterUnderTest;
  readonly #clients: HandClient[] = [];
  #running: Promise<void> | undefined;
  #isOver = false;

  constructor(cluster: ClusterUnderTest) {
    this.#cluster = cluster;
  }

  async start(): Promise<void> {
    const rest = await this.#cluster.anyRest();
    for (const [name, more] of Object.entries({
      images: {},
      forgotten: { limits: { max_message_count: 1_000_000, overflow: 'drop_oldest' } },
      commands: { is_lastvalue: true, key_expression: 'message.topic' },
    })) {
      const { status } = await rest.post(API, { name, topic_filter: `${name}/#`, is_lastvalue: false, ...more });
      if (status >= 300) throw new Error(`${name} was refused`);
    }
    const rules = [{ topic: 'forbidden', permission: 'deny', action: 'all' }];
    const denied = await rest.post('/api/v5/authorization/sources/built_in_database/rules/all', { rules });
    if (denied.status >= 300) throw new Error('the rule was refused');
    const gateways = this.#cluster.nodes.map(({ mqtt }) => addressOf(mqtt));
    const workers: HandClient[] = [];
    for (const gateway of gateways) {
      const worker = await this.#client(gateway);
      await worker.subscribe('$queue/images');
      workers.push(worker);
    }
    const publishers = await Promise.all(gateways.map((gateway) => this.#client(gateway)));
    this.#running = this.#run(publishers, workers, gateways);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running?.catch(() => {});
    for (const client of this.#clients) client.destroy();
  }

  async #run(
    publishers: readonly HandClient[],
    workers: readonly HandClient[],
    gateways: readonly Address[],
  ): Promise<void> {
    const answered = workers.map(() => 0);
    for (let n = 0; !this.#isOver; n++) {
      const publisher = publishers[n % publishers.length] as HandClient;
      for (const topic of ['images/1', 'images/2', 'forgotten/1', 'commands/robot-1', 'images/3']) {
        await publisher.publishQoS1(topic, `${n}`);
      }
      await publisher.publishQoS2('images/4', `${n}`, 60_000, false);
      await publisher.releaseQoS2(60_000);
      for (const [w, worker] of workers.entries()) {
        while ((answered[w] as number) < worker.deliveries.length) {
          const at = answered[w] as number;
          worker.ack(at, at % 7 === 0 ? REFUSED : 0);
          answered[w] = at + 1;
        }
      }
      if (n % MISCHIEF_TICKS === 0) await this.#mischief(gateways[(n / MISCHIEF_TICKS) % gateways.length] as Address);
      await delay(TICK_MS);
    }
  }

  async #mischief(gateway: Address): Promise<void> {
    const guest = await HandClient.connect(gateway);
    await guest.publishQoS1('forbidden', '');
    guest.close();
    const stranger = connect(gateway.port, gateway.host, () => stranger.write('GET / HTTP/1.1\r\n\r\n'));
    stranger.on('error', () => {});
    await once(stranger, 'close');
  }

  async #client(gateway: Address): Promise<HandClient> {
    const client = await HandClient.connect(gateway);
    this.#clients.push(client);
    return client;
  }
}

const REFUSED = 0x83;
const MISCHIEF_TICKS = 10;

function addressOf(text: string): Address {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}
