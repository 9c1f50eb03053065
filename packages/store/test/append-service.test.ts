import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { APPENDED } from '@sluice/queue/machine/apply-reply';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import type { Channel } from '@sluice/rpc/transport';
import type { Partition, Proposal, ProposeOutcome } from '../src/partition.ts';
import type { RecordReader } from '../src/record-reader.ts';
import { AppendService } from '../src/service/append-service.ts';
import { rest } from './support/test-store.ts';

/** A partition whose fate the test decides. */
class FakePartition {
  readonly groupId = 1;
  serves = true;
  isStopped = false;
  isAlone = false;
  term = 1;
  leader = 7;
  outcome: ProposeOutcome = 'proposed';
  readonly proposed: Proposal[] = [];
  readonly queues = new Set([1]);
  readonly machine = { queue: (queueId: number) => (this.queues.has(queueId) ? {} : undefined) };

  propose(_command: Uint8Array, proposal: Proposal): ProposeOutcome {
    if (this.outcome === 'proposed') this.proposed.push(proposal);
    return this.outcome;
  }
}

let partition: FakePartition;
let hasSpace: boolean;
let service: AppendService;
let transport: InprocTransport;
let gateway: Gateway;
/** The newest queue the store was told of. */
let queueIdMax: number;
let nowMs: number;

