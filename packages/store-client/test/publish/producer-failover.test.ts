import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { Clock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { BatchOrigin } from '@sluice/queue/record/batch-origin';
import { checkRecordBatch, recordPositions } from '@sluice/queue/record/record-batch';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import fc from 'fast-check';
import type { RecordFailure } from '../../src/publish/partition-lane.ts';
import { PartitionProducer } from '../../src/publish/partition-producer.ts';
import { RouteTable } from '../../src/route/route-table.ts';
import { clusterOf } from '../doubles/cluster-image.ts';
import { type ScriptedChannel, ScriptedTransport } from '../doubles/scripted-transport.ts';

const NODES = [1, 2, 3];
type Link = ScriptedChannel<AppendRequest, AppendResponse>;
interface Accepted {
  request: AppendRequest;
  link: Link;
}

/**
 * One partition on three stores, as a publisher could see it: whoever leads takes batches and commits them in their
 * order, or loses them. What is in the log and whose turn it is it says by looking through the log. Messages lie on the
 * wire until a step moves them; those on a connection that broke may still be read, however late.
 */
class Partition {
  readonly transport = new ScriptedTransport<AppendRequest, AppendResponse>();
  leader = 1;
  term = 1;
  /** By the order of the log. */
  readonly #numbers: number[] = [];
  #accepted: Accepted[] = [];
  readonly #toStore = new Map<Link, AppendRequest[]>();
  readonly #toGateway = new Map<Link, AppendResponse[]>();
  readonly paused = new Set<number>();
  refuseNext: 'busy' | 'storage-full' | 'unavailable' | undefined;
  readonly #stored: (text: string) => void;

  constructor(stored: (text: string) => void) {
    this.#stored = stored;
    this.transport.sent = (link, request) => listOf(this.#toStore, link).push(request);
  }

  /** A node reads a few of the messages to it. */
  take(nodeId: number, count: number): void {
    if (this.paused.has(nodeId)) return;
    for (const link of this.transport.openChannels(nodeId)) {
      for (let i = 0; i < count; i++) this.#take(link, listOf(this.#toStore, link).shift());
    }
  }

  /** The gateway reads a few of those from it. */
  hear(nodeId: number, count: number): void {
    for (const link of this.transport.openChannels(nodeId)) {
      for (let i = 0; i < count; i++) {
        const response = listOf(this.#toGateway, link).shift();
        if (response !== undefined) link.say(response);
      }
    }
  }

  /** What was sent on connections that are gone, and was not read yet. */
  takeLate(nodeId: number, count: number): void {
    for (const [link, requests] of this.#toStore) {
      if (link.isOpen || link.nodeId !== nodeId) continue;
      for (const request of requests.splice(0, count)) this.#take(link, request);
    }
  }

  #take(link: Link, request: AppendRequest | undefined): void {
    if (request === undefined) return;
    const leads = this.leader === link.nodeId;
    if (leads && this.refuseNext === undefined) {
      this.#accepted.push({ request, link });
      return;
    }
    const reason = leads ? (this.refuseNext ?? 'busy') : 'not-leader';
    if (leads) this.refuseNext = undefined;
    this.#answer(link, request, reason, this.leader);
  }

  commit(count: number): void {
    for (const { request, link } of this.#accepted.splice(0, count)) {
      this.#answer(link, request, this.#append(request) ? 'committed' : 'out-of-order', 0);
    }
  }

  /** Some of what the former leader had under way was committed all the same; it does not know which. */
  #stepDown(committed: number, tells: boolean): void {
    for (const [i, { request, link }] of this.#accepted.splice(0).entries()) {
      if (i < committed) this.#append(request);
      if (tells) this.#answer(link, request, i > committed ? 'not-leader' : 'unknown', this.leader);
    }
  }

  elect(nodeId: number, committed: number, announces: boolean): void {
    if (nodeId === this.leader || this.transport.down.has(nodeId) || this.paused.has(nodeId)) return;
    // What was sent to it while it followed is read before it leads.
    for (const link of this.transport.openChannels(nodeId)) {
      for (const request of listOf(this.#toStore, link).splice(0)) this.#take(link, request);
    }
    const formerNode = this.leader;
    this.leader = nodeId;
    this.#stepDown(committed, !this.paused.has(formerNode));
    this.term++;
    if (announces) this.announce();
  }

  announce(): void {
    for (const link of this.transport.openChannels(this.leader)) {
      listOf(this.#toGateway, link).push({ type: 'leading', partition: 1, term: this.term });
    }
  }

  kill(nodeId: number, committed: number): void {
    if (this.leader === nodeId) {
      this.leader = 0;
      this.#stepDown(committed, false);
    }
    this.paused.delete(nodeId);
    this.transport.kill(nodeId);
  }

  /** The connection breaks, the process lives: it may still read some of what was sent. */
  cut(nodeId: number, read: number): void {
    for (const link of this.transport.openChannels(nodeId)) {
      for (const request of listOf(this.#toStore, link).splice(0, read)) this.#take(link, request);
      link.lose();
    }
  }

  /** False: the one before it is missing. */
  #append(request: AppendRequest): boolean {
    const { sequence, after } = checkRecordBatch(request.batch).origin as BatchOrigin;
    if (this.#numbers.some((number) => number >= sequence)) return true;
    if (after !== 0 && !this.#numbers.includes(after)) return false;
    this.#numbers.push(sequence);
    for (const position of recordPositions(request.batch, 1, [])) {
      const text = Buffer.from(new EncodedRecord(request.batch, position).payload).toString();
      this.#stored(text);
    }
    return true;
  }

  #answer(
    link: Link,
    { sequence }: AppendRequest,
    status: (AppendResponse & { type: 'answer' })['status'],
    leader: number,
  ): void {
    listOf(this.#toGateway, link).push({ type: 'answer', sequence, status, refused: [], leader });
  }
}

function listOf<T>(lists: Map<Link, T[]>, link: Link): T[] {
  let list = lists.get(link);
  if (list === undefined) {
    list = [];
    lists.set(link, list);
  }
  return list;
}

const few = fc.nat(4);
/** 0: whoever leads. */
const node = fc.constantFrom(0, 0, 0, ...NODES);
const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('publish' as const), who: fc.nat(1), turns: fc.boolean() }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('take' as const, 'hear' as const), node, few }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('commit' as const), few }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(1, 20, 60, 300, 1_200, 8_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('elect' as const), node, few, announces: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'cut' as const), node, few }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('take-late' as const), node, few }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('start' as const, 'pause' as const, 'go' as const), node }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('busy' as const, 'storage-full' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('unavailable' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const clock: Clock = { nowMs: () => Date.now(), monotonicMs: () => Date.now() };

/** The publisher at QoS 2. */
const EXACT = 'p1';

/** Plays the steps, lets everything heal, and checks each record's fate. */
function play(steps: readonly Step[]): { resends: number; givenUp: number } {
  const told = new Map<string, (RecordFailure | 'stored')[]>();
  const stored = new Set<string>();
  const newest = new Map<string, number>();
  /** Of the publisher at QoS 2, from its last one on that nobody knew of when there was something behind it. */
  const untaken = new Map<number, number>();
  let givenUp = 0;
  const partition = new Partition((text) => {
    expect(stored).not.toContain(text);
    stored.add(text);
    const [publisher, number] = text.split(':') as [string, string];
    expect(Number(number)).toBeGreaterThan(newest.get(publisher) ?? 0);
    newest.set(publisher, Number(number));
    if (publisher !== EXACT) return;
    // Its publisher brings those again that are not known, in their order: none of them may be there before.
    for (const [unknown, published] of untaken) {
      if (unknown < Number(number) && Number(number) <= published) expect(stored).toContain(`${EXACT}:${unknown}`);
    }
  });
  const topology = clusterOf(NODES, 1);
  const routes = new RouteTable(topology);
  const metrics = new PlainMetrics();
  const producer = new PartitionProducer({
    topology,
    routes,
    transport: partition.transport,
    clock,
    logger: silentLogger,
    metrics,
    producerId: 9,
    bufferBytesMax: 100_000,
    deadlineMs: 15_000,
  });
  producer.topologyChanged();
  const published = [0, 0];
  partition.announce();
  for (const one of steps) {
    const nodeId = 'node' in one && one.node !== 0 ? one.node : partition.leader;
    switch (one.do) {
      case 'publish': {
        const number = (published[one.who] as number) + 1;
        published[one.who] = number;
        const text = `p${one.who}:${number}`;
        const said: (RecordFailure | 'stored')[] = [];
        told.set(text, said);
        producer.add(1, record(text, one.who === 1 ? number : 0), {
          recordStored: () => {
            expect(stored).toContain(text);
            said.push('stored');
          },
          recordFailed: (failure) => {
            said.push(failure);
            if (one.who !== 1 || failure !== 'unavailable') return;
            untaken.set(number, published[1] as number);
            givenUp++;
            const isBehind = [...stored].some((each) => each.startsWith(EXACT) && Number(each.slice(3)) > number);
            if (isBehind) expect(stored).toContain(text);
          },
        });
        if (one.turns) jest.advanceTimersByTime(0);
        break;
      }
      case 'take':
        partition.take(nodeId, one.few);
        break;
      case 'hear':
        partition.hear(nodeId, one.few);
        break;
      case 'commit':
        partition.commit(one.few);
        break;
      case 'time':
        jest.advanceTimersByTime(one.ms);
        break;
      case 'elect':
        partition.elect(nodeId, one.few, one.announces);
        break;
      case 'kill':
        partition.kill(nodeId, one.few);
        break;
      case 'cut':
        partition.cut(nodeId, one.few);
        break;
      case 'take-late':
        partition.takeLate(nodeId, one.few);
        break;
      case 'start':
        partition.transport.down.delete(nodeId);
        break;
      case 'pause':
        partition.paused.add(nodeId);
        break;
      case 'go':
        partition.paused.delete(nodeId);
        break;
      default:
        partition.refuseNext = one.do;
    }
  }
  // Everything heals, nobody announces anything: the producer finds the leader by itself.
  partition.transport.down.clear();
  partition.paused.clear();
  partition.refuseNext = undefined;
  if (partition.leader === 0) partition.elect(2, 0, false);
  const isDone = (): boolean => [...told.values()].every((said) => said.length > 0);
  for (let i = 0; i < 200 && !isDone(); i++) {
    for (const nodeId of NODES) partition.take(nodeId, 1_000);
    for (const nodeId of NODES) partition.takeLate(nodeId, 1_000);
    partition.commit(1_000);
    for (const nodeId of NODES) partition.hear(nodeId, 1_000);
    jest.advanceTimersByTime(20);
  }
  producer.close();
  jest.clearAllTimers();
  for (const said of told.values()) expect(said).toHaveLength(1);
  expect(producer.bufferedBytes).toBe(0);
  return { resends: metrics.counter('sluice_gateway_append_resends_total', '').value, givenUp };
}

const RUNS = Number(process.env.RUNS ?? 200);

test('whatever fails: each record is stored once at most, those of a publisher in their order, and none is lost', () => {
  let resends = 0;
  let givenUp = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 150 }), (steps) => {
      const played = play(steps);
      resends += played.resends;
      givenUp += played.givenUp;
    }),
    { numRuns: RUNS },
  );
  expect(resends).toBeGreaterThan(RUNS);
  expect(givenUp).toBeGreaterThan(RUNS / 10);
});

function record(text: string, exchange: number) {
  return {
    targets: [{ queueId: 1, key: undefined }],
    topic: 't',
    payload: Buffer.from(text),
    qos: exchange === 0 ? (1 as const) : (2 as const),
    retain: false,
    publisher: 'p',
    publishedAtMs: 1,
    expiresAtMs: 0,
    properties: undefined,
    exchange: exchange === 0 ? undefined : { number: exchange, floor: 1 },
  };
}
