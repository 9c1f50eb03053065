import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeCommand } from '../../src/machine/command/command-codec.ts';
import {
  DROP_REASONS,
  type DropRowsCommand,
  type SettleCommand,
  type SettleRow,
} from '../../src/machine/command/commands.ts';
import type { Effect } from '../../src/machine/effects.ts';
import type { QueueState } from '../../src/machine/queue-state.ts';
import { RowTable } from '../../src/machine/row/row-keys.ts';
import { iterateRecords } from '../../src/record/record-batch.ts';
import { type Applied, batchOf, MachineHarness, record, target } from './machine-harness.ts';
import { type NaiveQueue, NaiveQueues } from './naive-queues.ts';

/** 1 and 2 are regular, 3 and 4 last-value queues, of which 4 erases; nobody ever configures 9. */
const QUEUES = [1, 2, 3, 4];
const isLastValue = (queueId: number): boolean => queueId === 3 || queueId === 4;

const queueId = fc.constantFrom(...QUEUES);
const small = fc.nat({ max: 12 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      records: fc.array(
        fc.record({
          queues: fc.uniqueArray(fc.constantFrom(1, 2, 3, 4, 3, 4, 9), { minLength: 1, maxLength: 3 }),
          key: fc.option(fc.constantFrom('', 'a', 'b', 'c'), { nil: undefined, freq: 6 }),
          bytes: fc.oneof(fc.nat({ max: 30 }), fc.constant(0)),
          expiresAtMs: fc.constantFrom(0, 0, 5, 1020, 5000),
        }),
        { minLength: 1, maxLength: 5 },
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      rows: fc.array(
        fc.record({
          queueId: fc.oneof({ weight: 12, arbitrary: queueId }, { weight: 1, arbitrary: fc.constant(9) }),
          pick: small,
          ranges: fc.array(
            fc.record({
              outcome: fc.constantFrom(
                'accepted' as const,
                'accepted' as const,
                'expired' as const,
                'returned' as const,
              ),
              from: fc.nat({ max: 4 }),
              length: fc.integer({ min: 1, max: 4 }),
            }),
            { minLength: 1, maxLength: 3 },
          ),
        }),
        { maxLength: 4 },
      ),
      tellsHeads: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('drop' as const),
      queueId,
      reason: fc.constantFrom(...DROP_REASONS),
      count: fc.integer({ min: 1, max: 3 }),
      skip: fc.nat({ max: 2 }),
      upper: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('configure' as const),
      queueId,
      version: fc.integer({ min: 1, max: 6 }),
      countMax: fc.constantFrom(null, 0, 2, 4, 7),
      bytesMax: fc.constantFrom(null, null, 60, 150),
      overflow: fc.constantFrom('refuse' as const, 'drop_oldest' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), queueId }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('time' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('end-turn' as const), restart: fc.boolean() }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Deep equality of plain data; quick where it holds, and readable where it does not. */
function same(seen: unknown, wanted: unknown): void {
  if (JSON.stringify(seen) !== JSON.stringify(wanted)) expect(seen).toEqual(wanted);
}

/** The numbers of a queue that must be the same after a restart and on any replica. */
function persistent(queue: Readonly<QueueState> | undefined): object | undefined {
  if (queue === undefined) return undefined;
  const { isDirty: _dirty, open: _open, isListed: _listed, rowName: _row, ...rest } = queue;
  return rest;
}

/** Drives the machine and the naive queues with the same commands, a turn at a time. */
class Run {
  readonly harness = new MachineHarness();
  readonly naive = new NaiveQueues();
  readonly log: Uint8Array[] = [];
  readonly replies: string[] = [];
  readonly #liveEntries = new Map<number, number>();
  #turn: { command: Uint8Array; check: (applied: Applied) => void }[] = [];
  #nextEntry = 1;

  constructor() {
    for (const id of QUEUES) this.#configure(id, 1, null, null, 'refuse');
    this.endTurn();
  }

  /** The step, proposed; the machine sees it when the turn ends. */
  take(step: Step): void {
    switch (step.do) {
      case 'append':
        this.#append(step.records);
        break;
      case 'settle':
        this.#settle(step.rows, step.tellsHeads);
        break;
      case 'drop':
        this.#drop(step);
        break;
      case 'configure':
        this.#configure(step.queueId, step.version, step.countMax, step.bytesMax, step.overflow);
        break;
      case 'remove': {
        const command = encodeCommand({ type: 'remove-queue', queueId: step.queueId });
        this.#propose(command, () => this.naive.remove(step.queueId));
        break;
      }
      case 'time':
        this.#propose(encodeCommand({ type: 'time' }), () => ({ reply: { type: 'noted' }, effects: [] }));
        break;
      case 'end-turn':
        this.endTurn();
        if (step.restart) {
          this.#restart();
          this.#checkSums();
        }
    }
  }

  endTurn(): void {
    const turn = this.#turn;
    this.#turn = [];
    let i = 0;
    this.harness.turn(
      turn.map(({ command }) => command),
      (applied) => {
        turn[i++]?.check(applied);
      },
    );
    same(this.harness.describeRows(), this.naive.describeRows());
    for (const [id, queue] of this.naive.queues) this.#checkHead(this.harness.machine.queue(id), queue);
    this.#checkSums();
  }

  /** What the machine keeps beside its queues so that nobody has to walk them. */
  #checkSums(): void {
    const { machine } = this.harness;
    const filled = [...machine.queues()].filter(({ depth }) => depth > 0);
    same([...machine.filledQueues()].map(({ queueId: id }) => id).sort(), filled.map(({ queueId: id }) => id).sort());
    same(
      machine.depth,
      filled.reduce((total, { depth }) => total + depth, 0),
    );
    same(machine.queueCount, [...machine.queues()].length);
  }

  #append(records: Extract<Step, { do: 'append' }>['records']): void {
    const inputs = records.map(({ queues, key, bytes, expiresAtMs }) => {
      const targets = queues.map((id) => target(id, isLastValue(id) ? key : undefined));
      return record(targets, { payload: new Uint8Array(bytes), expiresAtMs });
    });
    const batch = batchOf(inputs);
    const sizes = [...iterateRecords(batch)].map(({ sizeBytes }) => sizeBytes);
    const entry = this.#nextEntry;
    const nowMs = this.harness.nowMs + this.#turn.length;
    this.#propose(batch, () => this.naive.append(entry, inputs, sizes, batch.length, nowMs));
  }

  /** Rows are picked when the command is made, so a turn may settle what its own entries append. */
  #settle(picks: Extract<Step, { do: 'settle' }>['rows'], tellsHeads: boolean): void {
    const rows: SettleRow[] = picks.map(({ queueId: id, pick, ranges }) => {
      const bases = [...this.#bases(id), 100];
      const rowBase = bases[pick % bases.length] as number;
      const of = (wanted: string): number[] =>
        ranges
          .filter(({ outcome }) => outcome === wanted)
          .flatMap(({ from, length }) => [rowBase + from, rowBase + from + length]);
      return { queueId: id, rowBase, accepted: of('accepted'), expired: of('expired'), returned: of('returned') };
    });
    const heads = [...this.naive.queues].flatMap(([id, queue]) => {
      const first = queue.live[0];
      return tellsHeads && first !== undefined ? [{ queueId: id, head: first.rowBase }] : [];
    });
    const command: SettleCommand = { type: 'settle', rows, heads };
    this.#propose(encodeCommand(command), () => ({ reply: this.naive.settle(command), effects: [] }));
  }

  #drop({ queueId: id, reason, skip, count, upper }: Extract<Step, { do: 'drop' }>): void {
    const rowBases = this.#bases(id).slice(skip, skip + count);
    const upperOffset = upper === undefined ? 0 : (rowBases.at(-1) ?? 0) + upper;
    const command: DropRowsCommand = { type: 'drop-rows', queueId: id, reason, rowBases };
    if (upperOffset > 0) command.upperOffset = upperOffset;
    this.#propose(encodeCommand(command), () => {
      const reply = this.naive.drop(command);
      const isAny = reply.type === 'dropped' && reply.count > 0;
      return { reply, effects: isAny ? [{ type: 'dropped', queueId: id }] : [] };
    });
  }

  #bases(id: number): number[] {
    return this.naive.queues.get(id)?.rows.map(({ base }) => base) ?? [];
  }

  #configure(
    id: number,
    version: number,
    countMax: number | null,
    bytesMax: number | null,
    overflow: 'refuse' | 'drop_oldest',
  ): void {
    const kind = { isLastValue: isLastValue(id), erasesEmpty: id === 4 };
    const config = { queueId: id, version, name: `q${id}`, ...kind, countMax, bytesMax, overflow };
    this.#propose(encodeCommand({ type: 'configure-queue', config }), () => this.naive.configure(config));
  }

  /** The naive answer is computed at once; the machine's comes when the turn ends. */
  #propose(command: Uint8Array, answer: () => { reply: unknown; effects: Effect[] }): void {
    this.#nextEntry++;
    this.log.push(command);
    const { reply, effects } = answer();
    const figures = new Map([...this.naive.queues].map(([id, queue]) => [id, queue.figures]));
    const liveEntries = this.naive.liveEntries();
    this.#turn.push({
      command,
      check: (applied) => {
        same(applied.reply, reply);
        same(this.#withoutEntries(applied.effects), effects);
        same(
          [...this.#liveEntries].sort(([a], [b]) => a - b),
          [...liveEntries],
        );
        this.#checkFigures(figures);
        this.replies.push(JSON.stringify(applied));
      },
    });
  }

  /** Keeps account of the entries that effects call live or dead; returns the other effects. */
  #withoutEntries(effects: readonly Effect[]): Effect[] {
    return effects.filter((effect) => {
      if (effect.type === 'entry-live') {
        expect(this.#liveEntries.has(effect.index)).toBe(false);
        this.#liveEntries.set(effect.index, effect.bytes);
      } else if (effect.type === 'entry-dead') {
        expect(this.#liveEntries.get(effect.index)).toBe(effect.bytes);
        this.#liveEntries.delete(effect.index);
      } else return true;
      return false;
    });
  }

  #checkFigures(expected: Map<number, Partial<QueueState>>): void {
    const machine = this.harness.machine;
    same([...machine.queues()].map((queue) => queue.queueId).sort(), [...expected.keys()].sort());
    for (const [id, figures] of expected) {
      const queue = machine.queue(id) as QueueState;
      const names = Object.keys(figures) as (keyof QueueState)[];
      same(Object.fromEntries(names.map((name) => [name, queue[name]])), figures);
      // Depth accounting, exactly, after every entry.
      same(queue.depth, queue.published - queue.accepted - queue.expired - queue.overwritten - queue.dropped);
    }
  }

  #checkHead(queue: Readonly<QueueState> | undefined, naive: NaiveQueue): void {
    expect(queue?.head).toBeLessThanOrEqual(naive.live[0]?.rowBase ?? naive.records.length);
    if (naive.live.length === 0) expect(queue?.head).toBe(queue?.tail);
    // Latest wins: the live record of a key is the last of that key that was taken, unless that one was settled.
    if (!naive.config.isLastValue) return;
    const keyed = naive.records.filter(({ key }) => key !== undefined);
    for (const { key, offset } of naive.live.filter(({ key }) => key !== undefined)) {
      same(keyed.findLast((other) => other.key === key)?.offset, offset);
    }
  }

  #restart(): void {
    const before = [...this.harness.machine.queues()].map(persistent);
    this.harness.restart();
    const after = this.harness.machine;
    expect([...after.queues()].map(persistent)).toEqual(expect.arrayContaining(before));
    expect([...after.queues()]).toHaveLength(before.length);
  }
}

