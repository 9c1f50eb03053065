import { SluiceError } from '@sluice/common/errors';

/**
 * A group is added or removed one at a time. Both take as long as their disk does, and what is being added is in no table
 * yet: a removal beside it would find no replica to end, take the log and the note of what was promised from under the one
 * that is read in, and the next addition would be a second replica on the same log. Whoever calls waits for the change
 * before; who does not is refused, and nothing was touched.
 */
export class GroupChanges {
  readonly #underWay = new Set<number>();

  async alone<T>(groupId: number, change: () => Promise<T>): Promise<T> {
    if (this.#underWay.has(groupId)) {
      throw new SluiceError('GROUP_INVALID', `group ${groupId} is just being added or removed`, { retriable: true });
    }
    this.#underWay.add(groupId);
    try {
      return await change();
    } finally {
      this.#underWay.delete(groupId);
    }
  }
}
