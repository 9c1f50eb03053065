import { SluiceError } from '@sluice/common/errors';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { type Entry, EntryKind, type HardState } from '@sluice/raft/entry';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import type { EntryLog, LogMark, LogWrite } from '@sluice/storage/entry-log-contract';
import { Draw } from '../draw.ts';
import { SimDisk } from '../sim-disk.ts';
import type { Life, SimWorld } from '../sim-world.ts';
import { driven, type SimulationOptions, simulate, type Verdict, Violation } from '../simulation.ts';
import { SimClock } from '../virtual-globals.ts';

const DIRECTORY = '/data/log';
const LARGE_SEGMENT_BYTES = 64_000;

/** What a group must still hold after a crash; what was under way then may be there or not. */
interface Model {
  hardState: HardState;
  firstIndex: number;
  /** By index. */
  entries: Map<number, { term: number; text: string }>;
}

/**
 * The entry log alone, killed or without power at any moment: what was acknowledged is there afterwards, what is there was
 * written, and a crash is never taken for damage.
 */
export function simulateLog(seed: number, options: SimulationOptions & { sync?: boolean } = {}): Promise<Verdict> {
  return simulate('log', seed, options, (world) => new LogHistory(world, options.sync ?? true).run());
}

class LogHistory {
  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #disk: SimDisk;
  readonly #sync: boolean;
  readonly #segmentBytes: number;
  /** Only frames so small that zeros are laid ahead of them. */
  #isSmall = false;
  readonly #groups = new Map<number, Model>();
  #mark: LogMark | undefined;
  #life: Life;
  #pending: LogWrite[] = [];
  #appended = 0;
  #crashes = 0;

  constructor(world: SimWorld, sync: boolean) {
    this.#world = world;
    this.#sync = sync;
    this.#draw = new Draw(world.prng);
    this.#segmentBytes = this.#draw.oneOf([2_000, 8_000, LARGE_SEGMENT_BYTES]);
    const syncMsMin = this.#draw.oneOf([0.1, 1, 5]);
    const knobs = { callMs: 0.02, bytesPerMs: 200_000, syncMsMin, syncMsMax: syncMsMin * this.#draw.between(1, 20) };
    this.#disk = new SimDisk(world, 'disk', knobs);
    this.#life = world.life('log');
  }

  async run(): Promise<string> {
    const rounds = this.#draw.between(2, 12);
    for (let round = 0; round < rounds; round++) {
      this.#isSmall = this.#segmentBytes === LARGE_SEGMENT_BYTES && round % 2 === 1;
      const log = await this.#open();
      this.#check(await this.#contents(log));
      const failuresBefore = this.#disk.failures;
      if (this.#draw.onceIn(4)) {
        this.#world.after(this.#draw.between(1, 60), this.#life, () => {
          this.#disk.failNext = this.#draw.oneOf(['sync', 'write'] as const);
        });
      }
      const worked = this.#work(log, this.#draw.between(1, 40));
      const crashAtMs = this.#world.nowMs + this.#draw.between(0, this.#draw.oneOf([3, 30, 300]));
      let done = false;
      worked.then(
        () => {
          done = true;
        },
        (cause: unknown) => {
          done = true;
          if (codeOf(cause) !== 'ENTRY_LOG_FENCED' || this.#disk.failures === failuresBefore) this.#world.fail(cause);
        },
      );
      await this.#world.run(crashAtMs, () => done && this.#draw.onceIn(3));
      this.#life.end();
      this.#disk.failNext = 'none';
      this.#disk.capacityBytes = Number.POSITIVE_INFINITY;
      const how = this.#draw.oneOf(['killed', 'power lost', 'power lost']);
      if (how === 'killed') this.#disk.processEnded();
      else this.#disk.powerLost();
      this.#crashes++;
      this.#world.trace.add(this.#world.nowMs, 'log', `${how} after ${this.#appended} appends`);
      this.#life = this.#world.life('log');
    }
    this.#check(await this.#contents(await this.#open()));
    return `${this.#appended} appends, ${this.#crashes} crashes, segments of ${this.#segmentBytes} bytes`;
  }

