import type { Logger } from '@sluice/common/logger';
import type { CloseCommand, ExpireCommand, OpenCommand } from '@sluice/queue/session/commands';
import type { Partition } from '../partition.ts';
import type { Turnstile } from '../turnstile.ts';

/**
 * Sessions of one partition that are over and not taken apart yet, on its leader: a portion an entry, until none is left.
 * All at once would be the turn that portions are there to avoid; so one is under way at a time, over all partitions of the
 * node. What is left when leadership ends is in the log, and the next leader goes on.
 */
export class SessionEndings {
  readonly #partition: Partition;
  readonly #turnstile: Turnstile;
  readonly #logger: Logger;
  #isUnderWay = false;

  /** Whether sessions end in portions, which machines know from version 9 on; else with the entry that ends them. */
  static readonly IN_PORTIONS: boolean = true;

  constructor(partition: Partition, turnstile: Turnstile, logger: Logger) {
    this.#partition = partition;
    this.#turnstile = turnstile;
    this.#logger = logger;
  }

  /**
   * The command as this leader proposes it, of all those that may end a session: nobody else decides how. An open without a
   * ticket, of a gateway of an older release, has no form that says so. What was begun in portions is brought to its end
   * either way.
   */
  of<T extends OpenCommand | CloseCommand | ExpireCommand>(command: T): T {
    const isKnown = command.type !== 'open-session' || command.ticket !== undefined;
    if (SessionEndings.IN_PORTIONS && isKnown) command.endsInPortions = true;
    return command;
  }

  /** Called when there may be some, any number of times. */
  wake(): void {
    if (this.#isUnderWay || !this.#partition.leads || this.#partition.machine.sessions.endings.count === 0) return;
    this.#isUnderWay = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    try {
      // Whatever was not taken, by a leader that is none any more or a log that takes nothing, the next tick looks again.
      while (await this.#turnstile.pass(() => this.#step()));
    } catch (cause) {
      this.#logger.error({ err: cause, partition: this.#partition.groupId }, 'a session cannot be taken apart');
    } finally {
      this.#isUnderWay = false;
    }
  }

  /** True: there may be more. */
  async #step(): Promise<boolean> {
    if (!this.#partition.leads) return false;
    const portion = this.#partition.machine.sessions.endings.next();
    if (portion === undefined) return false;
    return (await this.#partition.execute({ type: 'end-portion', ...portion })) !== undefined;
  }
}
