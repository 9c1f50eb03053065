import { describe, expect, test } from '@jest/globals';
import { AudienceLedger, LatestLedger, OrderWatch } from '@sluice/bench/load/sequence-ledger';
import { SequenceSet } from '@sluice/bench/load/sequence-set';
import { judgeLatest, judgeSequences, type PublisherAccount } from '@sluice/bench/load/sequence-verdict';
import fc from 'fast-check';

/** One publisher that had `count` messages acknowledged, but for those named. */
function publisher(count: number, unanswered: number[] = [], id = 0): PublisherAccount {
  const acknowledged = new SequenceSet();
  for (let i = 0; i < count; i++) if (!unanswered.includes(i)) acknowledged.add(i);
  return { publisher: id, sent: count, acknowledged: acknowledged.bits };
}

/** What one process notes of deliveries to its consumers: `[consumer, sequence]`. */
function process(deliveries: [consumer: number, sequence: number][], audienceOf = (_consumer: number) => 0) {
  const ledgers = new Map<number, AudienceLedger>();
  const orders = new Map<number, OrderWatch>();
  for (const [consumer, sequence] of deliveries) {
    const audience = audienceOf(consumer);
    const ledger = ledgers.get(audience) ?? new AudienceLedger(audience);
    ledgers.set(audience, ledger);
    const order = orders.get(consumer) ?? new OrderWatch(1);
    orders.set(consumer, order);
    if (order.isOutOfOrder(0, sequence, ledger.note(0, sequence))) ledger.noteOutOfOrder();
  }
  return [...ledgers.values()].map((ledger) => ledger.account());
}

const CLEAN = { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 };

describe('planted faults are found, each as what it is', () => {
  test('two workers that share everything, without a fault', () => {
    expect(
      judgeSequences(
        [publisher(4)],
        process([
          [0, 0],
          [1, 1],
          [0, 2],
          [1, 3],
        ]),
      ),
    ).toEqual(CLEAN);
  });

  test('lost: acknowledged and not delivered', () => {
    expect(
      judgeSequences(
        [publisher(4)],
        process([
          [0, 0],
          [1, 1],
          [1, 3],
        ]),
      ),
    ).toEqual({ ...CLEAN, lost: 1 });
  });

  test('what was never acknowledged may come or stay away', () => {
    expect(
      judgeSequences(
        [publisher(4, [2, 3])],
        process([
          [0, 0],
          [0, 1],
          [0, 2],
        ]),
      ),
    ).toEqual(CLEAN);
  });

  test('duplicated: to the same worker, to another, to one in another process', () => {
    const here = process([
      [0, 0],
      [0, 0],
      [1, 0],
      [0, 1],
    ]);
    expect(judgeSequences([publisher(2)], here)).toEqual({ ...CLEAN, duplicated: 2 });
    const there = process([[2, 1]]);
    expect(judgeSequences([publisher(2)], [...here, ...there])).toEqual({ ...CLEAN, duplicated: 3 });
  });

  test('out of order: first seen after a later one by the same worker', () => {
    expect(
      judgeSequences(
        [publisher(3)],
        process([
          [0, 1],
          [0, 0],
          [0, 2],
        ]),
      ),
    ).toEqual({ ...CLEAN, outOfOrder: 1 });
    // By another worker it is no disorder, and neither is what comes again.
    expect(
      judgeSequences(
        [publisher(3)],
        process([
          [0, 1],
          [1, 0],
          [0, 2],
        ]),
      ),
    ).toEqual(CLEAN);
    expect(
      judgeSequences(
        [publisher(3)],
        process([
          [0, 0],
          [0, 1],
          [0, 2],
          [0, 0],
        ]),
      ),
    ).toEqual({ ...CLEAN, duplicated: 1 });
  });

  test('everybody who subscribes for himself must get all', () => {
    const each = (consumer: number) => consumer;
    expect(
      judgeSequences(
        [publisher(2)],
        process(
          [
            [0, 0],
            [1, 0],
            [0, 1],
            [1, 1],
          ],
          each,
        ),
      ),
    ).toEqual(CLEAN);
    expect(
      judgeSequences(
        [publisher(2)],
        process(
          [
            [0, 0],
            [1, 0],
            [0, 1],
          ],
          each,
        ),
      ),
    ).toEqual({ ...CLEAN, lost: 1 });
  });

  test('a subscriber who got nothing at all has lost everything', () => {
    expect(judgeSequences([publisher(5)], [new AudienceLedger(0).account()])).toEqual({ ...CLEAN, lost: 5 });
  });
});

test('over any deliveries in any processes, the verdict is that of a list of them', () => {
  const delivery = fc.tuple(fc.nat(3), fc.nat(40));
  fc.assert(
    fc.property(fc.array(delivery, { maxLength: 120 }), fc.array(fc.nat(40)), (deliveries, unanswered) => {
      const parts = [0, 1].map((part) => deliveries.filter(([consumer]) => consumer % 2 === part));
      const verdict = judgeSequences(
        [publisher(41, unanswered)],
        parts.flatMap((part) => process(part)),
      );
      const seen = new Set(deliveries.map(([, sequence]) => sequence));
      const acknowledged = Array.from({ length: 41 }, (_, i) => i).filter((i) => !unanswered.includes(i));
      const isAnybody = deliveries.length > 0;
      expect(verdict.lost).toBe(isAnybody ? acknowledged.filter((i) => !seen.has(i)).length : 0);
      expect(verdict.duplicated).toBe(deliveries.length - seen.size);
    }),
  );
});

describe('a queue that keeps the newest of each key', () => {
  const note = (sequences: number[]) => {
    const ledger = new LatestLedger(3);
    for (const sequence of sequences) ledger.note(0, sequence);
    return [ledger.account()];
  };

  test('what was superseded may stay away; the newest of each key may not', () => {
    // Keys 0, 1, 2 have their newest in 6, 7, 5.
    expect(judgeLatest(3, [publisher(8)], note([0, 5, 6, 7]))).toEqual(CLEAN);
    expect(judgeLatest(3, [publisher(8)], note([0, 3, 5, 7]))).toEqual({ ...CLEAN, lost: 1 });
  });

  test('an older value after a newer one is out of order', () => {
    expect(judgeLatest(3, [publisher(8)], note([3, 0, 5, 6, 7]))).toEqual({ ...CLEAN, outOfOrder: 1 });
  });
});