const steps = fc.array(step, { minLength: 10, maxLength: 60, size: 'max' });

describe('the machine', () => {
  test('agrees with arrays of records, entry by entry, whatever is restarted when', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const run = new Run();
        for (const one of all) run.take(one);
        run.endTurn();
      }),
      { numRuns: 200, seed: 20261120 },
    );
  });

  test('writes the same rows and answers however entries are grouped into turns', () => {
    fc.assert(
      fc.property(steps, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (all, sizes) => {
        const run = new Run();
        for (const one of all) run.take(one);
        run.endTurn();
        const other = new MachineHarness();
        const replies: string[] = [];
        for (let at = 0, turn = 0; at < run.log.length; turn++) {
          const size = sizes[turn % sizes.length] as number;
          const applied = other.turn(run.log.slice(at, at + size));
          replies.push(...applied.map((one) => JSON.stringify(one)));
          at += size;
        }
        same(replies, run.replies);
        expect(other.engine).toEqual(run.harness.engine);
      }),
      { numRuns: 80, seed: 20261121 },
    );
  });

  test('leaves nothing behind once everything is settled', () => {
    fc.assert(
      fc.property(steps, fc.constantFrom('accepted', 'drop'), (all, how) => {
        const run = new Run();
        for (const one of all) run.take(one);
        run.endTurn();
        const commands: Uint8Array[] = [];
        for (const [id, queue] of run.naive.queues) {
          const bases = queue.rows.map(({ base }) => base);
          if (how === 'drop') {
            commands.push(encodeCommand({ type: 'drop-rows', queueId: id, reason: 'purged', rowBases: bases }));
          } else {
            const rows = bases.map((base) => ({ queueId: id, rowBase: base, accepted: [base, queue.rowEnd(base)] }));
            commands.push(encodeCommand({ type: 'settle', rows }));
          }
        }
        run.harness.turn(commands);
        expect(run.harness.describeRows()).toEqual([]);
        for (const queue of run.harness.machine.queues()) {
          expect([queue.depth, queue.depthBytes, queue.keyCount, queue.isRemoved]).toEqual([0, 0, 0, false]);
          expect(queue.head).toBe(queue.tail);
        }
        expect(run.harness.rowsOf(RowTable.QUEUE)).toHaveLength([...run.harness.machine.queues()].length);
      }),
      { numRuns: 60, seed: 20261122 },
    );
  });
});