  #open(): Promise<EntryLog> {
    return this.#driven(() =>
      openEntryLog({
        directory: DIRECTORY,
        logger: silentLogger,
        metrics: new PlainMetrics(),
        segmentBytes: this.#segmentBytes,
        sync: this.#sync,
        durableMark: this.#draw.onceIn(2) ? this.#mark : undefined,
        files: this.#disk.operations(this.#life),
        lock: async () => ({ release: async () => {} }),
        clock: new SimClock(this.#world, 0),
        salt: (bytes) => Uint8Array.from({ length: bytes }, () => this.#world.prng.below(256)),
      }),
    );
  }

  /** Runs in the present life. */
  #driven<T>(act: () => Promise<T>): Promise<T> {
    const started = new Promise<T>((resolve, reject) => {
      this.#world.after(0, this.#life, () => act().then(resolve, reject));
    });
    return driven(this.#world, started, 60_000);
  }

  async #work(log: EntryLog, appends: number): Promise<void> {
    await this.#world.sleep(0);
    for (let i = 0; i < appends; i++) {
      const writes = this.#drawWrites();
      this.#pending = writes;
      if (this.#draw.onceIn(10)) this.#disk.capacityBytes = this.#disk.usedBytes + this.#draw.between(0, 3_000);
      try {
        await log.append(writes);
      } catch (cause) {
        if (codeOf(cause) !== 'ENTRY_LOG_FULL') throw cause;
        // Nothing of it counts.
        this.#pending = [];
        await this.#world.sleep(5);
        if (this.#draw.onceIn(2)) this.#disk.capacityBytes = Number.POSITIVE_INFINITY;
        continue;
      }
      this.#pending = [];
      for (const write of writes) this.#remember(write);
      this.#mark = log.mark();
      this.#appended++;
      if (this.#draw.onceIn(8)) this.#compact(log);
      if (this.#draw.onceIn(12)) await this.#release(log);
    }
  }

  #drawWrites(): LogWrite[] {
    const writes: LogWrite[] = [];
    for (const groupId of this.#draw.shuffled([1, 2, 3]).slice(0, this.#draw.between(1, 3))) {
      const model = this.#model(groupId);
      const last = model.firstIndex + model.entries.size - 1;
      const { term } = model.hardState;
      const overwrites = model.entries.size > 0 && this.#draw.onceIn(6);
      const newTerm = term + (overwrites || this.#draw.onceIn(10) ? 1 : 0);
      const from = overwrites ? this.#draw.between(Math.max(model.firstIndex, last - 3), last) : last + 1;
      const entries: Entry[] = [];
      for (let i = 0; i < this.#draw.oneOf([0, 1, 1, 2, 20]) && !(this.#isSmall && i === 1); i++) {
        const text = `${groupId}/${from + i}/${newTerm}/${this.#draw.between(0, 1e9)}`.padEnd(
          this.#draw.oneOf([0, 100, this.#isSmall ? 0 : 1_500]),
          '.',
        );
        entries.push({ term: newTerm, index: from + i, kind: EntryKind.NORMAL, data: Buffer.from(text) });
      }
      if (overwrites && entries.length === 0) continue;
      writes.push({ groupId, hardState: { term: newTerm, vote: newTerm % 3, commit: model.firstIndex - 1 }, entries });
    }
    return writes;
  }

  #remember({ groupId, hardState, entries }: LogWrite): void {
    const model = this.#model(groupId);
    if (hardState !== undefined) model.hardState = hardState;
    const first = entries[0];
    if (first === undefined) return;
    for (const index of [...model.entries.keys()]) if (index >= first.index) model.entries.delete(index);
    for (const { index, term, data } of entries) model.entries.set(index, { term, text: Buffer.from(data).toString() });
  }

  #compact(log: EntryLog): void {
    const groupId = this.#draw.between(1, 3);
    const model = this.#model(groupId);
    if (model.entries.size < 4) return;
    const index = model.firstIndex + this.#draw.between(0, model.entries.size - 2);
    log.compact(groupId, index, model.entries.get(index)?.term ?? 0);
    for (let i = model.firstIndex; i <= index; i++) model.entries.delete(i);
    model.firstIndex = index + 1;
  }

  async #release(log: EntryLog): Promise<void> {
    const oldest = log.sealedSegments()[0];
    if (oldest === undefined) return;
    try {
      await log.release(oldest.segmentId, []);
    } catch (cause) {
      if (codeOf(cause) !== 'ENTRY_LOG_FULL') throw cause;
    }
  }

