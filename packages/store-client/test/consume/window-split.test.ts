import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type WindowPart, WindowSplit } from '../../src/consume/window-split.ts';

/** What a partition's leader does with one consumer, one wire away in each direction. */
class Leader {
  backlog = 0;
  window = 0;
  outstanding = 0;
  isWaiting = false;
  readonly toStore: ({ window: number } | 'settle')[] = [];
  readonly toGateway: ({ deliver: number } | { waiting: boolean })[] = [];
  answers = true;

  work(count: number): void {
    this.backlog += count;
    this.#assign();
  }
  take(): void {
    const message = this.toStore.shift();
    if (message === undefined) return;
    if (message === 'settle') this.outstanding--;
    else this.window = message.window;
    this.#assign();
    if (message !== 'settle' && this.answers) this.toGateway.push({ waiting: this.isWaiting });
  }
  #assign(): void {
    const count = Math.min(this.backlog, Math.max(0, this.window - this.outstanding));
    if (count > 0) this.toGateway.push({ deliver: count });
    this.backlog -= count;
    this.outstanding += count;
    if (this.backlog > 0 === this.isWaiting) return;
    this.isWaiting = this.backlog > 0;
    this.toGateway.push({ waiting: this.isWaiting });
  }
}

/** A worker whose messages come from several leaders; the wire moves when the test says. */
class Worker {
  readonly split: WindowSplit;
  readonly leaders: (Leader | undefined)[];
  readonly parts: WindowPart[];
  /** Messages the client has, by partition; undefined when they are nobody's. */
  readonly held: (number | undefined)[] = [];

  constructor(window: number, partitions: number) {
    this.split = new WindowSplit(window);
    this.parts = Array.from({ length: partitions }, (_, i) => this.split.add(i + 1));
    this.leaders = this.parts.map(() => undefined);
    for (let i = 0; i < partitions; i++) this.open(i);
  }

  open(i: number, backlog = 0): void {
    const part = this.parts[i] as WindowPart;
    if (this.leaders[i] !== undefined) return;
    this.split.opened(part);
    const leader = new Leader();
    this.leaders[i] = leader;
    this.plan();
    this.split.attached(part);
    leader.toStore.push({ window: part.window });
    // What the client holds is said with the attach.
    leader.outstanding = part.held;
    leader.answers = false;
    leader.take();
    leader.answers = true;
    leader.work(backlog);
  }

  close(i: number): void {
    const leader = this.leaders[i];
    if (leader === undefined) return;
    this.leaders[i] = undefined;
    this.split.closed(this.parts[i] as WindowPart);
    this.plan();
  }

  /** Its leader gave one of those that the client holds to somebody else. */
  lose(i: number): void {
    const n = this.held.indexOf(i);
    if (n === -1) return;
    this.held[n] = undefined;
    const leader = this.leaders[i];
    if (leader !== undefined) leader.outstanding--;
    this.split.lost(this.parts[i] as WindowPart);
    this.plan();
  }

  plan(): void {
    const changed: WindowPart[] = [];
    this.split.plan(changed);
    for (const part of changed) {
      this.leaders[this.parts.indexOf(part)]?.toStore.push({ window: part.window });
    }
  }

  hear(i: number): void {
    const leader = this.leaders[i];
    const message = leader?.toGateway.shift();
    if (message === undefined) return;
    const part = this.parts[i] as WindowPart;
    if ('waiting' in message) {
      this.split.heard(part, message.waiting);
      this.plan();
      return;
    }
    this.split.delivered(part, message.deliver);
    for (let n = 0; n < message.deliver; n++) this.held.push(i);
  }

  settle(n: number): void {
    if (this.held.length === 0) return;
    const [i] = this.held.splice(n % this.held.length, 1);
    if (i === undefined) {
      this.split.orphanSettled();
      this.plan();
      return;
    }
    this.leaders[i]?.toStore.push('settle');
    if (this.split.settled(this.parts[i] as WindowPart)) this.plan();
  }

  tick(): void {
    if (!this.split.wantsTicks) return;
    this.split.tick();
    this.plan();
  }

  /** Every message of both directions, until none is under way. */
  calm(): void {
    for (let again = true; again; ) {
      again = false;
      for (const [i, leader] of this.leaders.entries()) {
        while (leader !== undefined && leader.toStore.length + leader.toGateway.length > 0) {
          again = true;
          leader.take();
          this.hear(i);
        }
      }
    }
  }

