/**
 * What the clients of a broker saw, whatever the broker believes: every publish with what became of it, every delivery
 * with what it carried, every fault that was made. The checker judges from this alone.
 */
export class History {
  readonly queues: readonly QueueUnderTest[];
  readonly published = new Map<string, Published>();
  readonly deliveries: Delivery[] = [];
  readonly faults: Fault[] = [];
  /** Moments at which the broker's figures said that every queue was empty: what was there is settled for good. */
  readonly drainsMs: number[] = [];
  /** When each publisher was last told that something is stored. */
  readonly lastOkMs = new Map<string, number>();

  constructor(queues: readonly QueueUnderTest[]) {
    this.queues = queues;
  }

  /** A client is asked to publish; nothing is known yet. */
  invoke(id: string, publish: Omit<Published, 'sends' | 'outcome' | 'sentAtMs' | 'answeredAtMs'>): void {
    if (this.published.has(id)) throw new Error(`the id ${id} was used twice: the test is wrong`);
    this.published.set(id, { ...publish, sends: 0, outcome: 'unknown', sentAtMs: undefined, answeredAtMs: undefined });
  }

  /** It went out, for the first time or again. */
  sent(id: string, atMs = performance.now()): void {
    const published = this.published.get(id);
    if (published === undefined) return;
    published.sends++;
    published.sentAtMs ??= atMs;
  }

  /** PUBACK or PUBREC with success: the broker promised to keep it. */
  ok(id: string, atMs = performance.now()): void {
    const published = this.published.get(id);
    if (published === undefined) return;
    published.outcome = 'ok';
    published.answeredAtMs ??= atMs;
    if (published.publisher !== undefined) this.lastOkMs.set(published.publisher, atMs);
  }

  /** Refused by a reason code, or by an end of the connection that nothing was sent on again. It may be stored still. */
  fail(id: string, atMs = performance.now()): void {
    const published = this.published.get(id);
    if (published === undefined || published.outcome !== 'unknown') return;
    published.outcome = 'fail';
    published.answeredAtMs ??= atMs;
  }

  /** Returns the delivery, to note its acknowledgement in. */
  delivered(delivery: Omit<Delivery, 'acceptedAtMs'>): Delivery {
    const noted: Delivery = { ...delivery, acceptedAtMs: undefined };
    this.deliveries.push(noted);
    return noted;
  }

  get acknowledged(): number {
    let count = 0;
    for (const { outcome } of this.published.values()) if (outcome === 'ok') count++;
    return count;
  }
}

export interface QueueUnderTest {
  name: string;
  isLastValue: boolean;
  takes(topic: string): boolean;
  /**
   * What is known of the order in which it delivers: `stored`, one consumer that came after all faults were over, so
   * that it sees the order of the log; `consumer`, each consumer sees the messages of one publisher in order, faults aside.
   */
  order?: 'stored' | 'consumer';
}

export interface Published {
  topic: string;
  /** Of the payload. */
  hash: string;
  /** Of a last-value queue, with the place of this value among those of its key. */
  key?: string;
  sequence?: number;
  /** How often it was written to a socket: a client that got no answer sends it again. */
  sends: number;
  outcome: 'ok' | 'fail' | 'unknown';
  /** Who published it as its how manieth, where order is judged. */
  publisher?: string;
  place?: number;
  /** First. */
  sentAtMs: number | undefined;
  answeredAtMs: number | undefined;
}

export interface Delivery {
  queue: string;
  consumer: string;
  id: string;
  topic: string;
  hash: string;
  atMs: number;
  /** As the broker told; 1 when it said nothing. */
  count?: number;
  /** When its PUBACK left the client. */
  acceptedAtMs: number | undefined;
}

/** From the moment it was made until clients could work again. */
export interface Fault {
  kind: string;
  /** Of what touches the consumers of one queue only: one of them lost its connection. */
  queue?: string;
  fromMs: number;
  toMs: number;
}