  #model(groupId: number): Model {
    let model = this.#groups.get(groupId);
    if (model === undefined) {
      model = { hardState: { term: 0, vote: 0, commit: 0 }, firstIndex: 1, entries: new Map() };
      this.#groups.set(groupId, model);
    }
    return model;
  }

  #contents(log: EntryLog): Promise<Map<number, Model>> {
    return this.#driven(async () => {
      const found = new Map<number, Model>();
      for (const { groupId, hardState, firstIndex, lastIndex } of log.groups.values()) {
        const entries = new Map<number, { term: number; text: string }>();
        let next = firstIndex;
        while (next <= lastIndex) {
          for (const { index, term, data } of await log.read(groupId, next, lastIndex, 10_000)) {
            entries.set(index, { term, text: Buffer.from(data).toString() });
            next = index + 1;
          }
        }
        found.set(groupId, { hardState: { ...hardState }, firstIndex, entries });
      }
      return found;
    });
  }

  /** What is found becomes the model: an append that was under way counts or does not, as a whole. */
  #check(found: Map<number, Model>): void {
    const pending = this.#pending;
    this.#pending = [];
    const without = new Map([...this.#groups].map(([groupId, model]) => [groupId, copyOf(model)]));
    let problem = this.#difference(found);
    if (problem !== undefined && pending.length > 0) {
      for (const write of pending) this.#remember(write);
      problem = this.#difference(found);
    }
    if (problem !== undefined) {
      throw new Violation('acknowledged entries kept', `${problem}; before: ${[...without.keys()].join(', ')}`);
    }
    for (const [groupId, model] of found) this.#groups.set(groupId, model);
  }

  #difference(found: Map<number, Model>): string | undefined {
    for (const [groupId, model] of this.#groups) {
      const there = found.get(groupId);
      if (there === undefined) {
        if (model.entries.size === 0 && model.hardState.term === 0) continue;
        return `group ${groupId} is gone`;
      }
      if (there.hardState.term !== model.hardState.term || there.hardState.vote !== model.hardState.vote) {
        return `group ${groupId}: term ${there.hardState.term}, ${model.hardState.term} was acknowledged`;
      }
      for (const [index, { term, text }] of model.entries) {
        const entry = there.entries.get(index);
        if (entry === undefined || entry.term !== term || entry.text !== text) {
          return `group ${groupId}: entry ${index} is ${entry === undefined ? 'gone' : 'another'}`;
        }
      }
      for (const index of there.entries.keys()) {
        // A compaction is durable with the next append only.
        if (index >= model.firstIndex && !model.entries.has(index))
          return `group ${groupId}: entry ${index} is nobody's`;
      }
    }
    return undefined;
  }
}

function copyOf(model: Model): Model {
  return { hardState: model.hardState, firstIndex: model.firstIndex, entries: new Map(model.entries) };
}

/** For whoever reads a verdict: the code of a typed error. */
function codeOf(error: unknown): string {
  return error instanceof SluiceError ? error.code : '';
}
