import { stat } from 'node:fs/promises';
import type { Logger } from '@sluice/common/logger';
import type { Gauge, Metrics } from '@sluice/common/metrics';
import type { Access, AccessFiles } from './config/access-files.ts';
import { formatProblem } from './config/layer.ts';

/** Files are looked at this often; what changed is taken when two looks have found the same. */
const LOOK_MS = 5_000;

/**
 * Passwords, rules and token keys in files, which are taken anew while the node runs: whoever removes a user must not have
 * to send everybody away. A file that cannot be read, or in which one line is wrong, leaves everything as it was: half of
 * the rules could allow what the other half was written to deny. The log says why, once, and a metric as long as it lasts.
 *
 * A file is found half written when somebody writes it in place, and half of a list of users is a list of users. Hence the
 * second look; whoever sends a signal says that all is written.
 */
export class WatchedAccessFiles {
  readonly #files: AccessFiles;
  readonly #logger: Logger;
  readonly #refused: Gauge;
  #renewed: (access: Access) => void = () => {};
  /** As the files were when they were taken or refused. The start may have read them long ago: it waits for others. */
  #judged: string | undefined;
  #seen: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(files: AccessFiles, { logger, metrics }: { logger: Logger; metrics: Metrics }) {
    this.#files = files;
    this.#logger = logger;
    this.#refused = metrics.gauge(
      'sluice_gateway_access_files_refused',
      '1 while the files of users, rules and token keys cannot be used as they are, and those of before stay in force.',
    );
  }

  /** `renewed` is called with what is in force from then on. */
  watch(renewed: (access: Access) => void): void {
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
    const read = this.#files.read();
    this.#refused.set(read.ok ? 0 : 1);
    if (read.ok) {
      this.#renewed(read.access);
      const { users, rules } = read.access;
      this.#logger[isNews ? 'info' : 'debug'](
        { users: users.length, rules: rules.length },
        'users and rules were read again',
      );
      return;
    }
    const problems = read.problems.map(formatProblem);
    this.#logger.error(
      { problems: problems.slice(0, PROBLEMS_TOLD_MAX), count: problems.length },
      'changed users and rules cannot be used: the old ones stay',
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
