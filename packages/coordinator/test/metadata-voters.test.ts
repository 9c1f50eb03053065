import { describe, expect, test } from '@jest/globals';
import type { NodeInfo } from '@sluice/meta/node-info';
import { enterChange, isJoint, leaveJoint } from '@sluice/raft/conf-change';
import type { Membership } from '@sluice/raft/entry';
import { METADATA_VOTERS_MAX, nextMetadataStep } from '../src/metadata-voters.ts';
import { nodeInfo } from './support/test-cluster.ts';

/** A group whose membership changes take effect at once. */
class Group {
  membership: Membership;
  nodes: NodeInfo[];
  self = 1;
  dead = new Set<number>();
  awaited = new Set<number>();
  slow = new Set<number>();
  still = new Set<number>();
  impaired = new Set<number>();
  readonly sizes: number[] = [];

  constructor(voters: number) {
    const ids = Array.from({ length: voters }, (_, i) => i + 1);
    this.membership = { voters: ids, votersOutgoing: [], learners: [], learnersNext: [] };
    this.nodes = ids.map((nodeId) => nodeInfo(nodeId, ['coordinator']));
  }

  join(nodeId: number, over: Partial<NodeInfo> = {}): void {
    this.nodes.push(nodeInfo(nodeId, ['coordinator'], over));
  }

  state(nodeId: number, state: NodeInfo['state']): void {
    this.nodes = this.nodes.map((node) => (node.nodeId === nodeId ? { ...node, state } : node));
  }

  /** False when there is nothing to do. */
  step(): boolean {
    const step = nextMetadataStep({
      self: this.self,
      membership: this.membership,
      nodes: this.nodes,
      isAlive: (nodeId) => !this.dead.has(nodeId),
      isImpaired: (nodeId) => this.impaired.has(nodeId),
      isAwaited: (nodeId) => this.awaited.has(nodeId),
      isCaughtUp: (nodeId) => !this.slow.has(nodeId) && !this.dead.has(nodeId),
      standsStill: (nodeId) => this.still.has(nodeId),
    });
    if (step === undefined) return false;
    if ('transferTo' in step) {
      this.self = step.transferTo;
      return true;
    }
    const entered = enterChange(this.membership, step.change);
    if (entered === undefined) throw new Error(`a change that changes nothing: ${JSON.stringify(step.change)}`);
    this.membership = isJoint(entered) ? leaveJoint(entered) : entered;
    this.sizes.push(this.membership.voters.length);
    return true;
  }

  settle(): string {
    for (let i = 0; i < 20; i++) if (!this.step()) return [...this.membership.voters].sort((a, b) => a - b).join();
    throw new Error('it never settles');
  }
}

