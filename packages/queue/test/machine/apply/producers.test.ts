import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ApplyReply } from '../../../src/machine/apply/apply-reply.ts';
import { Producers } from '../../../src/machine/apply/producers.ts';
import { encodeCommand } from '../../../src/machine/command/command-codec.ts';
import { RowTable } from '../../../src/machine/row/row-keys.ts';
import type { BatchOrigin } from '../../../src/record/batch-origin.ts';
import { checkRecordBatch } from '../../../src/record/record-batch.ts';
import { batchOf, MachineHarness, record, target } from '../machine-harness.ts';

/** Of two records: the first for a queue that is full now and then, the second for one that nobody knows at times. */
function batchWith(origin: BatchOrigin): Uint8Array {
  return batchOf([record([target(1)]), record([target(2)])], origin);
}

function configure(queueId: number, version: number, countMax: number | null): Uint8Array {
  const name = `q${queueId}`;
  const config = { queueId, version, name, isLastValue: false, countMax, bytesMax: null, overflow: 'refuse' as const };
  return encodeCommand({ type: 'configure-queue', config });
}

/**
 * A gateway as unruly as the rules allow: it sends any unanswered batch at any time, in any order and as often as it
 * likes, gives up whatever it wants, and hears answers late, in any order, or never.
 */
class Gateway {
  readonly producer: number;
  /** What became of its batches, from number 1 on. */
  readonly fates: ('unanswered' | 'stored' | 'given up')[] = [];

  constructor(producer: number) {
    this.producer = producer;
  }

  get unanswered(): number[] {
    return this.fates.flatMap((fate, i) => (fate === 'unanswered' ? [i + 1] : []));
  }

  originOf(sequence: number): BatchOrigin {
    const before = this.fates.slice(0, sequence - 1).findLastIndex((fate) => fate !== 'given up');
    const first = this.unanswered[0] as number;
    return { producer: this.producer, sequence, after: before + 1, answeredTo: first - 1 };
  }
}

/** Where each batch is in the log, and what its publishers were told by its first entry. */
class NaiveLog {
  readonly #stored = new Map<number, { sequence: number; reply: ApplyReply }[]>();

  of(producer: number): { sequence: number; reply: ApplyReply }[] {
    const stored = this.#stored.get(producer) ?? [];
    this.#stored.set(producer, stored);
    return stored;
  }

  /** What must come of the batch, said by looking through the log. Undefined: it is stored. */
  judge({ producer, sequence, after }: BatchOrigin): 'known' | 'too late' | 'too early' | undefined {
    const stored = this.of(producer);
    if (stored.some((one) => one.sequence === sequence)) return 'known';
    if (stored.some((one) => one.sequence > sequence)) return 'too late';
    return after === 0 || stored.some((one) => one.sequence === after) ? undefined : 'too early';
  }
}

const any = fc.nat(50);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('publish' as const), who: fc.nat(1) }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('send' as const), who: fc.nat(1), any }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('arrive' as const), any }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('hear' as const), any }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('lose' as const, 'mishear' as const), any }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('give-up' as const), who: fc.nat(1), any }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'full' as const, 'room' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Run {
  readonly harness = new MachineHarness();
  readonly log: Uint8Array[] = [];
  readonly #naive = new NaiveLog();
  readonly #gateways = [new Gateway(2 ** 52 + 1), new Gateway(3)];
  readonly #air: Uint8Array[] = [];
  readonly #answers: { gateway: Gateway; sequence: number; reply: ApplyReply }[] = [];
  #version = 1;
  #published = 0;

  constructor() {
    this.#apply(configure(1, this.#version++, null));
  }

  take(step: Step): void {
    const gateway = this.#gateways['who' in step ? step.who : 0] as Gateway;
    const pick = <T>(from: readonly T[]): number => ('any' in step && from.length > 0 ? step.any % from.length : -1);
    switch (step.do) {
      case 'publish':
        gateway.fates.push('unanswered');
        break;
      case 'send': {
        const at = pick(gateway.unanswered);
        if (at !== -1) this.#air.push(batchWith(gateway.originOf(gateway.unanswered[at] as number)));
        break;
      }
      case 'arrive':
        for (const batch of this.#air.splice(pick(this.#air), this.#air.length === 0 ? 0 : 1)) this.#arrive(batch);
        break;
      case 'lose':
        if (this.#air.length > 0) this.#air.splice(pick(this.#air), 1);
        break;
      case 'hear':
        if (this.#answers.length > 0) this.#hear(this.#answers.splice(pick(this.#answers), 1));
        break;
      case 'mishear':
        if (this.#answers.length > 0) this.#answers.splice(pick(this.#answers), 1);
        break;
      case 'give-up': {
        const at = pick(gateway.unanswered);
        if (at !== -1) gateway.fates[(gateway.unanswered[at] as number) - 1] = 'given up';
        break;
      }
      case 'restart':
        this.harness.restart();
        break;
      default:
        this.#apply(configure(1, this.#version++, step.do === 'full' ? this.#published : null));
    }
  }

  /** Everything unanswered goes once more, in its order, and is answered: nobody is stuck. */
  heal(): void {
    for (const gateway of this.#gateways) {
      for (const sequence of gateway.unanswered) this.#arrive(batchWith(gateway.originOf(sequence)));
      this.#hear(this.#answers.splice(0));
      expect(gateway.unanswered).toEqual([]);
    }
    // And what was still on its way comes to nothing.
    for (const batch of this.#air.splice(0)) this.#arrive(batch);
    expect(this.#naive.of(3).map(({ sequence }) => sequence)).toEqual(
      [...this.#naive.of(3).map(({ sequence }) => sequence)].sort((a, b) => a - b),
    );
  }

  #arrive(batch: Uint8Array): void {
    const origin = checkRecordBatch(batch).origin as BatchOrigin;
    const wanted = this.#naive.judge(origin);
    const foreseen = this.harness.machine.foresee(origin);
    const tail = this.harness.machine.queue(1)?.tail as number;
    const reply = this.#apply(batch);
    if (foreseen !== undefined) expect(foreseen).toEqual(reply);
    else expect(reply.type).toBe('appended');
    const stored = this.#naive.of(origin.producer);
    if (wanted === undefined) {
      expect(reply.type).toBe('appended');
      stored.push({ sequence: origin.sequence, reply });
      this.#published = this.harness.machine.queue(1)?.tail as number;
    } else {
      expect(this.harness.machine.queue(1)?.tail).toBe(tail);
      expect(reply.type).toBe(wanted === 'too early' ? 'out-of-order' : 'repeated');
    }
    const gateway = this.#gateways.find(({ producer }) => producer === origin.producer) as Gateway;
    this.#answers.push({ gateway, sequence: origin.sequence, reply });
  }

  #hear(answers: readonly { gateway: Gateway; sequence: number; reply: ApplyReply }[]): void {
    for (const { gateway, sequence, reply } of answers) {
      if (gateway.fates[sequence - 1] !== 'unanswered' || reply.type === 'out-of-order') continue;
      const first = this.#naive.of(gateway.producer).find((one) => one.sequence === sequence);
      // Never a success that was not: what its publishers hear is what the entry that stored it said.
      expect({ ...reply, type: 'appended' }).toEqual(first?.reply);
      gateway.fates[sequence - 1] = 'stored';
    }
  }

  #apply(command: Uint8Array): ApplyReply {
    this.log.push(command);
    return (this.harness.turn([command])[0] as { reply: ApplyReply }).reply;
  }
}

describe('batches of producers', () => {
  test('are stored once and in order, and their publishers hear what happened, however copies of them fly about', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (steps) => {
        const run = new Run();
        for (const one of steps) run.take(one);
        run.heal();
        // Another replica that replays the log in one turn has the same rows.
        const replica = new MachineHarness();
        replica.turn(run.log.map((command) => command.slice()));
        expect(replica.engine).toEqual(run.harness.engine);
      }),
      { numRuns: 150, seed: 20261123 },
    );
  });
});

