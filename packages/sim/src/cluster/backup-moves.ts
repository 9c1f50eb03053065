import { SluiceError } from '@sluice/common/errors';
import { type BackupFileWriter, copyGroups } from '@sluice/coordinator/administration/backup-copy';
import { readBackup } from '@sluice/storage/backup-format';
import type { GroupSpan } from '../check/backup-check.ts';
import type { Draw } from '../draw.ts';
import type { Life, SimWorld } from '../sim-world.ts';
import { driven, Violation } from '../simulation.ts';
import type { GatewayNode } from './gateway-node.ts';

/** One that said it succeeded. */
export interface TakenBackup {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly spans: ReadonlyMap<number, GroupSpan>;
}

/**
 * An operator who makes one backup after the other, as `sluice backup` does, from any gateway that listens: slowly, with a
 * disk that is full now and then, over connections that break, or end as if all had come.
 */
export class BackupMoves {
  readonly #parts: BackupMovesParts;
  readonly taken: TakenBackup[] = [];
  readonly counts = { failed: 0, broken: 0 };
  #isOver = false;
  #running = 0;

  static readonly HTTP_MS = 1;
  /** For each of five groups as long as its reader is patient, and as its attempts take. */
  static readonly BACKUP_MS_MAX = 600_000;

  constructor(parts: BackupMovesParts) {
    this.#parts = parts;
  }

  begin(): void {
    const { world, draw, everyMs } = this.#parts;
    world.after(everyMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.begin();
      // Two at once are refused at one node, and may both be made at several.
      if (this.#running > 0 && (this.#running > 1 || !draw.onceIn(8))) return;
      this.#makeOne();
    });
  }

  end(): void {
    this.#isOver = true;
  }

