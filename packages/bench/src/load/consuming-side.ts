import type { ConsumingLink, Driver } from './driver.ts';
import { Inbox } from './inbox.ts';
import { LatencySketch } from './latency-sketch.ts';
import type { ConsumersPlan, LoadAccounts, LoadLook } from './load-plan.ts';
import { nowUs } from './monotonic-clock.ts';
import { AudienceLedger, LatestLedger } from './sequence-ledger.ts';

const TICK_MS = 1;
/** Often enough that publishers at 100,000 messages a second do not stand still for the news. */
const NEWS_MS = 2;

/** All consumers of one process. */
export class ConsumingSide {
  readonly #ledgers = new Map<number, AudienceLedger>();
  readonly #latest: LatestLedger | undefined;
  readonly #sketch = new LatencySketch();
  readonly #inboxes: Inbox[] = [];
  readonly #links: ConsumingLink[] = [];
  #isClosing = false;
  #news: NodeJS.Timeout | undefined;
  #work: NodeJS.Timeout | undefined;

  private constructor(plan: ConsumersPlan) {
    this.#latest = plan.latestKeys > 0 ? new LatestLedger(plan.latestKeys) : undefined;
  }

  /** `onConsumed` is told how far the slowest audience has come. */
  static async connect(
    plan: ConsumersPlan,
    driver: Driver,
    onConsumed: (messages: number) => void,
    onEnd: (error: Error) => void,
  ): Promise<ConsumingSide> {
    const side = new ConsumingSide(plan);
    for (const link of plan.links) {
      const { run, orderedKeys } = plan;
      const options = { run, workMs: link.workMs, orderedKeys };
      const inbox = new Inbox(options, side.#ledgerOf(link.audience), side.#sketch, side.#latest);
      side.#inboxes.push(inbox);
      side.#links.push(
        await driver.consumer(link, inbox, (error) => {
          if (!side.#isClosing) onEnd(error);
        }),
      );
    }
    let told = 0;
    side.#news = setInterval(() => {
      const consumed = side.#reached;
      if (consumed === told) return;
      told = consumed;
      onConsumed(consumed);
    }, NEWS_MS);
    if (plan.links.some(({ workMs }) => workMs > 0)) {
      side.#work = setInterval(() => {
        for (const inbox of side.#inboxes) inbox.tick();
      }, TICK_MS);
    }
    return side;
  }

  get #reached(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const ledger of this.#ledgers.values()) least = Math.min(least, ledger.reached);
    return least;
  }

  look(): LoadLook {
    let received = 0;
    for (const ledger of this.#ledgers.values()) received += ledger.distinct;
    const latencies = this.#sketch.counts.slice();
    this.#sketch.clear();
    const { user, system } = process.cpuUsage();
    return {
      atUs: nowUs(),
      cpuUs: user + system,
      sent: 0,
      acknowledged: 0,
      refused: 0,
      received,
      receivedBy: this.#inboxes.map((inbox) => inbox.received),
      latencies,
      isDone: false,
    };
  }

  accounts(): LoadAccounts {
    return {
      publishers: [],
      audiences: [...this.#ledgers.values()].map((ledger) => ledger.account()),
      latest: this.#latest === undefined ? [] : [this.#latest.account()],
    };
  }

  async end(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#news);
    clearInterval(this.#work);
    await Promise.all(this.#links.map((link) => link.close()));
  }

  #ledgerOf(audience: number): AudienceLedger {
    const known = this.#ledgers.get(audience);
    if (known !== undefined) return known;
    const ledger = new AudienceLedger(audience);
    this.#ledgers.set(audience, ledger);
    return ledger;
  }
}