describe('the table of producers', () => {
  const first = (producer: number): Uint8Array =>
    batchOf([record([target(1)])], { producer, sequence: 1, after: 0, answeredTo: 0 });
  const rowsOf = (harness: MachineHarness): number => harness.rowsOf(RowTable.PRODUCER).length;

  test('forgets who was silent for longest, by the log, and takes the next batch of a forgotten one as a first', () => {
    const harness = new MachineHarness();
    const others = Array.from({ length: Producers.PRODUCERS_MAX - 2 }, (_, i) => first(100 + i));
    harness.turn([configure(1, 1, null), first(1), first(2), ...others]);
    expect(rowsOf(harness)).toBe(Producers.PRODUCERS_MAX);
    // Somebody who only repeats is not silent.
    harness.turn([first(1)]);
    harness.restart();
    const [forgets] = harness.turn([first(3)]);
    expect([forgets?.reply.type, rowsOf(harness)]).toEqual(['appended', Producers.PRODUCERS_MAX]);
    expect(harness.turn([first(1)])[0]?.reply.type).toBe('repeated');
    // 2 is forgotten. What nobody has answered may be missing; what is behind the answered is taken.
    const next = (after: number, answeredTo: number): Uint8Array =>
      batchOf([record([target(1)])], { producer: 2, sequence: 3, after, answeredTo });
    expect(harness.turn([next(2, 1)])[0]?.reply.type).toBe('out-of-order');
    expect(rowsOf(harness)).toBe(Producers.PRODUCERS_MAX);
    expect(harness.turn([next(2, 2)])[0]?.reply.type).toBe('appended');
    expect(harness.turn([next(2, 2)])[0]?.reply.type).toBe('repeated');
    expect(rowsOf(harness)).toBe(Producers.PRODUCERS_MAX);
  });

  test('remembers so many refusals, and says of older ones that it does not', () => {
    const harness = new MachineHarness();
    const records = Array.from({ length: 1024 }, () => record([target(8), target(9)]));
    const batch = (sequence: number, answeredTo = 0): Uint8Array =>
      batchOf(records, { producer: 5, sequence, after: sequence - 1, answeredTo });
    harness.turn([1, 2, 3].map((sequence) => batch(sequence)));
    harness.restart();
    const replies = harness.turn([1, 2, 3].map((sequence) => batch(sequence))).map(({ reply }) => reply);
    expect(replies.map(({ type }) => type)).toEqual(['answer-forgotten', 'repeated', 'repeated']);
    for (const reply of replies.slice(1)) expect(reply.type === 'repeated' && reply.refused).toHaveLength(2048);
    // Those that were answered make room.
    harness.turn([batch(4, 3), batch(5, 3)]);
    expect(harness.turn([batch(4, 3)])[0]?.reply).toMatchObject({ type: 'repeated', refused: { length: 2048 } });
  });

  test('is not written for batches that say nothing of their origin', () => {
    const harness = new MachineHarness();
    harness.turn([configure(1, 1, null), batchOf([record([target(1)])])]);
    expect(rowsOf(harness)).toBe(0);
  });
});