  /** What was begun is over, one way or the other; and who asks when nothing is done to anybody any more gets a backup. */
  async atTheEnd(): Promise<void> {
    const { world } = this.#parts;
    const isQuiet = (): boolean => this.#running === 0;
    if (!(await world.runUntil(world.nowMs + BackupMoves.BACKUP_MS_MAX, 500, isQuiet))) {
      throw new Violation('liveness', 'a backup comes to no end');
    }
    await driven(world, this.#make(true), BackupMoves.BACKUP_MS_MAX);
  }

  #makeOne(): void {
    const { world } = this.#parts;
    this.#running++;
    this.#make(false).then(
      (backup) => {
        this.#running--;
        this.taken.push(backup);
        world.trace.add(world.nowMs, 'operator', `has backup ${this.taken.length}`);
      },
      (cause: unknown) => {
        this.#running--;
        this.counts.failed++;
        world.trace.add(world.nowMs, 'operator', `has no backup: ${String(cause)}`);
        if (!(cause instanceof Broken || cause instanceof SluiceError)) world.fail(cause);
      },
    );
  }

  async #make(isWell: boolean): Promise<TakenBackup> {
    const { world, partitions, isCalm } = this.#parts;
    const chunks = new Map<string, Uint8Array[]>();
    const askedMs = new Map<number, number>();
    const spans = new Map<number, GroupSpan>();
    await copyGroups({
      partitions,
      read: (group) => {
        askedMs.set(group, world.nowMs);
        return this.#read(group, isWell);
      },
      open: async (name) => {
        const bytes: Uint8Array[] = [];
        chunks.set(name, bytes);
        return this.#file(bytes, isWell);
      },
      mayPass: (cause) => cause instanceof Broken && cause.mayPass,
      pause: (ms) => this.#later(ms),
      progress: (text) => {
        this.counts.broken++;
        // Leaders move by themselves, too, and a node gives one at a time; but what is begun comes to its end.
        const wasBegun = /not read to its end|damaged/.test(text);
        if (isCalm() && wasBegun) throw new Violation('backup', `without a fault: ${text}`);
      },
      copied: ({ group }) => {
        spans.set(group, { askedMs: askedMs.get(group) as number, endedMs: world.nowMs });
      },
    });
    return { files: new Map([...chunks].map(([name, each]) => [name, Buffer.concat(each)])), spans };
  }

  /** On a disk that may be full. */
  #file(bytes: Uint8Array[], isWell: boolean): BackupFileWriter {
    const { draw } = this.#parts;
    return {
      write: async (chunk) => {
        if (!isWell && draw.onceIn(200)) throw new Broken('ENOSPC', false);
        bytes.push(chunk.slice());
      },
      sync: () => this.#later(BackupMoves.HTTP_MS),
      close: async () => {},
    };
  }

  async #read(group: number, isWell: boolean): Promise<AsyncIterable<Uint8Array>> {
    const { draw, gateways } = this.#parts;
    const up = gateways.filter(({ state }) => state === 'up');
    if (up.length === 0) throw new Broken('nobody listens', true);
    const gateway = draw.oneOf(up);
    // A connection is to a process: the next one of that gateway knows nothing of it.
    const { life, backups } = gateway;
    const outcome = await this.#over(life, async () => backups?.read(group));
    if (outcome === undefined) throw new Broken('nobody listens', true);
    if (!outcome.ok) throw new Broken(outcome.message, outcome.code === 'UNAVAILABLE' || outcome.code === 'NOT_READY');
    return this.#chunks(life, outcome.value[Symbol.asyncIterator](), isWell);
  }

  async *#chunks(life: Life, pieces: AsyncIterator<Uint8Array>, isWell: boolean): AsyncGenerator<Uint8Array> {
    const { draw, readMsMax, world } = this.#parts;
    let isOver = false;
    try {
      while (!isOver) {
        // Who stands in between may end an answer that breaks off as if it were complete.
        const next = await this.#over(life, () => pieces.next()).catch((cause: unknown) => {
          if (draw.onceIn(2)) throw cause;
          return { done: true as const, value: undefined };
        });
        isOver = next.done === true;
        if (next.done === true) return;
        yield next.value;
        if (!isWell && readMsMax > 0) await this.#later(draw.between(0, readMsMax));
      }
    } finally {
      // Nobody reads the rest of it.
      if (!isOver) world.after(BackupMoves.HTTP_MS, life, () => void pieces.return?.());
    }
  }

  /** A request, and its answer; without a gateway there is none. */
  #over<T>(life: Life, act: () => Promise<T>): Promise<T> {
    const { world } = this.#parts;
    const back = (tell: () => void): void => void world.after(BackupMoves.HTTP_MS, world.outside, tell);
    return new Promise((resolve, reject) => {
      const reset = (): void => back(() => reject(new Broken('the connection is reset', true)));
      if (life.ended) {
        reset();
        return;
      }
      life.onEnd(reset);
      world.after(BackupMoves.HTTP_MS, life, () => {
        act().then(
          (value) => back(() => resolve(value)),
          (cause: unknown) => {
            if (cause instanceof SluiceError) back(() => reject(new Broken(cause.message, true)));
            else world.fail(cause);
          },
        );
      });
    });
  }

  #later(ms: number): Promise<void> {
    const { world } = this.#parts;
    return new Promise((resolve) => {
      world.after(ms, world.outside, resolve);
    });
  }
}

/** A group of it, part by part; throws where it is not whole. */
export function readGroup({ files }: TakenBackup, name: string): ReturnType<typeof readBackup> {
  const bytes = files.get(name);
  if (bytes === undefined) throw new Violation('backup', `${name} is not in it`);
  return readBackup(
    (async function* () {
      yield bytes;
    })(),
    name,
  );
}

/** As an operator sees it: an answer that failed, or never came. */
class Broken extends Error {
  readonly mayPass: boolean;

  constructor(message: string, mayPass: boolean) {
    super(message);
    this.mayPass = mayPass;
  }
}

export interface BackupMovesParts {
  world: SimWorld;
  draw: Draw;
  gateways: readonly GatewayNode[];
  partitions: number;
  everyMs: number;
  /** How long who reads thinks about a piece. */
  readMsMax: number;
  /** Nothing is done to the cluster. */
  isCalm: () => boolean;
}
