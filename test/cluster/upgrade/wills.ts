import { pause } from '../../faults/kill-rounds.ts';
import type { ClusterUnderTest } from '../cluster-under-test.ts';
import { ExactClient, type ExactClientOptions, type Loss } from '../exact-client.ts';
import { areReady, isReached, type KindVerdict, reached, targetsOf, type UpgradeKind } from './upgrade-kind.ts';

/** Of those who do not come back: over before the next node is replaced, or while it is. */
const SHORT_S = 4;
/** Of those who come back: never over in a run. */
const LONG_S = 36_000;
const LONG_EXPIRY_S = 72_000;

/**
 * Wills at their lost connections: at once, after a delay that is over while nodes are replaced, and after one that is not,
 * whose client is back at once, in the end, or says farewell. Each that is due comes once, to a subscriber at QoS 2
 * whose session is kept; no other comes.
 */
export class Wills implements UpgradeKind {
  readonly name = 'wills';
  readonly #cluster: ClusterUnderTest;
  readonly #witness: ExactClient;
  /** Cut at each step, and back at once. */
  readonly #prompt: ExactClient[] = [];
  readonly #patient: ExactClient[] = [];
  /** One is cut at each step, and does not come back. */
  readonly #gone: ExactClient[] = [];
  readonly #going: ExactClient[] = [];
  /** Away from the first step to the last. */
  #longAway: ExactClient | undefined;
  #polite: ExactClient | undefined;

  constructor(cluster: ClusterUnderTest) {
    this.#cluster = cluster;
    const targets = targetsOf(cluster);
    this.#witness = new ExactClient('witness', { version: 5, targets, filter: 'lost/#', first: 0 });
  }

  async begin(): Promise<void> {
    await areReady([this.#witness]);
    const delayed = { version: 5, willDelayS: LONG_S, expiryS: LONG_EXPIRY_S } as const;
    for (let n = 0; n < 2; n++) {
      this.#prompt.push(this.#mortal(`prompt-${n}`, { version: n === 0 ? 4 : 5, first: n }));
      this.#patient.push(this.#mortal(`patient-${n}`, { ...delayed, first: n }));
    }
    this.#longAway = this.#mortal('long-away', { ...delayed, first: 1 });
    this.#polite = this.#mortal('polite', { ...delayed, first: 2 });
    await areReady([...this.#prompt, ...this.#patient, this.#longAway, this.#polite]);
    this.#longAway.cutAway();
    this.#polite.leave();
    await this.#replaceGoing();
  }

  async afterStep(): Promise<void> {
    for (const client of [...this.#prompt, ...this.#patient]) client.cut();
    await reached('clients to notice that they were cut', () =>
      [...this.#prompt, ...this.#patient].every(({ losses }) => losses.at(-1)?.backMs !== undefined),
    );
    await this.#replaceGoing();
  }

  async end(): Promise<KindVerdict> {
    this.#longAway?.comeBack();
    await areReady([...this.#prompt, ...this.#patient, this.#longAway as ExactClient, this.#witness]);
    for (const client of this.#going.splice(0)) this.#depart(client);
    const due = [
      ...this.#prompt.flatMap(({ wills }) => wills),
      ...this.#gone.flatMap(({ losses }) => losses.filter(isFinal).map(({ will }) => will)),
    ];
    await isReached(() => due.every((will) => this.#witness.received.includes(will)));
    // Long enough for a second copy of the last ones to come.
    await pause(1_000);
    const { received } = this.#witness;
    const missing = due.filter((will) => !received.includes(will));
    const twice = received.filter((will, n) => received.indexOf(will) !== n);
    const wrongly = received.filter((will) => /^(patient|long-away|polite)/.test(will));
    const wrong = [...this.#witness.violations, ...this.#all().flatMap(({ violations }) => violations)];
    if (missing.length > 0) wrong.push(`${missing.length} wills did not come: ${missing.slice(0, 5)}`);
    if (twice.length > 0) wrong.push(`${twice.length} wills came twice: ${twice.slice(0, 5)}`);
    if (wrongly.length > 0) wrong.push(`wills came whose delay was not over: ${wrongly.slice(0, 5)}`);
    const saved = this.#patient.reduce((sum, { losses }) => sum + losses.length, 0) + 2;
    return { did: `${due.length} wills were due, ${saved} were not`, wrong };
  }

  stop(): void {
    for (const client of [this.#witness, ...this.#all()]) client.stop();
  }

  #all(): ExactClient[] {
    const others = [this.#longAway, this.#polite].filter((client) => client !== undefined);
    return [...this.#prompt, ...this.#patient, ...this.#gone, ...this.#going, ...others];
  }

  #mortal(clientId: string, options: Omit<ExactClientOptions, 'targets'>): ExactClient {
    return new ExactClient(clientId, { ...options, targets: targetsOf(this.#cluster), willTopic: `lost/${clientId}` });
  }

  /** Those who were to go go, while the next node is replaced; others come for the step after. */
  async #replaceGoing(): Promise<void> {
    for (const client of this.#going.splice(0)) this.#depart(client);
    const n = this.#gone.length;
    const options = { version: 5, willDelayS: SHORT_S, expiryS: LONG_EXPIRY_S, first: n } as const;
    const client = this.#mortal(`goes-${n}`, options);
    this.#going.push(client);
    await areReady([client]);
  }

  #depart(client: ExactClient): void {
    client.cutAway();
    this.#gone.push(client);
  }
}

/** It did not come back. */
function isFinal({ backMs }: Loss): boolean {
  return backMs === undefined;
}
