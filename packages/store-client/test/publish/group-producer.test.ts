import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Producers } from '@sluice/queue/machine/apply/producers';
import type { RecordInput } from '@sluice/queue/record/record';
import { checkRecordBatch } from '@sluice/queue/record/record-batch';
import type { AppendRequest, AppendResponse, AppendStatus } from '@sluice/rpc/contract/append';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import { WIRE_COPIES } from '@sluice/rpc/inproc/wire-copies';
import type { Channel } from '@sluice/rpc/transport';
import { GroupProducer } from '../../src/publish/group-producer.ts';
import { RouteTable } from '../../src/route/route-table.ts';

/** A store that leads every partition, as far as origins and answers go. */
class OriginStore {
  readonly origins: unknown[] = [];
  readonly partitions = new Map<number, { producers: Producers; stored: number }>();
  /** Answers for the next batches, before any is looked at. */
  readonly refusals: (AppendStatus | 'silent')[] = [];

  accept(channel: Channel<AppendResponse, AppendRequest>): void {
    channel.onMessage(({ sequence, partition, batch }) => {
      const { origin, count } = checkRecordBatch(batch) as { origin: Parameters<Producers['meet']>[0]; count: number };
      this.origins.push({ partition, ...origin });
      const refusal = this.refusals.shift();
      if (refusal === 'silent') return;
      if (refusal === undefined) this.#take(partition, origin, count);
      channel.send({ type: 'answer', sequence, status: refusal ?? 'committed', refused: [], leader: 0 });
    });
  }

  storedIn(partition: number): number {
    return this.partitions.get(partition)?.stored ?? 0;
  }

  #take(partition: number, origin: Parameters<Producers['meet']>[0], count: number): void {
    const known = this.partitions.get(partition) ?? { producers: new Producers(), stored: 0 };
    this.partitions.set(partition, known);
    if (known.producers.meet(origin, 1) !== undefined) return;
    known.producers.stored(origin, 1, undefined);
    known.stored += count;
  }
}

let store: OriginStore;
let transport: InprocTransport;
let skipMs = 0;
const producers: GroupProducer[] = [];
beforeEach(() => {
  store = new OriginStore();
  transport = new InprocTransport({ copies: WIRE_COPIES });
  transport.serveChannel<AppendRequest, AppendResponse>('append', (channel) => store.accept(channel));
  skipMs = 0;
});
afterEach(() => {
  for (const producer of producers.splice(0)) producer.close();
});

function gateway(): GroupProducer {
  const routes = new RouteTable({ leaderOf: () => 1, replicasOf: () => [1], isAlive: () => true, epoch: 1 } as never);
  const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() + skipMs };
  const producer = new GroupProducer({ routes, transport, clock });
  producers.push(producer);
  return producer;
}

/** A group of so many records for each partition. Resolves with what became of them. */
function bring(producer: GroupProducer, group: number, partitions: readonly number[], records = 2): Promise<string[]> {
  const fates: Promise<string>[] = [];
  producer.begin(7, group);
  for (const partition of partitions) {
    for (let i = 0; i < records; i++) {
      fates.push(
        new Promise((resolve) => {
          producer.add(partition, recordOf(`${i}`), {
            recordStored: () => resolve('stored'),
            recordFailed: (failure) => resolve(failure),
          });
        }),
      );
    }
  }
  producer.end();
  return Promise.all(fates);
}

function recordOf(text: string): RecordInput {
  const payload = Buffer.from(text);
  const rest = { publisher: 'c', publishedAtMs: 1, expiresAtMs: 0, properties: undefined };
  return { targets: [{ queueId: 1, key: undefined }], topic: 't', payload, qos: 1, retain: false, ...rest };
}

describe('a group', () => {
  test('is one batch a partition, and is there once whichever gateways bring it', async () => {
    expect(await bring(gateway(), 12, [1, 3])).toEqual(['stored', 'stored', 'stored', 'stored']);
    // The first gateway died before it could say so; the other one finds one partition more.
    expect(await bring(gateway(), 12, [1, 3, 4])).toHaveLength(6);
    expect([store.storedIn(1), store.storedIn(3), store.storedIn(4)]).toEqual([2, 2, 2]);
    expect(store.origins[0]).toEqual({ partition: 1, producer: 7, sequence: 12, after: 11, answeredTo: 11 });
  });

  test('does not wait for the groups before it, which other partitions may never have seen', async () => {
    const one = gateway();
    await bring(one, 12, [1]);
    expect(await bring(one, 40, [1, 2])).toEqual(['stored', 'stored', 'stored', 'stored']);
    expect([store.storedIn(1), store.storedIn(2)]).toEqual([4, 2]);
  });

  test.each(['not-leader', 'unknown', 'busy', 'unavailable', 'storage-full', 'out-of-order'] as const)(
    'that is answered %s is brought again, as the same one',
    async (status) => {
      store.refusals.push(status, status);
      expect(await bring(gateway(), 12, [1], 1)).toEqual(['stored']);
      expect(store.origins).toHaveLength(3);
      expect(new Set(store.origins.map((origin) => JSON.stringify(origin))).size).toBe(1);
    },
  );

  test('that is not answered is brought again', async () => {
    store.refusals.push('silent');
    const fate = bring(gateway(), 12, [1], 1);
    skipMs += GroupProducer.ANSWER_MS_MAX;
    expect(await fate).toEqual(['stored']);
  });

  test('is given up when nobody takes it for too long, and those behind it go on', async () => {
    const one = gateway();
    store.refusals.push(...Array.from({ length: 100 }, () => 'unavailable' as const));
    const fate = bring(one, 12, [1], 1);
    skipMs += GroupProducer.DEADLINE_MS;
    expect(await fate).toEqual(['unavailable']);
    store.refusals.length = 0;
    expect(await bring(one, 13, [1], 1)).toEqual(['stored']);
  });
});
