import { LatencySketch } from './latency-sketch.ts';
import { LoadMember } from './load-member.ts';
import type { ConsumersPlan, LoadAccounts, LoadLook, PublishersPlan } from './load-plan.ts';
import { judgeLatest, judgeSequences, type SequenceVerdict } from './sequence-verdict.ts';

/** Both sides at one moment; latencies are those since the moment before. */
export interface FleetLook {
  atUs: number;
  cpuUs: number;
  /** By process. */
  cpuUsBy: number[];
  sent: number;
  acknowledged: number;
  refused: number;
  received: number;
  receivedBy: number[];
  endToEnd: LatencySketch;
  publishing: LatencySketch;
  isDone: boolean;
}

const POLL_MS = 50;
/** Of a drain that moves, but not to its end. */
const DRAIN_MS_MAX = 120_000;

/** The publishers and the consumers of one measurement, each side in a process of its own. */
export class LoadFleet {
  readonly #publishers: LoadMember;
  #consumers: LoadMember | undefined;
  readonly #latestKeys: number;
  /** Sides are asked one question at a time. */
  #busy: Promise<unknown> = Promise.resolve();

  private constructor(publishers: LoadMember, consumers: LoadMember | undefined, latestKeys: number) {
    this.#publishers = publishers;
    this.#consumers = consumers;
    this.#latestKeys = latestKeys;
  }

  /** Consumers first: what is published before somebody subscribes is lost to plain subscribers. */
  static async start(publishing: PublishersPlan, consuming: ConsumersPlan | undefined): Promise<LoadFleet> {
    let tell = (_messages: number): void => {};
    const consumers =
      consuming === undefined ? undefined : await LoadMember.start(consuming, (messages) => tell(messages));
    try {
      const publishers = await LoadMember.start(publishing);
      tell = (messages) => publishers.tell({ do: 'consumed', messages });
      return new LoadFleet(publishers, consumers, consuming?.latestKeys ?? 0);
    } catch (error) {
      await consumers?.end();
      throw error;
    }
  }

  /** Consumers that come later. */
  async consume(plan: ConsumersPlan): Promise<void> {
    this.#consumers = await LoadMember.start(plan, (messages) => this.#publishers.tell({ do: 'consumed', messages }));
  }

  /** Publishing begins; a rate given here wins over the plan's. */
  open(perSecond?: number): void {
    this.#publishers.tell(perSecond === undefined ? { do: 'open' } : { do: 'open', perSecond });
  }

  /** Another rate of each publisher, and another bound on the backlog. */
  change(perSecond: number, backlogMax: number): void {
    this.#publishers.tell({ do: 'change', perSecond, backlogMax });
  }

  async look(): Promise<FleetLook> {
    return await this.#alone(async () => {
      const [publishing, consuming] = await Promise.all([this.#publishers.look(), this.#consumers?.look()]);
      return together(publishing, consuming);
    });
  }

  /** Publishes no more. */
  async close(): Promise<void> {
    await this.#alone(() => this.#publishers.close());
  }

  /** Until everything sent has an answer and everything acknowledged has come, or nothing moves for `stillMs`. */
  async drained(
    audiences: number,
    stillMs: number,
    withinMs = DRAIN_MS_MAX,
    looked?: (look: FleetLook, awaited: number) => void,
  ): Promise<FleetLook> {
    let before = -1;
    const startedMs = performance.now();
    let movedMs = startedMs;
    for (;;) {
      const look = await this.look();
      const isAnswered = look.acknowledged + look.refused >= look.sent;
      if (isAnswered && (this.#consumers === undefined || look.received >= look.acknowledged * audiences)) return look;
      looked?.(look, look.acknowledged * audiences);
      const moved = look.received + look.acknowledged;
      if (moved !== before) {
        before = moved;
        movedMs = performance.now();
      } else if (performance.now() - movedMs > stillMs) return look;
      if (performance.now() - startedMs > withinMs) return look;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async verdict(): Promise<SequenceVerdict> {
    const sides = await this.#alone(async () => {
      return await Promise.all([this.#publishers.accounts(), this.#consumers?.accounts()]);
    });
    const accounts = sides.filter((side): side is LoadAccounts => side !== undefined);
    const publishers = accounts.flatMap((side) => side.publishers);
    if (this.#latestKeys > 0) {
      return judgeLatest(
        this.#latestKeys,
        publishers,
        accounts.flatMap((side) => side.latest),
      );
    }
    return judgeSequences(
      publishers,
      accounts.flatMap((side) => side.audiences),
    );
  }

  async end(): Promise<void> {
    await this.#busy.catch(() => {});
    await Promise.all([this.#publishers.end(), this.#consumers?.end()]);
  }

  #alone<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#busy.catch(() => {}).then(run);
    this.#busy = result;
    return result;
  }
}

function together(publishing: LoadLook, consuming: LoadLook | undefined): FleetLook {
  return {
    atUs: Math.max(publishing.atUs, consuming?.atUs ?? 0),
    cpuUs: publishing.cpuUs + (consuming?.cpuUs ?? 0),
    cpuUsBy: [publishing.cpuUs, consuming?.cpuUs ?? 0],
    sent: publishing.sent,
    acknowledged: publishing.acknowledged,
    refused: publishing.refused,
    received: consuming?.received ?? 0,
    receivedBy: consuming?.receivedBy ?? [],
    endToEnd: consuming === undefined ? new LatencySketch() : new LatencySketch(consuming.latencies),
    publishing: new LatencySketch(publishing.latencies),
    isDone: publishing.isDone,
  };
}
