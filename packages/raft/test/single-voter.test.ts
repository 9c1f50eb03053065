import { describe, expect, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import { RaftGroup } from '../src/raft.ts';
import { MemoryLog } from './support/memory-log.ts';

const ALONE = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [] };

function open(log: MemoryLog): RaftGroup {
  const { hardState, snapshot } = log.image;
  return new RaftGroup({ peerId: 1, prng: new SeededPrng(1) }, log, {
    hardState,
    membership: snapshot.membership,
    snapshot,
    appliedIndex: 0,
  });
}

describe('a sole voter', () => {
  test('leads after its first tick and commits when its own write is durable, not before', () => {
    const log = new MemoryLog(ALONE);
    const group = open(log);
    group.tick();
    expect(group.role).toBe('leader');
    expect(group.propose([Buffer.from('a'), Buffer.from('b')])).toEqual({ term: 1, firstIndex: 2 });
    const ready = group.ready();
    expect(ready.hardState).toEqual({ term: 1, vote: 1, commit: 0 });
    expect(ready.entries.map((entry) => entry.index)).toEqual([1, 2, 3]);
    expect(ready.committed).toEqual({ first: 1, last: 0 });
    expect(group.hasReady()).toBe(false);
    log.sync({ ...ready, snapshot: undefined });
    group.persisted(1, 3);
    expect(group.ready().committed).toEqual({ first: 1, last: 3 });
    group.applied(3);
    expect(group.status()).toMatchObject({ commit: 3, applied: 3, lastIndex: 3, uncommittedBytes: 0 });
    expect(group.hasReady()).toBe(false);
  });

  test('overlapping writes commit in the order in which they become durable', () => {
    const log = new MemoryLog(ALONE);
    const group = open(log);
    group.campaign();
    const first = group.ready();
    group.propose([Buffer.from('a')]);
    const second = group.ready();
    log.sync({ ...first, snapshot: undefined });
    group.persisted(1, 1);
    expect(group.ready().committed).toEqual({ first: 1, last: 1 });
    log.sync({ ...second, snapshot: undefined });
    group.persisted(1, 2);
    expect(group.ready().committed).toEqual({ first: 2, last: 2 });
  });

  test('serves a read without asking anybody, once something of its term has committed', () => {
    const log = new MemoryLog(ALONE);
    const group = open(log);
    group.tick();
    expect(group.requestRead(7)).toBe(false);
    log.sync({ ...group.ready(), snapshot: undefined });
    group.persisted(1, 1);
    expect(group.requestRead(7)).toBe(true);
    expect(group.ready().readStates).toEqual([{ context: 7, index: 1 }]);
  });

  test('refuses proposals beyond the bound on uncommitted bytes, but never the only one', () => {
    const log = new MemoryLog(ALONE);
    const config = { peerId: 1, prng: new SeededPrng(1), uncommittedBytesMax: 10 };
    const { hardState, snapshot } = log.image;
    const group = new RaftGroup(config, log, { hardState, membership: ALONE, snapshot, appliedIndex: 0 });
    group.tick();
    expect(group.propose([Buffer.alloc(100)])).toEqual({ term: 1, firstIndex: 2 });
    expect(group.propose([Buffer.alloc(1)])).toEqual({ refused: 'too-many-uncommitted', leader: 1 });
    log.sync({ ...group.ready(), snapshot: undefined });
    group.persisted(1, 2);
    expect(group.propose([Buffer.alloc(1)])).toEqual({ term: 1, firstIndex: 3 });
  });
});
