import { describe, expect, it } from '@jest/globals';
import type { ClusterResponse } from '@sluice/rpc/contract/cluster';
import { foundersOf, foundingVerdict } from '../../src/identity/founding.ts';

const FOUNDERS = ['a:5370', 'b:5370', 'c:5370'];
const blank = (address: string, founders: readonly string[] = FOUNDERS, incarnation = `disk of ${address}`) =>
  ({ type: 'blank', address, incarnation, founders }) satisfies ClusterResponse;
const own = { address: 'a:5370', incarnation: 'disk of a:5370' };
const answers = (...given: [string, ClusterResponse][]) => new Map<string, ClusterResponse>(given);

/** What a node answers that founded with these disks. */
function member(disks: Record<string, string>, nodeId: number): ClusterResponse {
  const { founders, clusterId } = foundersOf(new Map(Object.entries(disks)));
  return { type: 'member', clusterId, nodeId, foundedWith: founders, coordinators: [] };
}
const DISKS = { 'a:5370': 'disk of a:5370', 'b:5370': 'disk of b:5370', 'c:5370': 'disk of c:5370' };

describe('founding a cluster', () => {
  it('needs the answer of every founder', () => {
    expect(foundingVerdict(own, FOUNDERS, answers(['b:5370', blank('b:5370')]))).toEqual({
      type: 'wait',
      missing: ['c:5370'],
    });
  });

  it('gives every founder the same ids and the same cluster id, in whatever order they are listed', () => {
    const seen = FOUNDERS.map((address) => {
      const others = FOUNDERS.filter((other) => other !== address);
      return foundingVerdict(
        { address, incarnation: `disk of ${address}` },
        [...others, address],
        answers(...others.map((other): [string, ClusterResponse] => [other, blank(other)])),
      );
    });
    expect(seen[0]).toMatchObject({
      type: 'found',
      founders: FOUNDERS.map((address, i) => ({ nodeId: i + 1, address })),
    });
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[2]).toEqual(seen[0]);
  });

  it('follows a founder that has had all answers, also while another is away', () => {
    const verdict = foundingVerdict(own, FOUNDERS, answers(['b:5370', member(DISKS, 2)]));
    expect(verdict).toEqual({ type: 'found', ...foundersOf(new Map(Object.entries(DISKS))) });
  });

  it('takes the word of a founder over a disk that came after the founding', () => {
    const verdict = foundingVerdict(
      own,
      FOUNDERS,
      answers(['b:5370', blank('b:5370', FOUNDERS, 'a new disk of b')], ['c:5370', member(DISKS, 3)]),
    );
    expect(verdict).toEqual({ type: 'found', ...foundersOf(new Map(Object.entries(DISKS))) });
  });

  it('is refused to a node that lost its disk: the others remember another one', () => {
    const wiped = { address: 'a:5370', incarnation: 'a new disk' };
    const verdict = foundingVerdict(
      wiped,
      FOUNDERS,
      answers(['b:5370', member(DISKS, 2)], ['c:5370', blank('c:5370')]),
    );
    expect(verdict.type).toBe('join');
  });

  it('stops when the founders were given different lists, or an address leads to somebody else', () => {
    expect(foundingVerdict(own, FOUNDERS, answers(['b:5370', blank('b:5370', ['b:5370', 'x:1'])]))).toMatchObject({
      type: 'contradiction',
      message: expect.stringContaining('another list'),
    });
    expect(foundingVerdict(own, FOUNDERS, answers(['b:5370', blank('c:5370')]))).toMatchObject({
      type: 'contradiction',
      message: expect.stringContaining('says that it is c:5370'),
    });
  });
});
