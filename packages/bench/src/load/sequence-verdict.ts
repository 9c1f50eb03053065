import type { AudienceAccount, LatestAccount } from './sequence-ledger.ts';
import { SequenceSet } from './sequence-set.ts';

/** What one publisher had answered. */
export interface PublisherAccount {
  publisher: number;
  sent: number;
  /** Bits of a `SequenceSet`. */
  acknowledged: Uint8Array;
}

export interface SequenceVerdict {
  /** Acknowledged to the publisher and never delivered. */
  lost: number;
  duplicated: number;
  outOfOrder: number;
  /** Delivered and not of this run. */
  foreign: number;
}

/** Holds what came, of all processes together, against what was acknowledged. */
export function judgeSequences(
  publishers: readonly PublisherAccount[],
  audiences: readonly AudienceAccount[],
): SequenceVerdict {
  const verdict: SequenceVerdict = { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 };
  const united = new Map<number, Map<number, SequenceSet>>();
  for (const { audience, duplicates, outOfOrder, foreign, received } of audiences) {
    verdict.duplicated += duplicates;
    verdict.outOfOrder += outOfOrder;
    verdict.foreign += foreign;
    const sets = united.get(audience) ?? new Map<number, SequenceSet>();
    united.set(audience, sets);
    for (const { publisher, bits } of received) {
      const set = new SequenceSet(bits);
      const known = sets.get(publisher);
      if (known === undefined) sets.set(publisher, set);
      else verdict.duplicated += known.unite(set);
    }
  }
  const none = new SequenceSet();
  for (const sets of united.values()) {
    for (const { publisher, acknowledged } of publishers) {
      verdict.lost += new SequenceSet(acknowledged).missingFrom(sets.get(publisher) ?? none);
    }
  }
  return verdict;
}

/**
 * The same for a queue that keeps the newest value of each key: what was superseded may stay away, the newest must come.
 * One whose newest was never acknowledged says nothing.
 */
export function judgeLatest(
  keys: number,
  publishers: readonly PublisherAccount[],
  accounts: readonly LatestAccount[],
): SequenceVerdict {
  const verdict: SequenceVerdict = { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 };
  for (const { outOfOrder } of accounts) verdict.outOfOrder += outOfOrder;
  for (const { publisher, sent, acknowledged } of publishers) {
    const answered = new SequenceSet(acknowledged);
    for (let key = 0; key < Math.min(keys, sent); key++) {
      const last = sent - 1 - ((((sent - 1 - key) % keys) + keys) % keys);
      if (!answered.has(last)) continue;
      const came = accounts.some(({ newest }) => newest.some(([of, byKey]) => of === publisher && byKey[key] === last));
      if (!came) verdict.lost++;
    }
  }
  return verdict;
}
