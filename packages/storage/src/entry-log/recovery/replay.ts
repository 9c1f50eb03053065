import { RESETS, type RecordHeader, RecordType, SUPERSEDES } from '../frame/frame-format.ts';
import type { BaseState, SealedFacts } from '../group/base-state.ts';
import type { GroupScalars } from '../group/group-state.ts';

/**
 * What the newest segment says, front to back: the groups' bounds and hard states, which sealed segments must exist,
 * and what in them is superseded. Entries below these bounds are found later, in the segments' rows.
 */
export class Replay {
  readonly groups = new Map<number, GroupScalars>();
  readonly sealed = new Map<number, SealedFacts>();
  readonly released: number[] = [];

  base(base: BaseState): void {
    for (const group of base.groups) this.groups.set(group.groupId, group);
    for (const segment of base.sealed) this.sealed.set(segment.segmentId, segment);
    this.released.push(...base.leftovers);
  }

  record(record: RecordHeader): void {
    const { groupId, index, term } = record;
    switch (record.type) {
      case RecordType.ENTRY: {
        const group = this.#group(groupId);
        if (record.flags & SUPERSEDES) this.#cut(groupId, index);
        group.lastIndex = index;
        group.lastChain = record.chain;
        break;
      }
      case RecordType.HARD_STATE:
        this.#group(groupId).hardState = { term, vote: index, commit: record.commit };
        break;
      case RecordType.MARK: {
        const group = this.#group(groupId);
        const resets = (record.flags & RESETS) !== 0;
        if (resets) {
          this.#cut(groupId, 0);
          group.lastIndex = index;
          group.lastChain = record.chain;
        } else if (index < group.firstIndex) break;
        group.firstIndex = index + 1;
        group.compactedTerm = term;
        group.compactedChain = record.chain;
        break;
      }
      case RecordType.RELEASED:
        this.sealed.delete(index);
        this.released.push(index);
        break;
      case RecordType.REMOVED:
        this.groups.delete(groupId);
        this.#cut(groupId, 0);
        break;
      default:
        break;
    }
  }

  #group(groupId: number): GroupScalars {
    let group = this.groups.get(groupId);
    if (group === undefined) {
      group = {
        groupId,
        hardState: { term: 0, vote: 0, commit: 0 },
        firstIndex: 1,
        lastIndex: 0,
        compactedTerm: 0,
        compactedChain: 0,
        lastChain: 0,
      };
      this.groups.set(groupId, group);
    }
    return group;
  }

  #cut(groupId: number, index: number): void {
    for (const { cuts } of this.sealed.values()) cuts.set(groupId, Math.min(index, cuts.get(groupId) ?? index));
  }
}