describe('the voters of the metadata', () => {
  test('stay as they are while all are there, whoever is dead for a while', () => {
    const group = new Group(3);
    group.dead.add(2);
    expect(group.settle()).toBe('1,2,3');
  });

  test('grow by two', () => {
    const group = new Group(1);
    group.join(2);
    expect(group.settle()).toBe('1');
    group.join(3);
    expect(group.settle()).toBe('1,2,3');
    expect(group.sizes.every((size) => size % 2 === 1)).toBe(true);
    for (let nodeId = 4; nodeId < 12; nodeId++) group.join(nodeId);
    expect(group.settle().split(',')).toHaveLength(METADATA_VOTERS_MAX);
    expect(group.membership.learners).toEqual([]);
  });

  test('a node without the role, or without life, does not join', () => {
    const group = new Group(1);
    group.join(2, { roles: ['store'] });
    group.join(3);
    group.join(4);
    group.dead.add(3);
    expect(group.settle()).toBe('1');
  });

  test('who is gone is replaced by its successor, before others that wait', () => {
    const group = new Group(3);
    group.join(4);
    group.join(5, { name: 'n2' });
    group.state(2, 'gone');
    expect(group.settle()).toBe('1,3,5');
  });

  test('who is gone, or leaves, is exchanged in one step for one that has caught up, and stays until then', () => {
    for (const state of ['gone', 'leaving'] as const) {
      const group = new Group(3);
      group.state(2, state);
      group.join(4, { name: 'n2' });
      group.slow.add(4);
      expect(group.settle()).toBe('1,2,3');
      group.slow.clear();
      expect(group.settle()).toBe('1,3,4');
      expect(group.sizes.every((size) => size === 3)).toBe(true);
    }
  });

  test('one leaves while another is dead: only once the group can do without both', () => {
    const group = new Group(3);
    group.self = 3;
    group.dead.add(1);
    group.state(2, 'leaving');
    expect(group.settle()).toBe('1,2,3');
    group.join(4);
    group.slow.add(4);
    expect(group.settle()).toBe('1,2,3');
    group.slow.clear();
    expect(group.settle()).toBe('1,3,4');
    group.join(5, { name: 'n1' });
    group.state(1, 'gone');
    expect(group.settle()).toBe('3,4,5');
    expect(group.sizes.every((size) => size === 3)).toBe(true);
  });

  test('while only one of two newcomers has caught up, it takes the place of the dead one', () => {
    const group = new Group(3);
    group.state(2, 'leaving');
    group.state(3, 'gone');
    group.dead.add(3);
    group.join(4);
    group.join(5);
    group.slow.add(4);
    expect(group.settle()).toBe('1,2,5');
    group.slow.clear();
    expect(group.settle()).toBe('1,4,5');
    expect(group.sizes.every((size) => size === 3)).toBe(true);
  });

  test('two leave and one can take a place: it does, so that there are two copies', () => {
    const group = new Group(3);
    group.state(2, 'leaving');
    group.state(3, 'leaving');
    group.join(4);
    expect(group.settle()).toBe('1,4');
  });

  test('a substitute that stands still gives its place to another one', () => {
    const group = new Group(3);
    group.state(2, 'leaving');
    group.join(4, { name: 'n2' });
    group.join(5);
    group.slow.add(4);
    expect(group.settle()).toBe('1,2,3');
    expect(group.membership.learners).toEqual([4]);
    group.still.add(4);
    expect(group.settle()).toBe('1,3,5');
    expect(group.sizes.every((size) => size === 3)).toBe(true);
  });

  test('one that stands still and is the only one is not waited for, goes on learning, and votes in the end', () => {
    const group = new Group(3);
    group.state(2, 'leaving');
    group.join(4);
    group.slow.add(4);
    expect(group.settle()).toBe('1,2,3');
    group.still.add(4);
    expect(group.settle()).toBe('1,3');
    expect(group.membership.learners).toEqual([4]);
    // Where another one is dead it is: the others could do nothing without it.
    const endangered = new Group(3);
    endangered.state(2, 'leaving');
    endangered.dead.add(3);
    endangered.join(4);
    endangered.slow.add(4);
    endangered.still.add(4);
    expect(endangered.settle()).toBe('1,2,3');
    group.slow.clear();
    group.still.clear();
    expect(group.settle()).toBe('1,3,4');
  });

  test('two that are wanted and one stands still: no even number comes of it', () => {
    const group = new Group(1);
    group.join(2);
    group.join(3);
    group.slow.add(3);
    group.still.add(3);
    expect(group.settle()).toBe('1');
    group.slow.clear();
    group.still.clear();
    expect(group.settle()).toBe('1,2,3');
  });

  test('a substitute that is away for a moment is waited for', () => {
    const group = new Group(3);
    group.state(2, 'leaving');
    group.join(4);
    group.dead.add(4);
    group.awaited.add(4);
    expect(group.settle()).toBe('1,2,3');
    group.dead.clear();
    expect(group.settle()).toBe('1,3,4');
    group.state(3, 'leaving');
    group.join(5);
    group.dead.add(5);
    expect(group.settle()).toBe('1,4');
  });

  test('who leads hands over to one that lives; where nobody stays, the newcomers vote beside it first', () => {
    const group = new Group(3);
    group.state(1, 'leaving');
    group.join(4);
    group.dead.add(2);
    expect(group.settle()).toBe('2,3,4');
    expect(group.self).toBe(3);
    const exchanged = new Group(3);
    for (const nodeId of [1, 2, 3]) exchanged.state(nodeId, 'leaving');
    for (const nodeId of [4, 5, 6]) exchanged.join(nodeId);
    expect(exchanged.settle()).toBe('4,5,6');
    expect(exchanged.sizes.every((size) => size >= 3)).toBe(true);
  });

  test('who leads hands over before it leaves; the last one stays until another votes', () => {
    const group = new Group(3);
    group.state(1, 'leaving');
    expect(group.settle()).toBe('2,3');
    expect(group.self).toBe(2);
    const lone = new Group(1);
    lone.state(1, 'leaving');
    expect(lone.settle()).toBe('1');
    lone.join(2);
    expect(lone.settle()).toBe('2');
    expect(lone.self).toBe(2);
  });

  test('an impaired one is out until it is wiped, and in again then', () => {
    const group = new Group(3);
    group.impaired.add(3);
    expect(group.settle()).toBe('1,2');
    group.impaired.clear();
    expect(group.settle()).toBe('1,2,3');
    const lone = new Group(1);
    lone.impaired.add(1);
    expect(lone.settle()).toBe('1');
  });

  test('nothing happens while a change is under way', () => {
    const group = new Group(3);
    group.membership = { voters: [1, 2, 4], votersOutgoing: [1, 2, 3], learners: [], learnersNext: [] };
    group.state(2, 'gone');
    expect(group.step()).toBe(false);
  });
});
