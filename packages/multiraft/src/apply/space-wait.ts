import type { Logger } from '@sluice/common/logger';
import { type Shortage, shortageOf } from '@sluice/storage/shortage';
import { whenRoom } from '../disk/when-room.ts';

/**
 * Asks the engine until the disk has space for what it is asked for, and the log until there is a file descriptor to read it.
 *
 * A node that gave up on a full disk (`STATE_FULL`) would take its groups with it, and what gives space back is settling,
 * which has to be applied as well. Going on with the next batch is no answer either: machines are ahead of the engine by
 * the one that waits. So the question stands, and is asked again with every `retry`; who asked stands still meanwhile. A
 * node that stops does not wait: what it gives up the log has for the next start.
 */
export class SpaceWait {
  readonly #logger: Logger;
  /** Set while a question waits for space; called to ask it again. */
  #held: { ask(): void; shortage: Shortage | undefined } | undefined;
  #isOver = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** What holds a question back. */
  get shortage(): Shortage | undefined {
    return this.#held?.shortage;
  }

  retry(): void {
    this.#held?.ask();
  }

  /** What waits is asked once more, then given up. */
  end(): void {
    this.#isOver = true;
    this.#held?.ask();
  }

  /** The question was given up because the node stops: no failure of it. */
  gaveUp(cause: unknown): boolean {
    return this.#isOver && shortageOf(cause) !== undefined;
  }

  /** Each batch asks a few times, whatever the number of its entries. */
  async patiently(ask: () => Promise<void>): Promise<void> {
    let waited = false;
    await whenRoom(ask, async (cause) => {
      if (this.#isOver) throw cause;
      if (!waited) this.#logger.error({ err: cause }, 'applying waits until there is space, and a file descriptor');
      waited = true;
      await new Promise<void>((resolve) => {
        this.#held = { ask: resolve, shortage: shortageOf(cause) };
      });
      this.#held = undefined;
    });
    if (waited) this.#logger.info({}, 'what applying waited for is there: it goes on');
  }
}
