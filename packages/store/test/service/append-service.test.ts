import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import {
  ANSWER_FORGOTTEN,
  APPENDED,
  type ApplyReply,
  OUT_OF_ORDER,
  REPEATED,
} from '@sluice/queue/machine/apply/apply-reply';
import { type BatchOrigin, writeBatchOrigin } from '@sluice/queue/record/batch-origin';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { AppendRequest, AppendResponse, RefusedRecord } from '@sluice/rpc/contract/append';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import { WIRE_COPIES } from '@sluice/rpc/inproc/wire-copies';
import type { Channel } from '@sluice/rpc/transport';
import { IntakeBalance } from '../../src/dispatch/intake-balance.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { Proposal, ProposeOutcome } from '../../src/partition/proposal.ts';
import type { RecordReader } from '../../src/read/record-reader.ts';
import { AppendService } from '../../src/service/append-service.ts';
import { rest } from '../support/test-store.ts';

/** A partition whose fate the test decides; what is applied of it the test says too. */
class FakePartition {
  readonly groupId = 1;
  serves = true;
  isStopped = false;
  isAlone = false;
  term = 1;
  leader = 7;
  outcome: ProposeOutcome = 'proposed';
  readonly proposed: Proposal[] = [];
  readonly dispatches = { balance: new IntakeBalance() };
  isWanted = true;
  readonly demand = { isWanted: () => this.isWanted };
  readonly known = new Set([1]);
  /** Up to which number batches are in the log, and the answers to those. */
  applied = 0;
  answer: ApplyReply = REPEATED;
  readonly queues = {
    queue: (queueId: number) => (this.known.has(queueId) ? {} : undefined),
    foresee: ({ sequence, after }: BatchOrigin) => {
      if (sequence <= this.applied) return this.answer;
      return after > this.applied ? OUT_OF_ORDER : undefined;
    },
  };

  propose(_command: Uint8Array, proposal: Proposal): ProposeOutcome {
    if (this.outcome === 'proposed') this.proposed.push(proposal);
    return this.outcome;
  }
}

let partition: FakePartition;
let hasSpace: boolean;
let remembered: number[];
let service: AppendService;
let transport: InprocTransport;
let gateway: Gateway;
/** The newest queue the store was told of. */
let queueIdMax: number;
let nowMs: number;

beforeEach(() => {
  partition = new FakePartition();
  hasSpace = true;
  remembered = [];
  queueIdMax = 1;
  nowMs = 0;
  service = new AppendService({
    partitions: new Map([[1, partition as unknown as Partition]]),
    disk: { admits: () => hasSpace },
    records: { remember: (_group: number, index: number) => remembered.push(index) } as unknown as RecordReader,
    queueIdMax: () => queueIdMax,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics: new PlainMetrics(),
  });
  transport = new InprocTransport({ copies: WIRE_COPIES });
  transport.serveChannel<AppendRequest, AppendResponse>('append', (channel) => service.accept(channel));
  gateway = new Gateway(transport.open(1, 'append'));
});

class Gateway {
  readonly #channel: Channel<AppendRequest, AppendResponse>;
  readonly responses: AppendResponse[] = [];

  constructor(channel: Channel<AppendRequest, AppendResponse>) {
    this.#channel = channel;
    channel.onMessage((response) => this.responses.push(response));
  }

  /** The batch has the same number, and comes after the one before it unless something else is said. */
  send(sequence: number, over: { after?: number; number?: number; partition?: number; batch?: Uint8Array } = {}): void {
    const { partition = 1, number = sequence, after = number - 1 } = over;
    this.#channel.send({ sequence, partition, batch: over.batch ?? BATCH(number, after) });
  }

  /** What was answered to each sequence so far. */
  async statuses(): Promise<Record<number, string>> {
    await rest(2);
    const statuses: Record<number, string> = {};
    for (const response of this.responses) {
      if (response.type === 'answer') statuses[response.sequence] = response.status;
    }
    return statuses;
  }
}

const BATCH = (sequence: number, after = sequence - 1, queueId = 1): Uint8Array => {
  const builder = new RecordBatchBuilder('numbered');
  const targets = [{ queueId, key: undefined }];
  const payload = Buffer.from('x');
  const rest = { qos: 1 as const, retain: false, publishedAtMs: 1, expiresAtMs: 0, properties: undefined };
  builder.add({ targets, topic: 't', payload, publisher: 'p', ...rest });
  const batch = builder.finish();
  writeBatchOrigin(batch, { producer: 5, sequence, after, answeredTo: 0 });
  return batch;
};

