import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Proposal, ProposeOutcome } from '../../src/partition/proposal.ts';
import { SettleBacklog } from '../../src/settle/settle-backlog.ts';

describe('receipts for what was settled', () => {
  let proposed: Proposal[];
  let outcome: ProposeOutcome;
  let leads: boolean;
  let confirmed: string[];
  let backlog: SettleBacklog;
  beforeEach(() => {
    jest.useFakeTimers();
    proposed = [];
    outcome = 'proposed';
    leads = true;
    confirmed = [];
    backlog = new SettleBacklog({
      propose: (_, proposal) => {
        if (outcome === 'proposed') proposed.push(proposal);
        return outcome;
      },
      leads: () => leads,
      onCaughtUp: () => {},
    });
  });
  afterEach(() => {
    backlog.clear();
    jest.useRealTimers();
  });

  const receipt = (name: string) => ({ isTaken: false, confirmed: () => confirmed.push(name) });
  const add = (name: string): void => backlog.add(new Uint8Array(1), [receipt(name)]);
  const commit = (n: number): void => proposed[n]?.applied(n, { type: 'settled', stale: 0 });

  test('are given when it is committed', () => {
    add('a');
    add('b');
    expect(confirmed).toEqual([]);
    commit(0);
    expect(confirmed).toEqual(['a']);
    commit(1);
    expect(confirmed).toEqual(['a', 'b']);
  });

  test('wait with what could not be proposed yet', () => {
    outcome = 'busy';
    add('a');
    outcome = 'proposed';
    jest.advanceTimersByTime(SettleBacklog.RETRY_MS);
    commit(0);
    expect(confirmed).toEqual(['a']);
  });

  test('for nothing new come with the last that is under way, or at once when nothing is', () => {
    backlog.add(undefined, [receipt('at once')]);
    expect(confirmed).toEqual(['at once']);
    add('a');
    add('b');
    backlog.add(undefined, [receipt('with b')]);
    commit(0);
    expect(confirmed).toEqual(['at once', 'a']);
    commit(1);
    expect(confirmed).toEqual(['at once', 'a', 'b', 'with b']);
  });

  test('are given to nobody behind one that was lost, until another leadership', () => {
    add('lost');
    add('behind it');
    proposed[0]?.dropped('unknown');
    commit(1);
    backlog.add(undefined, [receipt('later')]);
    expect(confirmed).toEqual([]);
    backlog.clear();
    add('anew');
    commit(2);
    expect(confirmed).toEqual(['anew']);
  });

  test('of a former leadership that was lost say nothing about this one', () => {
    add('former');
    backlog.clear();
    add('present');
    proposed[0]?.dropped('unknown');
    commit(1);
    expect(confirmed).toEqual(['present']);
  });

  test('of a former leadership are given when it turns out to be committed', () => {
    add('former');
    leads = false;
    backlog.clear();
    commit(0);
    expect(confirmed).toEqual(['former']);
  });

  test('of a former leadership are given to nobody behind one that it lost', () => {
    add('lost');
    add('behind it');
    proposed[0]?.dropped('unknown');
    backlog.clear();
    commit(1);
    expect(confirmed).toEqual([]);
  });
});
