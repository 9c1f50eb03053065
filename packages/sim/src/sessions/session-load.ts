import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { groupKey } from '@sluice/multiraft/disk/keyspace';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import { decodeQueueRow } from '@sluice/queue/machine/row/queue-row';
import { RowTable } from '@sluice/queue/machine/row/row-keys';
import { SessionTable } from '@sluice/queue/session/row-keys';
import { decodeNumbersRow } from '@sluice/queue/session/session-rows';
import { isStream } from '@sluice/queue/session/stream-id';
import { EpochCheck } from '../check/epoch-check.ts';
import { PacketIdCheck } from '../check/packet-id-check.ts';
import type { QueueCheck } from '../check/queue-check.ts';
import { RetainedCheck } from '../check/retained-check.ts';
import { SessionCheck } from '../check/session-check.ts';
import type { Fleet } from '../cluster/fleet.ts';
import type { StoreNode } from '../cluster/store-node.ts';
import type { Draw } from '../draw.ts';
import { RetainedLoad } from '../retained/retained-load.ts';
import { Violation } from '../simulation.ts';
import { ExactClient } from './exact-client.ts';
import { ExactLoad } from './exact-load.ts';
import { KeptClient } from './kept-client.ts';
import type { MqttWatch } from './mqtt-gateway.ts';
import { RetainedProbe } from './retained-probe.ts';
import { EXPIRIES_S, type SessionKnobs } from './session-knobs.ts';
import { SessionPublishers } from './session-publishers.ts';
import { NewestStreams } from './watched-sessions.ts';
import { WillLoad } from './will-load.ts';
import { WillTrail } from './will-trail.ts';

/** Clients that speak MQTT in a cluster: kept sessions, retained messages, wills, and what must have become of them in the end. */
export class SessionLoad implements MqttWatch {
  readonly check: SessionCheck;
  readonly packetIds = new PacketIdCheck();
  readonly epochs = new EpochCheck();
  readonly retained = new RetainedCheck();
  readonly streams = new NewestStreams();
  readonly wills: WillTrail;
  readonly readers: RetainedLoad | undefined;
  readonly #parts: SessionLoadParts;
  readonly #clients: KeptClient[];
  readonly #exact: ExactLoad;
  readonly #willLoad: WillLoad;
  #queues: readonly LastingQueue[] = [];
  #publishers: SessionPublishers | undefined;
  #probes: RetainedProbe[] = [];
  #probed = 0;
  #isOver = false;
  /** Of sessions that were being taken apart, those that were seen, each by its partition and key. */
  readonly #portions = new Set<string>();

  static readonly LOOK_MS = 500;
  static readonly PORTIONS_EVERY_MS = 50;
  static readonly SETTLE_MS_MAX = 60_000;
  /** A gateway that is gone is waited for, then a delay or a session, and whoever was to publish it. */
  static readonly FIRE_MS_MAX = 60_000;
  /** While there is something to deliver, it takes no longer until something is. */
  static readonly STAND_MS_MAX = 30_000;
  /** Behind the last that came: a session whose client is in doubt is owed nothing, and brought all that it holds. */
  static readonly TRIM_MS_MAX = 60_000;
  /** Whatever comes: what is brought again and again is a fault. */
  static readonly REST_MS_MAX = 600_000;
  /** While sessions are brought what is theirs nobody thinks for long: what is left is a fault and not a backlog. */
  static readonly LAST_THINK_MS = 5;
  /** Beyond the longest expiry: gateways that went without a word are waited for, and rows are dropped in steps. */
  static readonly EXPIRE_MS_MAX = 60_000;
  static readonly PROBE_EVERY_MS = 2_500;
  static readonly PROBES_MAX = 3;