describe('behind a refused batch nothing is proposed that would come after it', () => {
  const refusals: [string, (refuse: boolean) => void, string][] = [
    ['for want of leadership', (refuse) => (partition.serves = !refuse), 'not-leader'],
    ['for want of space', (refuse) => (hasSpace = !refuse), 'storage-full'],
    ['because the log is busy', (refuse) => (partition.outcome = refuse ? 'busy' : 'proposed'), 'busy'],
    [
      'because leadership is being lost',
      (refuse) => (partition.outcome = refuse ? 'not-leader' : 'proposed'),
      'not-leader',
    ],
  ];

  test.each(refusals)('%s', async (_name, set, status) => {
    gateway.send(1);
    await rest(1);
    set(true);
    gateway.send(2);
    await rest(1);
    set(false);
    gateway.send(3);
    gateway.send(4);
    expect(await gateway.statuses()).toEqual({ 2: status, 3: 'out-of-order', 4: 'out-of-order' });
    // Sent again from there on, or without it.
    gateway.send(5, { number: 2 });
    gateway.send(6, { number: 3 });
    gateway.send(8, { number: 5, after: 3 });
    await rest(1);
    expect(partition.proposed).toHaveLength(4);
  });

  test('because it cannot be read', async () => {
    gateway.send(1, { batch: Uint8Array.of(1, 2, 3) });
    gateway.send(2);
    gateway.send(3, { after: 0 });
    expect(await gateway.statuses()).toEqual({ 1: 'unavailable', 2: 'out-of-order' });
    expect(partition.proposed).toHaveLength(1);
  });

  test('nor behind one of a leadership that ended and began again unseen, until it is known to be in the log', async () => {
    gateway.send(1);
    gateway.send(2);
    await rest(1);
    partition.term = 3;
    gateway.send(3);
    expect(await gateway.statuses()).toEqual({ 3: 'out-of-order' });
    for (const proposal of partition.proposed) proposal.dropped('unknown');
    partition.applied = 2;
    gateway.send(4, { number: 3 });
    expect(await gateway.statuses()).toEqual({ 1: 'unknown', 2: 'unknown', 3: 'out-of-order' });
    expect(partition.proposed).toHaveLength(3);
  });

  test('on another channel, or in another partition', async () => {
    gateway.send(1);
    const other = new Gateway(transport.open(1, 'append'));
    other.send(2);
    other.send(3, { partition: 9 });
    expect(await other.statuses()).toEqual({ 2: 'out-of-order', 3: 'not-leader' });
    expect(partition.proposed).toHaveLength(1);
  });

  test('while the disk is full all of them hear of that, none of the order', async () => {
    hasSpace = false;
    gateway.send(1);
    gateway.send(2);
    expect(await gateway.statuses()).toEqual({ 1: 'storage-full', 2: 'storage-full' });
  });
});

describe('a batch that is in the log', () => {
  const REFUSED: RefusedRecord = { slot: 0, queueId: 1, code: 'queue-full' };

  test('is answered as the first time, and not proposed, even with a full disk', async () => {
    partition.applied = 2;
    hasSpace = false;
    gateway.send(1);
    expect(await gateway.statuses()).toEqual({ 1: 'committed' });
    partition.answer = { type: 'repeated', refused: [REFUSED] };
    gateway.send(2);
    await rest(2);
    expect(gateway.responses.at(-1)).toMatchObject({ sequence: 2, status: 'committed', refused: [REFUSED] });
    partition.answer = ANSWER_FORGOTTEN;
    gateway.send(3, { number: 2 });
    expect(await gateway.statuses()).toMatchObject({ 3: 'unavailable' });
    expect(partition.proposed).toHaveLength(0);
  });

  test.each([
    [REPEATED, 'committed'],
    [OUT_OF_ORDER, 'out-of-order'],
    [ANSWER_FORGOTTEN, 'unavailable'],
  ])('or has come too early, as its entry turns out: $type', async (reply, status) => {
    gateway.send(1);
    await rest(1);
    partition.proposed[0]?.applied(9, reply);
    expect(await gateway.statuses()).toEqual({ 1: status });
    // Its entry holds nothing that could be delivered.
    expect(remembered).toEqual([]);
    gateway.send(2);
    await rest(1);
    partition.proposed[1]?.applied(10, APPENDED);
    expect(remembered).toEqual([10]);
    // Nor is one kept that would be pushed out before its turn.
    partition.isWanted = false;
    gateway.send(3);
    await rest(1);
    partition.proposed[2]?.applied(11, APPENDED);
    expect(remembered).toEqual([10]);
  });
});

