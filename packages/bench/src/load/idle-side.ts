import type { Driver, IdleLink } from './driver.ts';
import type { IdlersPlan, LoadAccounts, LoadLook } from './load-plan.ts';
import { nowUs } from './monotonic-clock.ts';

/** Connected at the same time; a listener's queue of waiting connections is 511 in Node.js and often 128 elsewhere. */
const AT_ONCE = 64;

/** Connections that do nothing, all in one process. */
export class IdleSide {
  readonly #links: IdleLink[];

  private constructor(links: IdleLink[]) {
    this.#links = links;
  }

  static async connect(plan: IdlersPlan, driver: Driver): Promise<IdleSide> {
    const links: IdleLink[] = [];
    for (let from = 0; from < plan.links.length; from += AT_ONCE) {
      const some = plan.links.slice(from, from + AT_ONCE);
      links.push(...(await Promise.all(some.map((link) => driver.idler(link)))));
    }
    return new IdleSide(links);
  }

  look(): LoadLook {
    const { user, system } = process.cpuUsage();
    return {
      atUs: nowUs(),
      cpuUs: user + system,
      sent: 0,
      acknowledged: 0,
      refused: 0,
      received: 0,
      receivedBy: [],
      latencies: new Float64Array(0),
      isDone: true,
    };
  }

  accounts(): LoadAccounts {
    return { publishers: [], audiences: [], latest: [] };
  }

  async end(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }
}
