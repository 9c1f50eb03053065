import type { Driver, PublishingLink } from './driver.ts';
import { LatencySketch } from './latency-sketch.ts';
import type { LoadAccounts, LoadLook, PublishersPlan } from './load-plan.ts';
import { nowUs } from './monotonic-clock.ts';
import { type Allowance, Outbox } from './outbox.ts';

const TICK_MS = 1;

/** All publishers of one process. One timer looks after what is due; everything else is driven by answers. */
export class PublishingSide {
  readonly #plan: PublishersPlan;
  readonly #allowance: Allowance;
  readonly #outboxes: Outbox[] = [];
  readonly #links: PublishingLink[] = [];
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #isClosing = false;
  #backlogMax: number;
  #consumed = 0;

  private constructor(plan: PublishersPlan) {
    this.#plan = plan;
    this.#backlogMax = plan.backlogMax;
    this.#allowance = { left: plan.backlogMax === 0 ? Number.POSITIVE_INFINITY : plan.backlogMax };
  }

  static async connect(plan: PublishersPlan, driver: Driver, onEnd: (error: Error) => void): Promise<PublishingSide> {
    const side = new PublishingSide(plan);
    for (const [publisher, link] of plan.links.entries()) {
      const { run, window, messagesMax, keys } = plan;
      const outbox = new Outbox({ run, publisher, window, messagesMax, keys }, side.#allowance);
      side.#outboxes.push(outbox);
      side.#links.push(
        await driver.publisher(link, outbox, (error) => {
          if (!side.#isClosing) onEnd(error);
        }),
      );
    }
    return side;
  }

  open(perSecond = this.#plan.perSecond): void {
    for (const [i, outbox] of this.#outboxes.entries()) {
      const link = this.#links[i] as PublishingLink;
      outbox.open(
        (count) => link.send(count),
        () => link.isWritable,
        perSecond,
      );
    }
    this.#timer ??= setInterval(() => this.#pump(), TICK_MS);
  }

  /** Another rate, and another bound on what is published and not consumed. */
  change(perSecond: number, backlogMax: number): void {
    this.#backlogMax = backlogMax;
    if (backlogMax === 0) this.#allowance.left = Number.POSITIVE_INFINITY;
    for (const outbox of this.#outboxes) outbox.setRate(perSecond);
    this.consumed(this.#consumed);
  }

  /** So many different messages have come to everybody who is to get them. */
  consumed(messages: number): void {
    this.#consumed = messages;
    if (this.#backlogMax === 0) return;
    let sent = 0;
    for (const outbox of this.#outboxes) sent += outbox.sent - outbox.refusedCount;
    this.#allowance.left = this.#backlogMax - (sent - messages);
    this.#pump();
  }

  /** Publishes no more; what is unanswered may still be answered. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const outbox of this.#outboxes) outbox.close();
  }

  look(): LoadLook {
    const latencies = new LatencySketch();
    let [sent, acknowledged, refused] = [0, 0, 0];
    for (const outbox of this.#outboxes) {
      sent += outbox.sent;
      acknowledged += outbox.acknowledgedCount;
      refused += outbox.refusedCount;
      latencies.merge(outbox.sketch);
      outbox.sketch.clear();
    }
    const { user, system } = process.cpuUsage();
    const isDone = this.#outboxes.every((outbox) => outbox.isDone && outbox.unanswered === 0);
    return {
      atUs: nowUs(),
      cpuUs: user + system,
      sent,
      acknowledged,
      refused,
      received: 0,
      receivedBy: [],
      latencies: latencies.counts,
      isDone,
    };
  }

  accounts(): LoadAccounts {
    return { publishers: this.#outboxes.map((outbox) => outbox.account()), audiences: [], latest: [] };
  }

  async end(): Promise<void> {
    this.#isClosing = true;
    this.close();
    if (this.#soon !== undefined) clearImmediate(this.#soon);
    await Promise.all(this.#links.map((link) => link.close()));
  }

  #pump(): void {
    let isMore = false;
    for (const outbox of this.#outboxes) if (outbox.pump()) isMore = true;
    // Without acknowledgements nothing else would drive it; sockets are read and written in between.
    if (isMore && this.#soon === undefined) {
      this.#soon = setImmediate(() => {
        this.#soon = undefined;
        this.#pump();
      });
    }
  }
}
