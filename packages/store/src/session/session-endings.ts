import type { Logger } from '@sluice/common/logger';
import { allows } from '@sluice/meta/feature-levels';
import type { Topology } from '@sluice/meta/topology';
import type { CloseCommand, ExpireCommand, OpenCommand } from '@sluice/queue/session/commands';
import type { Partition } from '../partition/partition.ts';
import type { Turnstile } from '../read/turnstile.ts';

/**
 * Sessions of one partition that are over and not taken apart yet, on its leader: a portion an entry, until none is left.
 * All at once would be the turn that portions are there to avoid; so one is under way at a time, over all partitions of the
 * node. What is left when leadership ends is in the log, and the next leader goes on.
 */
export class SessionEndings {
  readonly #partition: Partition;
  readonly #turnstile: Turnstile;
  readonly #logger: Logger;
  readonly #topology: Pick<Topology, 'featureLevel'>;
  #isUnderWay = false;

  constructor(partition: Partition, turnstile: Turnstile, logger: Logger, topology: Pick<Topology, 'featureLevel'>) {
    this.#partition = partition;
    this.#turnstile = turnstile;
    this.#logger = logger;
    this.#topology = topology;
  }

  /**
   * The command as this leader proposes it, of all those that may end a session: nobody else decides how. Until
   * every node knows of portions a session ends with the entry that ends it, and so does one of an open without a ticket,
   * of a gateway of an older release, which has no form that says otherwise. What was begun in portions is brought to its end
   * either way.
   */
  of<T extends OpenCommand | CloseCommand | ExpireCommand>(command: T): T {
    const isKnown = command.type !== 'open-session' || command.ticket !== undefined;
    if (isKnown && allows(this.#topology.featureLevel, 'session-ends-in-portions')) command.endsInPortions = true;
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
