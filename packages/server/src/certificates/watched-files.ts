import { stat } from 'node:fs/promises';
import type { LogFields, Logger } from '@sluice/common/logger';
import type { Gauge } from '@sluice/common/metrics';
import { type ConfigProblem, formatProblem } from '../config/layer.ts';

/** Files are looked at this often; what changed is taken when two looks have found the same. */
const LOOK_MS = 5_000;

/** Files that say one thing together; as they are when they are read. */
export interface ReadableFiles<T> {
  readonly paths: readonly string[];
  read(): { ok: true; content: T } | { ok: false; problems: ConfigProblem[] };
}

export interface FileWatch<T> {
  logger: Logger;
  /** 1 while the files cannot be used as they are. */
  refused: Gauge;
  /** What they are, in words for the log. */
  subject: string;
  /** How much there is of it, for the log. */
  count: (content: T) => LogFields;
}

/**
 * Passwords, rules, token keys and API keys in files, which are taken anew while the node runs: whoever removes a user must
 * not have to send everybody away. A file that cannot be read, or in which one line is wrong, leaves everything as it was: half of
 * the rules could allow what the other half was written to deny. The log says why, once, and a metric as long as it lasts.
 *
 * A file is found half written when somebody writes it in place, and half of a list of users is a list of users. Hence the
 * second look; whoever sends a signal says that all is written.
 */
export class WatchedFiles<T> {
  readonly #files: ReadableFiles<T>;
  readonly #watch: FileWatch<T>;
  #renewed: (content: T) => void = () => {};
  /** As the files were when they were taken or refused. The start may have read them long ago: it waits for others. */
  #judged: string | undefined;
  #seen: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(files: ReadableFiles<T>, watch: FileWatch<T>) {
    this.#files = files;
    this.#watch = watch;
  }

  /** `renewed` is called with what is in force from then on. */
  watch(renewed: (content: T) => void): void {
    if (this.#files.paths.length === 0) return;
    this.#renewed = renewed;
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
    this.#timer.unref();
    void this.look();
  }

  /** @param isWritten nobody is writing any more: one look is enough. */
  async look({ isWritten = false } = {}): Promise<void> {
    const now = await stateOf(this.#files.paths);
    const isSettled = isWritten || now === this.#seen;
    this.#seen = now;
    if (now === this.#judged || !isSettled) return;
    const isNews = isWritten || this.#judged !== undefined;
    this.#judged = now;
    const { logger, refused, subject, count } = this.#watch;
    const read = this.#files.read();
    refused.set(read.ok ? 0 : 1);
    if (read.ok) {
      this.#renewed(read.content);
      logger[isNews ? 'info' : 'debug'](count(read.content), `${subject} were read again`);
      return;
    }
    const problems = read.problems.map(formatProblem);
    logger.error(
      { problems: problems.slice(0, PROBLEMS_TOLD_MAX), count: problems.length },
      `changed ${subject} cannot be used: the old ones stay`,
    );
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

const PROBLEMS_TOLD_MAX = 10;

/** Equal as long as nobody touches, replaces or links one of them anew. */
async function stateOf(paths: readonly string[]): Promise<string> {
  const states: string[] = [];
  for (const path of paths) {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      states.push(`${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`);
    } catch (error) {
      states.push(String((error as NodeJS.ErrnoException).code));
    }
  }
  return states.join(' ');
}
