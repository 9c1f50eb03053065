import { assert } from '@sluice/common/assert';
import type { BatchOrigin } from '../../record/batch-origin.ts';
import { encodeProducerRow } from '../row/producer-row.ts';
import { producerRowKeyOnce } from '../row/row-keys.ts';
import type { NamedRow, Rows } from '../row/rows.ts';
import { ANSWER_FORGOTTEN, type ApplyReply, OUT_OF_ORDER, REPEATED, type Refusal } from './apply-reply.ts';

/**
 * Which batches of whom are in the log. A batch whose answer was lost with a leader is sent again, perhaps to several
 * leaders, and some of its copies lie in connections for as long as they please: nobody but the log itself can tell
 * which of them is the first, and whether its turn has come.
 *
 * It is stored if its number is above all that were stored of its producer, and the batch it has to come after is in
 * the log: as this table knows, or because the producer has its answer. So what is stored of a producer ascends, whatever
 * number is below the highest one is stored or given up, and a copy of a given-up one is stored in its place or never.
 *
 * Whoever is unknown here, because it is new or because it was forgotten, has stored nothing as far as the table knows.
 * Of a new one that is true. Of a forgotten one the next batch is taken all the same, because it comes after what was
 * answered; but a copy from before, still on its way, would be taken too. Therefore it is not time that makes anybody
 * forgotten, which a clock may leap over, but only `PRODUCERS_MAX` others that stored something since.
 *
 * A repeated batch gets the answer of the first time, so refusals are kept until the producer says that it has them.
 * Beyond `REFUSALS_MAX` the oldest are forgotten, and a repeated batch hears that, never that it was stored whole.
 */
export class Producers {
  readonly #known = new Map<number, Producer>();
  /** Changed since the last flush; also those that were forgotten. */
  readonly #dirty: Producer[] = [];

  static readonly PRODUCERS_MAX = 1024;
  /** By producer. */
  static readonly REFUSALS_MAX = 4096;

  restore(producer: Producer): void {
    this.#known.set(producer.id, producer);
  }

  /** The answer to a batch that is not to be stored; undefined if it is. */
  foresee(origin: BatchOrigin): ApplyReply | undefined {
    return verdict(origin, this.#known.get(origin.producer));
  }

  /** The same, where it is decided: an entry of the log at `index`. */
  meet(origin: BatchOrigin, index: number): ApplyReply | undefined {
    const producer = this.#known.get(origin.producer);
    const known = verdict(origin, producer);
    // Whoever is about to store something is noted then.
    if (known !== undefined && producer !== undefined) this.#note(producer, origin, index);
    return known;
  }

  stored(origin: BatchOrigin, index: number, refused: readonly Refusal[] | undefined): void {
    const producer = this.#known.get(origin.producer) ?? this.#admit(origin.producer);
    producer.last = origin.sequence;
    if (refused !== undefined) {
      producer.refusals.push({ sequence: origin.sequence, refused });
      producer.refusalCount += refused.length;
    }
    this.#note(producer, origin, index);
  }

  flush(rows: Rows): void {
    // Taken off one by one, so that the list keeps its memory.
    for (let producer = this.#dirty.pop(); producer !== undefined; producer = this.#dirty.pop()) {
      const { id } = producer;
      producer.isDirty = false;
      if (this.#known.get(id) === producer) rows.save(producerRowKeyOnce(id), encodeProducerRow(producer), producer);
      else if (!this.#known.has(id)) rows.save(producerRowKeyOnce(id), undefined);
    }
  }

  #markDirty(producer: Producer): void {
    if (producer.isDirty) return;
    producer.isDirty = true;
    this.#dirty.push(producer);
  }

  #note(producer: Producer, origin: BatchOrigin, index: number): void {
    const { refusals } = producer;
    while (refusals.length > 0) {
      const { sequence, refused } = refusals[0] as RememberedRefusals;
      const isAnswered = sequence <= origin.answeredTo;
      if (!isAnswered && producer.refusalCount <= Producers.REFUSALS_MAX) break;
      if (!isAnswered) producer.forgottenTo = sequence;
      producer.refusalCount -= refused.length;
      refusals.shift();
    }
    producer.index = index;
    this.#markDirty(producer);
  }

  #admit(id: number): Producer {
    if (this.#known.size >= Producers.PRODUCERS_MAX) this.#forgetOne();
    const producer: Producer = {
      id,
      last: 0,
      index: 0,
      forgottenTo: 0,
      refusals: [],
      refusalCount: 0,
      rowName: undefined,
      isDirty: false,
    };
    this.#known.set(id, producer);
    return producer;
  }

  /** The one that was silent for longest, by the log. */
  #forgetOne(): void {
    let silent: Producer | undefined;
    for (const producer of this.#known.values()) {
      if (silent === undefined || producer.index < silent.index) silent = producer;
    }
    assert(silent !== undefined, 'a full table has rows');
    this.#known.delete(silent.id);
    this.#markDirty(silent);
  }
}

function verdict(origin: BatchOrigin, producer: Producer | undefined): ApplyReply | undefined {
  const { sequence, after, answeredTo } = origin;
  const last = producer === undefined ? 0 : producer.last;
  if (producer === undefined || sequence > last) return after > last && after > answeredTo ? OUT_OF_ORDER : undefined;
  for (const remembered of producer.refusals) {
    if (remembered.sequence === sequence) return { type: 'repeated', refused: remembered.refused };
  }
  return sequence <= producer.forgottenTo ? ANSWER_FORGOTTEN : REPEATED;
}

export interface Producer extends NamedRow {
  readonly id: number;
  /** The highest number that was stored. */
  last: number;
  /** Of the entry that last came from it. */
  index: number;
  /** What was refused of batches up to this one may be forgotten. */
  forgottenTo: number;
  /** Of batches whose answers the producer may not have; ascending. */
  readonly refusals: RememberedRefusals[];
  /** In all of `refusals`. */
  refusalCount: number;
  isDirty: boolean;
}

export interface RememberedRefusals {
  sequence: number;
  refused: readonly Refusal[];
}