  constructor(parts: SessionLoadParts) {
    this.#parts = parts;
    const { fleet, draw, knobs, queueCheck, isCalm, mayMiss } = parts;
    const { world, gateways } = fleet;
    this.check = new SessionCheck(isCalm);
    const { check, packetIds, retained } = this;
    const filters = filtersOf(knobs);
    this.#exact = new ExactLoad({ world, draw, gateways, knobs });
    const wills = new WillTrail({
      world,
      draw,
      sessions: check,
      queueCheck,
      retained,
      queues: () => this.#queues,
      mayLose: mayMiss,
    });
    this.wills = wills;
    const { retained: readKnobs } = knobs;
    if (readKnobs !== undefined) {
      this.readers = new RetainedLoad({ fleet, draw, knobs: readKnobs, isStrict: !parts.mayLoseLive, mayMiss });
    }
    this.#willLoad = new WillLoad({ world, draw, gateways, knobs, trail: wills });
    const { partitions } = fleet.knobs;
    this.#clients = Array.from({ length: knobs.clients }, (_, i) => {
      return new KeptClient(`kept${i}`, EXPIRIES_S[i % EXPIRIES_S.length] as number, {
        world,
        draw,
        knobs,
        gateways,
        partitions,
        filters,
        check,
        packetIds,
        retained,
        wills,
      });
    });
  }

  begin(queues: readonly LastingQueue[]): void {
    const { fleet, draw, knobs, queueCheck } = this.#parts;
    const { world, gateways } = fleet;
    const { check, retained } = this;
    this.#publishers = new SessionPublishers({ world, draw, knobs, gateways, check, queueCheck, retained, queues });
    this.#queues = queues.filter(({ isLastValue }) => !isLastValue);
    this.#publishers.begin();
    for (const client of this.#clients) client.begin();
    this.#exact.begin();
    this.#willLoad.begin();
    this.readers?.begin();
    this.#probeNext();
    if (fleet.knobs.portionStreams !== undefined) this.#countPortions();
  }

  routed({ payload }: PublishPacket, streams: ReadonlySet<string>): void {
    const id = Number.parseInt(Buffer.from(payload).toString('latin1', 0, 20), 10);
    if (!Number.isNaN(id)) this.check.routed(id, streams);
  }

  get summary(): string {
    const { check, retained } = this;
    return [
      `sessions: ${this.#clients.length} clients, ${check.subscriptions} subscriptions`,
      `${check.acknowledgements} acknowledged, ${check.deliveries} deliveries (${check.duplicates} again, ${this.packetIds.kept} under the id of before)`,
      `${check.unheard} unheard of, ${retained.replays} retained`,
      this.#exact.summary,
      this.#willLoad.summary,
      ...(this.readers === undefined ? [] : [this.readers.summary]),
      ...(this.#portions.size === 0 ? [] : [`${this.#portions.size} portions seen`]),
    ].join(', ');
  }

  /** After everything healed: what was promised is kept, and when everybody is gone nothing is left of them. */
  async comesToRest(): Promise<void> {
    this.#isOver = true;
    await this.#settles();
    await this.readers?.comesToRest();
    await this.#fires();
    await this.#delivers();
    await this.#isRetained();
    for (const client of this.#clients) client.leave();
    this.#publishers?.leave();
    this.#exact.leave();
    await this.#leavesNothing();
  }

  async #settles(): Promise<void> {
    this.#publishers?.end();
    this.#exact.end();
    this.#willLoad.end();
    const isSettled = (): boolean => this.#areSettled() && this.#publishers?.areAnswered !== false;
    if (await this.#within(SessionLoad.SETTLE_MS_MAX, isSettled)) return;
    const left = this.#clients.filter((client) => !client.settle()).map((client) => client.describe());
    throw new Violation('liveness', `clients do not come to rest: ${left.join('; ')}; ${this.#parts.fleet.describe()}`);
  }

  /** Each comes back whose connection ends: a gateway's machine may have died, and its sessions expire meanwhile. */
  #areSettled(): boolean {
    return this.#clients.filter((client) => !client.settle()).length === 0;
  }

  async #fires(): Promise<void> {
    await this.#within(SessionLoad.FIRE_MS_MAX, () => this.#areSettled() && this.#willLoad.isDone);
    this.#willLoad.atTheEnd();
  }

  async #delivers(): Promise<void> {
    const { knobs, mayMiss } = this.#parts;
    knobs.thinkMsMax = SessionLoad.LAST_THINK_MS;
    const hasAll = (): boolean => this.#areSettled() && this.check.owed().next().done === true;
    for (let deliveries = -1; this.check.deliveries > deliveries; ) {
      deliveries = this.check.deliveries;
      if (await this.#within(SessionLoad.STAND_MS_MAX, hasAll)) break;
    }
    this.check.atTheEnd(mayMiss());
    await this.#within(SessionLoad.SETTLE_MS_MAX, () => this.#exact.isDone);
    this.#exact.atTheEnd(mayMiss());
    const left = await this.#untilNone(SessionLoad.TRIM_MS_MAX, (store, partition) => this.#held(store, partition));
    if (left.length > 0) throw new Violation('liveness', `streams are not trimmed: ${left.join('; ')}`);
  }

  /** Everybody has received everything: streams hold nothing. */
  async #held(store: StoreNode, partition: number): Promise<string[]> {
    const rows = (await this.#rows(store, partition, RowTable.QUEUE)).map(({ value }) => decodeQueueRow(value));
    const held = rows.filter(({ queueId, depth }) => isStream(queueId) && depth > 0);
    return held.map(({ name, depth, head }) => `${store.name} holds ${depth} of ${name} from ${head} in ${partition}`);
  }

  async #isRetained(): Promise<void> {
    await this.#isRead(this.retained, 'r/#');
    const { retained } = this.#exact;
    if (retained.topics > 0) await this.#isRead(retained, `${ExactClient.RETAINED_TOPIC}/#`);
  }

  /** At every gateway. */
  async #isRead(check: RetainedCheck, filter: string): Promise<void> {
    for (const gateway of this.#parts.fleet.gateways) {
      const { world } = this.#parts.fleet;
      const clientId = `probe${++this.#probed}`;
      const probe = new RetainedProbe({ world, gateway, check, clientId, filter });
      const missing = (): string[] => check.due(probe.askedMs).filter((topic) => !probe.topics.has(topic));
      const hasAll = (): boolean => probe.askedMs > 0 && missing().length === 0;
      if (!(await this.#within(SessionLoad.SETTLE_MS_MAX, hasAll))) {
        const who = `${probe.describe()} at ${gateway.name} (${gateway.state})`;
        throw new Violation('retained', `${who} does not get what is retained of ${missing().join(', ')}`);
      }
      probe.leave();
    }
  }

  async #leavesNothing(): Promise<void> {
    const longestMs = Math.max(...EXPIRIES_S.filter((expiryS) => expiryS < 0xffff_ffff)) * 1000;
    const left = await this.#untilNone(longestMs + SessionLoad.EXPIRE_MS_MAX, (store, partition) =>
      this.#remains(store, partition),
    );
    if (left.length > 0) throw new Violation('sessions remain', left.join('; '));
  }

  async #remains(store: StoreNode, partition: number): Promise<string[]> {
    const left: string[] = [];
    for (const [what, table] of Object.entries(SessionTable)) {
      const rows = await this.#rows(store, partition, table);
      if (table !== SessionTable.NUMBERS && rows.length > 0) left.push(`${rows.length} rows ${what}`);
      for (const { value } of table === SessionTable.NUMBERS ? rows : []) {
        const { sessions } = decodeNumbersRow(value);
        if (sessions !== 0) left.push(`${sessions} sessions counted`);
      }
    }
    for (const { value } of await this.#rows(store, partition, RowTable.QUEUE)) {
      const { queueId, name, depth } = decodeQueueRow(value);
      if (isStream(queueId)) left.push(`stream ${name} with ${depth}`);
      if (queueId === RETAINED_QUEUE_ID && depth > this.#topicsRetained) left.push(`${depth} retained messages`);
    }
    return left.map((what) => `${store.name} keeps ${what} in ${partition}`);
  }

  get #topicsRetained(): number {
    return this.retained.topics + this.#exact.retained.topics + (this.readers?.values.topics ?? 0);
  }

  /** What is left on any replica, at once or this long after the last message that came. */
  async #untilNone(
    withinMs: number,
    look: (store: StoreNode, partition: number) => Promise<string[]>,
  ): Promise<string[]> {
    const { fleet } = this.#parts;
    const { world } = fleet;
    let { deliveries } = this.check;
    const endMs = world.nowMs + SessionLoad.REST_MS_MAX;
    let untilMs = world.nowMs + withinMs;
    for (;;) {
      const left: string[] = [];
      for (const store of fleet.stores.values()) {
        if (store.state !== 'up' || store.topology === undefined) left.push(`${store.name} is ${store.state}`);
        else {
          for (let partition = 1; partition <= fleet.knobs.partitions; partition++) {
            if (store.topology.replicasOf(partition).includes(store.nodeId))
              left.push(...(await look(store, partition)));
          }
        }
      }
      if (this.check.deliveries > deliveries) {
        deliveries = this.check.deliveries;
        untilMs = Math.min(world.nowMs + withinMs, endMs);
      }
      if (left.length === 0 || world.nowMs >= untilMs) return left;
      await world.run(world.nowMs + SessionLoad.LOOK_MS);
    }
  }

  #rows(store: StoreNode, groupId: number, table: number): Promise<{ key: Uint8Array; value: Uint8Array }[]> {
    const { storage } = store;
    if (storage === undefined) return Promise.resolve([]);
    const [from, to] = [groupKey(groupId, Uint8Array.of(table)), groupKey(groupId, Uint8Array.of(table + 1))];
    return this.#parts.fleet.inLife(store, () => storage.engine.scan(from, to, 1_000));
  }

  #countPortions(): void {
    const { fleet } = this.#parts;
    const { world, knobs } = fleet;
    world.after(SessionLoad.PORTIONS_EVERY_MS, world.outside, () => {
      if (!this.#isOver) this.#countPortions();
      for (let partition = 1; partition <= knobs.partitions; partition++) {
        const store = fleet.leaderOf(partition);
        if (store?.state !== 'up' || store.life.paused) continue;
        const from = groupKey(partition, Uint8Array.of(SessionTable.PORTION));
        const to = groupKey(partition, Uint8Array.of(SessionTable.PORTION + 1));
        store.storage?.engine.scan(from, to, 100).then(
          (rows) => {
            for (const { key } of rows) this.#portions.add(Buffer.from(key).toString('hex'));
          },
          () => {},
        );
      }
    });
  }

  #within(withinMs: number, isSo: () => boolean): Promise<boolean> {
    const { world } = this.#parts.fleet;
    return world.runUntil(world.nowMs + withinMs, SessionLoad.LOOK_MS, isSo);
  }

  /** Somebody reads what is retained while everything happens: what comes is looked at, what does not come is not. */
  #probeNext(): void {
    const { fleet, draw, knobs } = this.#parts;
    const { world } = fleet;
    world.after(SessionLoad.PROBE_EVERY_MS * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) {
        for (const probe of this.#probes) probe.leave();
        return;
      }
      this.#probeNext();
      this.#probes = this.#probes.filter(({ hasEnded }) => !hasEnded);
      const gateway = draw.oneOf(fleet.gateways);
      const filter = draw.oneOf(['r/#', 'r/+/1', `r/0/${draw.between(1, knobs.retainedTopics)}`]);
      if (this.#probes.length >= SessionLoad.PROBES_MAX) this.#probes.shift()?.leave();
      if (gateway.state !== 'up') return;
      const clientId = `probe${++this.#probed}`;
      this.#probes.push(new RetainedProbe({ world, gateway, check: this.retained, clientId, filter }));
    });
  }
}

/** With wildcards and without; some cover others, some what queues want too. */
function filtersOf({ topics, publishers }: SessionKnobs): string[] {
  const filters = ['d/#', 'd/+', 't/#', 't/+', 'r/#', '#'];
  for (let topic = 1; topic <= topics; topic++) filters.push(`d/${topic}`);
  for (let publisher = 0; publisher < publishers; publisher++) filters.push(`r/${publisher}/+`);
  return filters;
}

interface LastingQueue {
  readonly queueId: number;
  readonly topicFilter: string;
  readonly isLastValue: boolean;
}

export interface SessionLoadParts {
  fleet: Fleet;
  draw: Draw;
  knobs: SessionKnobs;
  queueCheck: QueueCheck;
  /** Nothing is done to anybody. */
  isCalm: () => boolean;
  /** A gateway may have been out of reach while somebody subscribed. */
  mayMiss: () => boolean;
  /** A gateway may die, or stand still, and what is live be lost with it. */
  mayLoseLive: boolean;
}
