import { Violation } from '../simulation.ts';

/**
 * What the metadata promises of queues, as its users see it: each change happened at one moment between its question and
 * its answer, in one order for all.
 *
 * Versions are epochs, so their order is the order of the changes, and an answer that came before a question has the
 * lower one. That says nothing of refusals, of removals, of what nobody answered, nor of what there is in the end: by name,
 * an order of all operations must exist that explains every answer. It is searched for; names are few and their operations
 * not many at once.
 */
export class MetadataCheck {
  readonly #operations: Operation[] = [];
  readonly #queueIds = new Map<number, string>();
  #moment = 0;
  #highestVersion = 0;
  #highestQueueId = 0;
  #nextTag = 1;

  /** Operations on one name that are searched through; what comes later is not asked. */
  static readonly OPERATIONS_MAX = 26;

  get count(): number {
    return this.#operations.length;
  }

  countOf(name: string): number {
    return this.#operations.filter((operation) => operation.name === name).length;
  }

  /** Somebody asks. `tag` goes into what is written, and tells who wrote it. */
  asked(name: string, kind: Operation['kind']): Operation {
    const operation: Operation = {
      name,
      kind,
      tag: kind === 'remove' ? 0 : this.#nextTag++,
      askedAt: ++this.#moment,
      answeredAt: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
      versionBefore: this.#highestVersion,
      queueIdBefore: this.#highestQueueId,
    };
    this.#operations.push(operation);
    return operation;
  }

  /** It was done; with what the metadata says it made of it. */
  done(operation: Operation, made: { queueId: number; version: number; tag: number } | undefined): void {
    operation.outcome = 'done';
    operation.answeredAt = ++this.#moment;
    if (made === undefined) return;
    const { name, kind, tag } = operation;
    if (made.tag !== tag)
      throw new Violation('metadata', `${kind} of ${name} wrote ${tag}, the answer says ${made.tag}`);
    if (made.version <= operation.versionBefore) {
      const before = `${operation.versionBefore} was known before it was asked for`;
      throw new Violation('metadata', `${kind} of ${name} has version ${made.version}, ${before}`);
    }
    const known = this.#queueIds.get(made.queueId);
    if (kind === 'create' && (known !== undefined || made.queueId <= operation.queueIdBefore)) {
      const before = `${operation.queueIdBefore} was known before, it is ${known ?? 'nobody'}'s`;
      throw new Violation('metadata', `${name} is created as queue ${made.queueId}: ${before}`);
    }
    // Somebody who changed it may be answered before who made it.
    if (kind === 'create') this.#queueIds.set(made.queueId, name);
    this.#highestVersion = Math.max(this.#highestVersion, made.version);
    if (kind === 'create') this.#highestQueueId = Math.max(this.#highestQueueId, made.queueId);
  }

  /** Certainly nothing was done; `exists`: because the name was taken. */
  refused(operation: Operation, why: 'exists' | 'other'): void {
    operation.outcome = why === 'exists' ? 'exists' : 'nothing';
    operation.answeredAt = ++this.#moment;
  }

  /** What there is in the end: by name, the tag that was written last. */
  atTheEnd(found: ReadonlyMap<string, number>): void {
    const names = new Set(this.#operations.map(({ name }) => name));
    for (const name of names) {
      const operations = this.#operations.filter((each) => each.name === name && each.outcome !== 'nothing');
      if (operations.length > MetadataCheck.OPERATIONS_MAX) continue;
      if (!isExplained(operations, found.get(name) ?? 0)) {
        const told = operations.map(
          ({ kind, tag, outcome, askedAt, answeredAt }) => `${kind} ${tag} ${outcome} [${askedAt}, ${answeredAt}]`,
        );
        const end = `and in the end it is ${found.get(name) ?? 'not there'}`;
        throw new Violation('metadata', `no order explains ${name}: ${told.join(', ')}, ${end}`);
      }
    }
  }
}

export interface Operation {
  readonly name: string;
  readonly kind: 'create' | 'update' | 'remove';
  readonly tag: number;
  readonly askedAt: number;
  answeredAt: number;
  /** `unknown`: it may have been done at any time since it was asked for. */
  outcome: 'done' | 'exists' | 'nothing' | 'unknown';
  /** Versions up to this, and queue ids, had been answered when it was asked. */
  readonly versionBefore: number;
  readonly queueIdBefore: number;
}

/** Depth first: whoever may be next was asked before everybody left was answered. State: the tag that stands, 0 for none. */
function isExplained(operations: readonly Operation[], end: number): boolean {
  const failed = new Set<string>();
  const search = (left: number, state: number): boolean => {
    let answeredFirst = Number.POSITIVE_INFINITY;
    let mustBe = false;
    for (let i = 0; i < operations.length; i++) {
      if ((left & (1 << i)) === 0) continue;
      const { outcome, answeredAt } = operations[i] as Operation;
      if (outcome !== 'unknown') mustBe = true;
      answeredFirst = Math.min(answeredFirst, answeredAt);
    }
    if (!mustBe && state === end) return true;
    const key = `${left}:${state}`;
    if (failed.has(key)) return false;
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i] as Operation;
      if ((left & (1 << i)) === 0 || operation.askedAt > answeredFirst) continue;
      const next = stateAfter(operation, state);
      if (next !== undefined && search(left & ~(1 << i), next)) return true;
    }
    failed.add(key);
    return false;
  };
  return search((1 << operations.length) - 1, 0);
}

/** Undefined: it cannot have happened in this state. */
function stateAfter({ kind, tag, outcome }: Operation, state: number): number | undefined {
  if (outcome === 'exists') return state === 0 ? undefined : state;
  if (kind === 'create') return state === 0 ? tag : undefined;
  if (state === 0) return undefined;
  return kind === 'update' ? tag : 0;
}
