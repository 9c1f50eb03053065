import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { TurnCompanions } from '../src/turn-companions.ts';

const { GATHER_MS, COMPANY_MS } = TurnCompanions;

describe('what goes with a turn that others write', () => {
  let proposed: string[];
  let companions: TurnCompanions;

  beforeEach(() => {
    jest.useFakeTimers();
    proposed = [];
    companions = new TurnCompanions();
  });

  afterEach(() => void jest.useRealTimers());

  const propose = (name: string) => () => void proposed.push(name);

  test('gathers for a while from the first of it on, all groups together, and is due then', () => {
    companions.add(propose('a'));
    jest.advanceTimersByTime(GATHER_MS - 1);
    companions.add(propose('b'));
    expect(companions.isDue).toBe(false);
    jest.advanceTimersByTime(1);
    expect(companions.isDue).toBe(true);
    companions.add(propose('c'));
    expect(proposed).toEqual([]);
    companions.take();
    expect(proposed).toEqual(['a', 'b', 'c']);
    expect(companions.isDue).toBe(false);
  });

  test('goes alone when no turn took it along', () => {
    companions.add(propose('a'));
    jest.advanceTimersByTime(GATHER_MS + COMPANY_MS - 1);
    expect(proposed).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(proposed).toEqual(['a']);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('begins anew with what comes next, also while they propose', () => {
    companions.add(() => {
      proposed.push('a');
      companions.add(propose('b'));
    });
    jest.advanceTimersByTime(GATHER_MS);
    companions.take();
    expect(proposed).toEqual(['a']);
    expect(companions.isDue).toBe(false);
    jest.advanceTimersByTime(GATHER_MS);
    expect(companions.isDue).toBe(true);
    companions.take();
    expect(proposed).toEqual(['a', 'b']);
    expect(jest.getTimerCount()).toBe(0);
  });
});