  /** Assigned to this worker and not answered by its client, wherever it is. */
  get assigned(): number {
    let sum = this.held.length;
    for (const leader of this.leaders) {
      for (const message of leader?.toGateway ?? []) if ('deliver' in message) sum += message.deliver;
    }
    return sum;
  }

  get windows(): number[] {
    return this.parts.map(({ window }) => window);
  }
}

describe('a window over several partitions', () => {
  test('is shared evenly while nothing is known of work', () => {
    const worker = new Worker(10, 4);
    worker.calm();
    expect(worker.windows.reduce((a, b) => a + b)).toBe(10);
    expect(Math.max(...worker.windows) - Math.min(...worker.windows)).toBe(1);
  });

  test('goes to the one partition with work; with plenty the others keep one', () => {
    for (const [window, expected] of [
      [10, [1, 7, 1, 1]],
      [7, [0, 7, 0, 0]],
    ] as const) {
      const worker = new Worker(window, 4);
      worker.calm();
      worker.leaders[1]?.work(100);
      worker.calm();
      expect(worker.windows).toEqual(expected);
      expect(worker.held).toHaveLength(expected[1]);
    }
  });

  test('is not moved with every message: where work was, it stays until work waits elsewhere', () => {
    const worker = new Worker(10, 2);
    worker.calm();
    worker.leaders[0]?.work(20);
    worker.calm();
    const before = worker.windows;
    while (worker.held.length > 0) {
      worker.settle(0);
      worker.calm();
    }
    expect(worker.windows).toEqual(before);
    worker.leaders[1]?.work(20);
    worker.calm();
    expect(worker.windows).toEqual([1, 9]);
  });

  test('that is smaller than the number of partitions serves each of those with work in turn', () => {
    const worker = new Worker(1, 4);
    worker.calm();
    for (const leader of worker.leaders) leader?.work(1000);
    worker.calm();
    const served = new Map<number | undefined, number>();
    for (let i = 0; i < 80; i++) {
      expect(worker.held).toHaveLength(1);
      served.set(worker.held[0], (served.get(worker.held[0]) ?? 0) + 1);
      worker.settle(0);
      worker.calm();
      if (i % 2 === 1) worker.tick();
      worker.calm();
    }
    for (const i of worker.leaders.keys()) expect(served.get(i)).toBeGreaterThanOrEqual(15);
  });

  test('an idle worker with fewer places than partitions sends nothing, and hears of work anywhere', () => {
    const worker = new Worker(2, 5);
    worker.calm();
    expect(worker.split.wantsTicks).toBe(false);
    worker.leaders[4]?.work(1);
    worker.calm();
    expect(worker.held).toHaveLength(1);
  });

  test('a partition whose leader is unknown keeps no credit; what the client still holds of it counts', () => {
    const worker = new Worker(4, 2);
    worker.calm();
    worker.leaders[0]?.work(2);
    worker.calm();
    worker.close(0);
    worker.calm();
    expect(worker.windows).toEqual([0, 2]);
    worker.settle(0);
    worker.settle(0);
    worker.calm();
    expect(worker.windows).toEqual([0, 4]);
    worker.open(0);
    worker.calm();
    expect(worker.windows).toEqual([2, 2]);
  });

  test('what a client never answers of consumers that are gone takes its places for a minute, not for ever', () => {
    const worker = new Worker(3, 1);
    worker.leaders[0]?.work(3);
    worker.calm();
    worker.close(0);
    expect([worker.split.orphans, worker.split.wantsTicks]).toEqual([0, false]);
    for (let i = 0; i < 3; i++) worker.lose(0);
    worker.open(0);
    expect(worker.windows).toEqual([0]);
    for (let i = 1; i < WindowSplit.ORPHAN_TICKS; i++) worker.tick();
    expect(worker.windows).toEqual([0]);
    worker.tick();
    expect([worker.windows, worker.split.wantsTicks]).toEqual([[3], false]);
    worker.settle(0);
    expect(worker.windows).toEqual([3]);
  });

  test('a store that never answers a window only delays, it does not stop', () => {
    const worker = new Worker(4, 2);
    worker.calm();
    for (const leader of worker.leaders) if (leader !== undefined) leader.answers = false;
    worker.leaders[0]?.work(100);
    worker.calm();
    expect(worker.windows).toEqual([2, 1]);
    for (let i = 0; i < WindowSplit.UNANSWERED_TICKS; i++) worker.tick();
    worker.calm();
    expect(worker.windows).toEqual([3, 1]);
  });

  test('one partition always has the whole window, answered or not', () => {
    const worker = new Worker(5, 1);
    const [leader] = worker.leaders as [Leader];
    leader.answers = false;
    for (const window of [5, 2, 7, 0, 3]) {
      worker.split.setWindow(window);
      worker.plan();
      expect(worker.windows).toEqual([window]);
    }
  });
});

