import { pause } from '../../faults/kill-rounds.ts';
import type { ClusterUnderTest } from '../cluster-under-test.ts';
import { ExactClient, type ExactClientOptions } from '../exact-client.ts';
import { areReady, isReached, type KindVerdict, reached, targetsOf, type UpgradeKind } from './upgrade-kind.ts';

const PACE_MS = 50;
/** Messages that each of those that stay has before anybody leaves. */
const FLOWING = 20;
const FILTER = 'kept/#';
/** Of the session that is meant to expire. */
const EXPIRY_S = 2;

const PUBLISHERS = [
  { version: 5, qos: 2 },
  { version: 4, qos: 2 },
  { version: 5, qos: 1 },
] as const;
const SUBSCRIBERS = [...PUBLISHERS, { version: 4, qos: 1 }] as const;

/**
 * Sessions that outlive their connections: subscribers at QoS 1 and 2 that stay, that are away for a step, and that are
 * away from the first step to the last, while publishers at QoS 1 and 2 go on. What was published is with each of them in
 * the end; what was published at QoS 2 is with those of QoS 2 once, and in its publisher's order. A session that expired is
 * gone.
 */
export class KeptSessions implements UpgradeKind {
  readonly name = 'kept sessions';
  readonly #cluster: ClusterUnderTest;
  readonly #publishers: ExactClient[] = [];
  readonly #staying: ExactClient[] = [];
  readonly #longAway: ExactClient[] = [];
  /** In turn away for a step. */
  readonly #coming: ExactClient[] = [];
  #expiring: ExactClient | undefined;
  readonly #published = new Map<string, number>();
  #away: ExactClient | undefined;
  #isOver = false;
  #publishing: Promise<void> = Promise.resolve();

  constructor(cluster: ClusterUnderTest) {
    this.#cluster = cluster;
  }

  async begin(): Promise<void> {
    for (const [n, { version, qos }] of SUBSCRIBERS.entries()) {
      this.#staying.push(this.#subscriber(`stays-${n}`, { version, qos, first: n }));
      this.#coming.push(this.#subscriber(`comes-${n}`, { version, qos, first: n + 1 }));
      this.#longAway.push(this.#subscriber(`away-${n}`, { version, qos, first: n + 2 }));
    }
    this.#expiring = this.#subscriber('expires', { version: 5, qos: 2, expiryS: EXPIRY_S, first: 1 });
    await areReady([...this.#subscribers(), this.#expiring]);
    for (const [n, { version, qos }] of PUBLISHERS.entries()) {
      const targets = targetsOf(this.#cluster);
      this.#publishers.push(new ExactClient(`keeps-${n}`, { version, qos, targets, first: n }));
    }
    await areReady(this.#publishers);
    this.#publishing = this.#publish();
    await reached(
      () => `messages to flow, of which came ${this.#staying.map(({ received }) => received.length)}`,
      () => this.#staying.every(({ received }) => received.length > FLOWING),
    );
    for (const [n, client] of this.#longAway.entries()) {
      if (n % 2 === 0) client.leave();
      else client.cutAway();
    }
  }

  async afterStep(step: number): Promise<void> {
    this.#away?.comeBack();
    if (step === 0) this.#expiring?.leave();
    const next = this.#coming[step % this.#coming.length] as ExactClient;
    await areReady(this.#coming);
    if (step % 2 === 0) next.leave();
    else next.cutAway();
    this.#away = next;
  }

  async end(): Promise<KindVerdict> {
    for (const client of [...this.#longAway, this.#expiring, this.#away]) client?.comeBack();
    await areReady([...this.#subscribers(), this.#expiring as ExactClient]);
    this.#isOver = true;
    await this.#publishing;
    await reached('the publishers of kept sessions to be answered', () =>
      this.#publishers.every(({ unfinished }) => unfinished === 0),
    );
    const distinct = ({ received }: ExactClient): number => new Set(received).size;
    await isReached(() => this.#subscribers().every((client) => distinct(client) >= this.#published.size));
    // Long enough for a second copy of the last ones to come.
    await pause(1_000);
    const wrong = [...this.#subscribers(), ...this.#publishers, this.#expiring as ExactClient].flatMap(
      ({ violations }) => violations,
    );
    if (this.#expiring?.wasPresent === true) wrong.push('a session that had expired was there');
    for (const client of this.#subscribers()) wrong.push(...this.#wrongWith(client));
    const resumed = [...this.#subscribers(), ...this.#publishers].reduce((sum, client) => sum + client.resumed, 0);
    return {
      did: `${this.#published.size} messages for ${this.#subscribers().length} sessions, ${resumed} exchanges resumed`,
      wrong,
    };
  }

  stop(): void {
    this.#isOver = true;
    for (const client of [...this.#publishers, ...this.#subscribers()]) client.stop();
    this.#expiring?.stop();
  }

  #subscriber(
    clientId: string,
    options: Pick<ExactClientOptions, 'version' | 'first'> & { qos: 1 | 2; expiryS?: number },
  ): ExactClient {
    const isOnce = (text: string): boolean => this.#published.get(text) === 2;
    return new ExactClient(clientId, { ...options, isOnce, filter: FILTER, targets: targetsOf(this.#cluster) });
  }

  #subscribers(): ExactClient[] {
    return [...this.#staying, ...this.#coming, ...this.#longAway];
  }

  async #publish(): Promise<void> {
    let number = 0;
    while (!this.#isOver) {
      number++;
      for (const [n, publisher] of this.#publishers.entries()) {
        if (!publisher.hasRoom) continue;
        const text = `${n}:${number}`;
        this.#published.set(text, publisher.qos);
        publisher.publish(`kept/${n}`, text);
      }
      await pause(PACE_MS);
    }
  }

  #wrongWith({ clientId, qos, received }: ExactClient): string[] {
    const seen = new Set<string>();
    const last = new Map<string, number>();
    let disordered = 0;
    for (const text of received) {
      const [publisher, number] = text.split(':') as [string, string];
      if (seen.has(text)) continue;
      seen.add(text);
      if (Number(number) < (last.get(publisher) ?? 0)) disordered++;
      else last.set(publisher, Number(number));
    }
    const again = qos === 2 ? repeatedOf(received, (text) => this.#published.get(text) === 2) : [];
    const missing = [...this.#published.keys()].filter((text) => !seen.has(text));
    const invented = [...seen].filter((text) => !this.#published.has(text));
    const found: string[] = [];
    if (missing.length > 0) found.push(`${missing.length} lost: ${missing.slice(0, 5)}`);
    if (invented.length > 0) found.push(`${invented.length} invented: ${invented.slice(0, 5)}`);
    if (again.length > 0) found.push(`${again.length} more than once: ${again.slice(0, 5)}`);
    if (disordered > 0) found.push(`${disordered} out of order`);
    return found.map((what) => `${clientId} (QoS ${qos}): ${what}`);
  }
}

function repeatedOf(received: readonly string[], counts: (text: string) => boolean): string[] {
  const seen = new Set<string>();
  return received.filter((text) => {
    const isAgain = counts(text) && seen.has(text);
    seen.add(text);
    return isAgain;
  });
}