beforeEach(() => {
  partition = new FakePartition();
  hasSpace = true;
  queueIdMax = 1;
  nowMs = 0;
  service = new AppendService({
    partitions: new Map([[1, partition as unknown as Partition]]),
    disk: { admits: () => hasSpace },
    records: { remember: () => {} } as unknown as RecordReader,
    queueIdMax: () => queueIdMax,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics: new PlainMetrics(),
  });
  transport = new InprocTransport({ isolate: true });
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

  send(sequence: number, resumes = false, over: { partition?: number; batch?: Uint8Array } = {}): void {
    const { partition = 1, batch = BATCH() } = over;
    this.#channel.send({ sequence, partition, resumes, batch });
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

const BATCH = (queueId = 1): Uint8Array => {
  const builder = new RecordBatchBuilder();
  const targets = [{ queueId, key: undefined }];
  const payload = Buffer.from('x');
  const rest = { qos: 1 as const, retain: false, publishedAtMs: 1, expiresAtMs: 0, properties: undefined };
  builder.add({ targets, topic: 't', payload, publisher: 'p', ...rest });
  return builder.finish();
};

describe('behind a refused batch nothing gets into the log', () => {
  const refusals: [string, (refuse: boolean) => void, string][] = [
    ['for want of leadership', (refuse) => (partition.serves = !refuse), 'not-leader'],
    ['for want of space', (refuse) => (hasSpace = !refuse), 'storage-full'],
    ['because the log is busy', (refuse) => (partition.outcome = refuse ? 'busy' : 'proposed'), 'busy'],
    [
      'because leadership is being lost',
      (refuse) => (partition.outcome = refuse ? 'not-leader' : 'proposed'),
      'not-leader',
    ],
  ].map(([name, set, status]) => [name, set, status] as [string, (refuse: boolean) => void, string]);

  test.each(refusals)('%s', async (_name, set, status) => {
    gateway.send(1, true);
    await rest(1);
    set(true);
    gateway.send(2);
    await rest(1);
    set(false);
    gateway.send(3);
    gateway.send(4);
    gateway.send(5, true);
    gateway.send(6);
    expect(await gateway.statuses()).toEqual({ 2: status, 3: 'not-leader', 4: 'not-leader' });
    expect(partition.proposed).toHaveLength(3);
  });

  test('because it cannot be read', async () => {
    gateway.send(1, true, { batch: Uint8Array.of(1, 2, 3) });
    gateway.send(2);
    gateway.send(3, true);
    expect(await gateway.statuses()).toEqual({ 1: 'unavailable', 2: 'not-leader' });
    expect(partition.proposed).toHaveLength(1);
  });

  test('nor what was sent under a leadership that ended and began again unseen', async () => {
    gateway.send(1, true);
    gateway.send(2);
    await rest(1);
    partition.term = 3;
    gateway.send(3);
    expect(await gateway.statuses()).toEqual({ 3: 'not-leader' });
    for (const proposal of partition.proposed) proposal.dropped('unknown');
    gateway.send(4, true);
    gateway.send(5);
    expect(await gateway.statuses()).toEqual({ 1: 'unknown', 2: 'unknown', 3: 'not-leader' });
    expect(partition.proposed).toHaveLength(4);
  });

  test('a late word of an earlier leadership stops nothing of the present one', async () => {
    gateway.send(1, true);
    await rest(1);
    partition.term = 3;
    gateway.send(1, true);
    await rest(1);
    partition.proposed[0]?.dropped('unknown');
    gateway.send(2);
    await rest(1);
    expect(partition.proposed).toHaveLength(3);
  });

  test('nor a first one that does not say so, on its own channel and in its own partition only', async () => {
    gateway.send(1);
    const other = new Gateway(transport.open(1, 'append'));
    other.send(1, true);
    other.send(2, true, { partition: 9 });
    other.send(3);
    expect(await gateway.statuses()).toEqual({ 1: 'not-leader' });
    expect(await other.statuses()).toEqual({ 2: 'not-leader' });
    expect(partition.proposed).toHaveLength(2);
  });
});

describe('a batch that was proposed', () => {
  test('is committed when it is applied', async () => {
    gateway.send(1, true);
    expect(await gateway.statuses()).toEqual({});
    partition.proposed[0]?.applied(1, APPENDED);
    expect(await gateway.statuses()).toEqual({ 1: 'committed' });
  });

  test.each([
    ['not-leader', 'not-leader'],
    ['unknown', 'unknown'],
    ['unavailable', 'unknown'],
  ] as const)('and dropped as %s is %s to its gateway, with the leader', async (reason, status) => {
    gateway.send(1, true);
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
    gateway.send(1, true, { batch: BATCH(5) });
    gateway.send(2);
    expect(await gateway.statuses()).toEqual({ 1: 'busy', 2: 'not-leader' });
    queueIdMax = 5;
    gateway.send(3, true, { batch: BATCH(5) });
    gateway.send(4);
    await rest(1);
    expect(partition.proposed).toHaveLength(2);
  });

  test('but that its partition was told of by a former leader is taken at once', async () => {
    partition.queues.add(5);
    gateway.send(1, true, { batch: BATCH(5) });
    await rest(1);
    expect(partition.proposed).toHaveLength(1);
  });

  test('does not wait for ever: then the queue refuses, and nobody is told that it was stored', async () => {
    gateway.send(1, true, { batch: BATCH(5) });
    expect(await gateway.statuses()).toEqual({ 1: 'busy' });
    nowMs += AppendService.AHEAD_MS_MAX;
    gateway.send(2, true, { batch: BATCH(5) });
    await rest(1);
    partition.proposed[0]?.applied(1, UNKNOWN);
    await rest(1);
    expect(refusals()).toEqual([{ slot: 0, queueId: 5, code: 'queue-unknown' }]);
    // The next new queue has all the time again.
    gateway.send(3, true);
    gateway.send(4, false, { batch: BATCH(7) });
    expect(await gateway.statuses()).toMatchObject({ 4: 'busy' });
  });

  test('because it was removed long ago went with it', async () => {
    queueIdMax = 6;
    gateway.send(1, true, { batch: BATCH(5) });
    await rest(1);
    partition.proposed[0]?.applied(1, UNKNOWN);
    await rest(1);
    expect(refusals()).toEqual([{ slot: 0, queueId: 5, code: 'queue-removed' }]);
  });
});

test('a stopped replica sends to the leader, unless nobody else can ever lead', async () => {
  partition.isStopped = true;
  partition.serves = false;
  gateway.send(1, true);
  await rest(1);
  expect(gateway.responses.at(-1)).toMatchObject({ status: 'not-leader', leader: 7 });
  partition.isAlone = true;
  gateway.send(2, true);
  expect(await gateway.statuses()).toEqual({ 1: 'not-leader', 2: 'unavailable' });
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
