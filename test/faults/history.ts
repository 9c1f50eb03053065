/**
 * What the clients of a broker saw, whatever the broker believes: every publish with what became of it, every delivery
 * with what it carried, every fault that was made. The checker judges from this alone.
 */
export class History {
  readonly queues: readonly QueueUnderTest[];
  readonly published = new Map<string, Published>();
  readonly deliveries: Delivery[] = [];
  readonly faults: Fault[] = [];

  constructor(queues: readonly QueueUnderTest[]) {
    this.queues = queues;
  }

  /** A client is asked to publish; nothing is known yet. */
  invoke(id: string, publish: { topic: string; hash: string; key?: string; sequence?: number }): void {
    if (this.published.has(id)) throw new Error(`the id ${id} was used twice: the test is wrong`);
    this.published.set(id, { ...publish, sends: 0, outcome: 'unknown' });
  }

  /** It went out, for the first time or again. */
  sent(id: string): void {
    const published = this.published.get(id);
    if (published !== undefined) published.sends++;
  }

  /** PUBACK or PUBREC with success: the broker promised to keep it. */
  ok(id: string): void {
    const published = this.published.get(id);
    if (published !== undefined) published.outcome = 'ok';
  }

  /** Refused by a reason code, or by an end of the connection that nothing was sent on again. It may be stored still. */
  fail(id: string): void {
    const published = this.published.get(id);
    if (published !== undefined && published.outcome === 'unknown') published.outcome = 'fail';
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
}

export interface Delivery {
  queue: string;
  consumer: string;
  id: string;
  topic: string;
  hash: string;
  atMs: number;
  /** When its PUBACK left the client. */
  acceptedAtMs: number | undefined;
}

/** From the moment it was made until clients could work again. */
export interface Fault {
  kind: string;
  fromMs: number;
  toMs: number;
}
