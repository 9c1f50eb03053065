import { Violation } from '../simulation.ts';

/**
 * What consensus promises of one group, checked as it happens: one leader a term; one command at an index, whoever
 * applies it and however often; one state after it.
 */
export class ConsensusCheck {
  readonly #groupId: number;
  readonly #leaders = new Map<number, number>();
  readonly #applied = new Map<number, { commandHash: number; stateHash: number; by: string }>();
  readonly #memberships = new Map<number, string>();
  highestIndex = 0;
  highestTerm = 0;

  constructor(groupId: number) {
    this.#groupId = groupId;
  }

  leads(term: number, nodeId: number): void {
    this.highestTerm = Math.max(this.highestTerm, term);
    const known = this.#leaders.get(term);
    if (known === undefined) this.#leaders.set(term, nodeId);
    else if (known !== nodeId) {
      throw new Violation('one leader a term', `group ${this.#groupId}: ${known} and ${nodeId} lead in term ${term}`);
    }
  }

  applied(by: string, index: number, commandHash: number, stateHash: number): void {
    const known = this.#applied.get(index);
    if (known === undefined) {
      this.#applied.set(index, { commandHash, stateHash, by });
      this.highestIndex = Math.max(this.highestIndex, index);
      return;
    }
    if (known.commandHash !== commandHash) {
      throw new Violation('log matching', `group ${this.#groupId}: ${by} and ${known.by} applied different ${index}`);
    }
    if (known.stateHash !== stateHash) {
      throw new Violation(
        'replica agreement',
        `group ${this.#groupId}: ${by} is not where ${known.by} was at ${index}`,
      );
    }
  }

  membership(by: string, index: number, voters: string): void {
    const known = this.#memberships.get(index);
    if (known === undefined) this.#memberships.set(index, voters);
    else if (known !== voters) {
      throw new Violation('log matching', `group ${this.#groupId}: ${by} has another membership at ${index}`);
    }
  }

  get terms(): number {
    return this.#leaders.size;
  }
}

/**
 * Proposals and what became of them. Acknowledged: booked for ever, where it was said. `not-leader`: certainly not
 * stored. `unknown`: either.
 */
export class ProposalCheck {
  readonly #attempted = new Set<number>();
  readonly #acknowledged = new Map<number, number>();
  readonly #refused = new Set<number>();

  attempted(id: number): void {
    this.#attempted.add(id);
  }

  acknowledged(id: number, index: number): void {
    const known = this.#acknowledged.get(id);
    if (known !== undefined && known !== index) {
      throw new Violation('acknowledged twice', `${id} at ${known} and at ${index}`);
    }
    this.#acknowledged.set(id, index);
  }

  /** The last word on it: it was proposed once, and certainly not stored. */
  refused(id: number): void {
    this.#refused.add(id);
  }

  get acknowledgements(): number {
    return this.#acknowledged.size;
  }

  /** Against what a replica holds in the end. */
  atTheEnd(by: string, booked: ReadonlyMap<number, number>): void {
    for (const [id, index] of this.#acknowledged) {
      if (booked.get(id) !== index) {
        throw new Violation('acknowledged and lost', `${by}: ${id}, acknowledged at ${index}, is at ${booked.get(id)}`);
      }
    }
    for (const id of booked.keys()) {
      if (!this.#attempted.has(id)) throw new Violation('invention', `${by}: nobody ever proposed ${id}`);
      if (this.#refused.has(id)) throw new Violation('refused and stored', `${by}: ${id} was certainly not stored`);
    }
  }
}

/** Reads: what was acknowledged before the question is seen by the answer. */
export class ReadCheck {
  #acknowledgedIndex = 0;

  acknowledged(index: number): void {
    this.#acknowledgedIndex = Math.max(this.#acknowledgedIndex, index);
  }

  asked(): number {
    return this.#acknowledgedIndex;
  }

  answered(by: string, askedAt: number, appliedIndex: number): void {
    if (appliedIndex < askedAt) {
      throw new Violation('stale read', `${by} answered at ${appliedIndex}, ${askedAt} was acknowledged before`);
    }
  }
}