type Step =
  | { do: 'work'; at: number; count: number }
  | { do: 'take' | 'hear' | 'close' | 'open'; at: number }
  | { do: 'settle'; n: number }
  | { do: 'tick' };

const step = (partitions: number): fc.Arbitrary<Step> => {
  const at = fc.nat(partitions - 1);
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('work' as const), at, count: fc.integer({ min: 1, max: 12 }) }),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('take' as const, 'hear' as const), at }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const), n: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('close' as const, 'open' as const), at }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
  );
};

function perform(worker: Worker, { ...one }: Step): void {
  if (one.do === 'work') worker.leaders[one.at]?.work(one.count);
  else if (one.do === 'take') worker.leaders[one.at]?.take();
  else if (one.do === 'hear') worker.hear(one.at);
  else if (one.do === 'close') worker.close(one.at);
  else if (one.do === 'open') worker.open(one.at, 3);
  else if (one.do === 'settle') worker.settle(one.n);
  else worker.tick();
}

describe('whatever happens, in whatever order the messages arrive', () => {
  const run = fc
    .record({ window: fc.integer({ min: 1, max: 12 }), partitions: fc.integer({ min: 1, max: 6 }) })
    .chain((shape) =>
      fc.record({ shape: fc.constant(shape), steps: fc.array(step(shape.partitions), { maxLength: 120 }) }),
    );

  test('no more than the window is assigned, and credit reaches work in a few exchanges', () => {
    fc.assert(
      fc.property(run, ({ shape, steps }) => {
        const worker = new Worker(shape.window, shape.partitions);
        for (const one of steps) {
          // Ticks stand for two seconds in which every store answers.
          perform(worker, one);
          if (one.do === 'tick') worker.calm();
          expect(worker.assigned).toBeLessThanOrEqual(shape.window);
          for (const part of worker.parts) {
            if (shape.partitions > 1) expect(part.unanswered).toBeLessThanOrEqual(1);
          }
          let promised = worker.split.orphans;
          for (const part of worker.parts) promised += part.bound;
          expect(promised).toBeLessThanOrEqual(shape.window);
        }
        for (let i = 0; i < 3; i++) {
          worker.calm();
          worker.tick();
        }
        worker.calm();
        const waits = worker.leaders.some((leader) => leader !== undefined && leader.backlog > 0);
        const idle = shape.window - worker.assigned;
        const kept = worker.parts.filter((part) => part.isOpen && part.held === 0 && part.window > 0).length;
        if (waits) {
          // What is not in use is at most the one that idle partitions keep, and only with plenty.
          expect(idle).toBeLessThanOrEqual(kept);
          if (idle > 0) expect(shape.window - worker.split.orphans).toBeGreaterThanOrEqual(2 * kept);
        }
      }),
      { numRuns: 400 },
    );
  });

  test('every message is delivered in the end, whatever the window', () => {
    fc.assert(
      fc.property(run, ({ shape, steps }) => {
        const worker = new Worker(shape.window, shape.partitions);
        for (const one of steps) perform(worker, one);
        for (let i = 0; i < shape.partitions; i++) worker.open(i);
        for (let i = 0; i < 5_000; i++) {
          worker.calm();
          if (worker.held.length === 0 && worker.leaders.every((leader) => leader?.backlog === 0)) return;
          worker.settle(i);
          worker.tick();
        }
        throw new Error(`work was left: ${worker.leaders.map((leader) => leader?.backlog).join()}`);
      }),
      { numRuns: 200 },
    );
  });
});