describe('a batch that was proposed', () => {
  test('is committed when it is applied', async () => {
    gateway.send(1);
    expect(await gateway.statuses()).toEqual({});
    partition.proposed[0]?.applied(1, APPENDED);
    expect(await gateway.statuses()).toEqual({ 1: 'committed' });
  });

  test.each([
    ['not-leader', 'not-leader'],
    ['unknown', 'unknown'],
    ['unavailable', 'unknown'],
  ] as const)('and dropped as %s is %s to its gateway, with the leader', async (reason, status) => {
    gateway.send(1);
    await rest(1);
    partition.proposed[0]?.dropped(reason);
    await rest(1);
    expect(gateway.responses.at(-1)).toMatchObject({ sequence: 1, status, leader: 7 });
  });
});

describe('a batch for a queue that this store does not know', () => {
  const UNKNOWN = { type: 'appended', refused: [{ slot: 0, queueId: 5, code: 'queue-unknown' }] } as const;
  const refusals = (): unknown[] => gateway.responses.flatMap((one) => (one.type === 'answer' ? one.refused : []));

  test('because it was made a moment ago waits until it does, and all behind it', async () => {
    gateway.send(1, { batch: BATCH(1, 0, 5) });
    gateway.send(2);
    expect(await gateway.statuses()).toEqual({ 1: 'busy', 2: 'out-of-order' });
    queueIdMax = 5;
    gateway.send(3, { batch: BATCH(1, 0, 5) });
    gateway.send(4, { number: 2 });
    await rest(1);
    expect(partition.proposed).toHaveLength(2);
  });

  test('but that its partition was told of by a former leader is taken at once', async () => {
    partition.known.add(5);
    gateway.send(1, { batch: BATCH(1, 0, 5) });
    await rest(1);
    expect(partition.proposed).toHaveLength(1);
  });

  test('does not wait for ever: then the queue refuses, and nobody is told that it was stored', async () => {
    gateway.send(1, { batch: BATCH(1, 0, 5) });
    expect(await gateway.statuses()).toEqual({ 1: 'busy' });
    nowMs += AppendService.AHEAD_MS_MAX;
    gateway.send(2, { batch: BATCH(1, 0, 5) });
    await rest(1);
    partition.proposed[0]?.applied(1, UNKNOWN);
    await rest(1);
    expect(refusals()).toEqual([{ slot: 0, queueId: 5, code: 'queue-unknown' }]);
    // The next new queue has all the time again.
    gateway.send(3, { number: 2 });
    gateway.send(4, { batch: BATCH(3, 2, 7) });
    expect(await gateway.statuses()).toMatchObject({ 4: 'busy' });
  });

  test('waits as long for the next one that is new, also when nothing else came in between', async () => {
    gateway.send(1, { batch: BATCH(1, 0, 5) });
    expect(await gateway.statuses()).toEqual({ 1: 'busy' });
    // The gateway gives it up; the store hears of that queue, and a while later of none that a gateway has heard of.
    queueIdMax = 5;
    nowMs += AppendService.AHEAD_MS_MAX;
    gateway.send(2, { batch: BATCH(2, 0, 6) });
    expect(await gateway.statuses()).toEqual({ 1: 'busy', 2: 'busy' });
  });

  test('because it was removed long ago went with it', async () => {
    queueIdMax = 6;
    gateway.send(1, { batch: BATCH(1, 0, 5) });
    await rest(1);
    partition.proposed[0]?.applied(1, UNKNOWN);
    await rest(1);
    expect(refusals()).toEqual([{ slot: 0, queueId: 5, code: 'queue-removed' }]);
  });
});

test('a stopped replica sends to the leader, unless nobody else can ever lead', async () => {
  partition.isStopped = true;
  partition.serves = false;
  gateway.send(1);
  await rest(1);
  expect(gateway.responses.at(-1)).toMatchObject({ status: 'not-leader', leader: 7 });
  partition.isAlone = true;
  gateway.send(2);
  expect(await gateway.statuses()).toEqual({ 1: 'not-leader', 2: 'unavailable' });
});

test('a node that stops, or cannot go on, sends to others who may lead, or to itself when it is back: it is asked again', async () => {
  partition.outcome = 'unavailable';
  gateway.send(1);
  await rest(1);
  expect(gateway.responses.at(-1)).toMatchObject({ sequence: 1, status: 'not-leader', leader: 0 });
  partition.isAlone = true;
  gateway.send(2, { after: 0 });
  expect(await gateway.statuses()).toEqual({ 1: 'not-leader', 2: 'not-leader' });
});

test('who leads is told to channels that are open, and to those that open', async () => {
  partition.serves = false;
  const early = new Gateway(transport.open(1, 'append'));
  await rest(1);
  partition.serves = true;
  partition.term = 5;
  service.serving(partition as unknown as Partition);
  const late = new Gateway(transport.open(1, 'append'));
  await rest(1);
  const leading = { type: 'leading', partition: 1, term: 5 };
  expect([early.responses, late.responses]).toEqual([[leading], [leading]]);
});
