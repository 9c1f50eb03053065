import { describe, expect, test } from '@jest/globals';
import { WillCheck } from '../src/check/will-check.ts';
import { found } from './support/checker-that-finds.ts';

const SAFE = false;
const HARMED = true;

/** Connected from 100 on, answered at 110. */
function connected(mayLose: boolean, { delayS = 0, expiryS = 0 } = {}) {
  const check = new WillCheck(() => mayLose);
  check.left({ id: 1, clientId: 'c', delayS, expiryS, isClean: false, sentMs: 100 }, true);
  check.opened(1, 110);
  return check;
}

function comesBack(check: WillCheck, sentMs: number, openedMs: number, isClean = false): void {
  check.left({ id: 2, clientId: 'c', delayS: 0, expiryS: 8, isClean, sentMs }, false);
  if (openedMs !== Number.POSITIVE_INFINITY) check.opened(2, openedMs);
}

const NEVER = Number.POSITIVE_INFINITY;

describe('what a will promises', () => {
  test('a connection that ends without a word, by whomever, and no will', () => {
    for (const isByClient of [true, false]) {
      const check = connected(HARMED);
      expect([...check.due()]).toEqual([]);
      check.ended(1, 500, isByClient);
      expect(found(() => check.atTheEnd())).toBe('will lost');
      check.published(1, 510, 'g1');
      // Nobody has said that it is where it belongs.
      expect(found(() => check.atTheEnd())).toBe('will lost');
      check.confirmed(1, 520);
      expect(found(() => check.atTheEnd())).toBe('');
    }
  });

  test('DISCONNECT 0x04, taken for 0x00', () => {
    const check = connected(HARMED);
    check.saidFarewell(1, false, undefined);
    check.ended(1, 500, true);
    expect(found(() => check.atTheEnd())).toBe('will lost');
    const taken = connected(HARMED);
    taken.saidFarewell(1, false, undefined);
    taken.ended(1, 500, true);
    taken.closed(1, 510, true);
    expect(found(() => taken.published(1, 520, 'g1'))).toBe('will taken back');
  });

  test('nothing is due of who was never let in, left none, or took it back', () => {
    const unanswered = new WillCheck(() => HARMED);
    unanswered.left({ id: 1, clientId: 'c', delayS: 0, expiryS: 0, isClean: true, sentMs: 100 }, true);
    unanswered.ended(1, 500, false);
    expect(found(() => unanswered.atTheEnd())).toBe('');
    expect(found(() => unanswered.published(1, 510, 'g1'))).toBe('');
    const none = new WillCheck(() => HARMED);
    none.left({ id: 1, clientId: 'c', delayS: 0, expiryS: 0, isClean: true, sentMs: 100 }, false);
    none.opened(1, 110);
    none.ended(1, 500, true);
    expect(found(() => none.atTheEnd())).toBe('');
    expect(found(() => none.published(1, 510, 'g1'))).toBe('no invention');
    expect(found(() => none.published(9, 510, 'g1'))).toBe('no invention');
    const taken = connected(HARMED);
    taken.saidFarewell(1, true, undefined);
    taken.ended(1, 500, true);
    expect(found(() => taken.atTheEnd())).toBe('');
  });

  test('taken back and fired: whichever is known first, where a store had answered', () => {
    const before = connected(HARMED);
    before.saidFarewell(1, true, undefined);
    before.ended(1, 500, true);
    before.closed(1, 520, true);
    expect(found(() => before.published(1, 530, 'g1'))).toBe('will taken back');
    const after = connected(HARMED);
    after.saidFarewell(1, true, undefined);
    after.ended(1, 500, true);
    expect(found(() => after.published(1, 510, 'g1'))).toBe('');
    expect(found(() => after.closed(1, 520, true))).toBe('will taken back');
  });

  test('a DISCONNECT 0x00 that no store has answered may go either way where gateways die, and nowhere else', () => {
    for (const [mayLose, checker] of [
      [HARMED, ''],
      [SAFE, 'will taken back'],
    ] as const) {
      const check = connected(mayLose);
      check.saidFarewell(1, true, undefined);
      check.ended(1, 500, true);
      expect(found(() => check.published(1, 10_510, 'g1'))).toBe(checker);
    }
  });

  test('a DISCONNECT 0x00 comes too late when its gateway was taken for gone, or its client overtook it', () => {
    const orphan = connected(HARMED);
    orphan.saidFarewell(1, true, undefined);
    orphan.ended(1, 10_090, true);
    orphan.closed(1, 10_100, true);
    expect(found(() => orphan.published(1, 10_110, 'g1'))).toBe('');
    for (const [delayS, isClean, checker] of [
      [0, false, ''],
      [2, true, ''],
      [2, false, 'will taken back'],
    ] as const) {
      const check = connected(SAFE, { delayS, expiryS: 8 });
      comesBack(check, 490, 505, isClean);
      check.saidFarewell(1, true, undefined);
      check.ended(1, 500, true);
      check.closed(1, 520, true);
      expect([delayS, isClean, found(() => check.published(1, 9_530, 'g1'))]).toEqual([delayS, isClean, checker]);
    }
  });

  test('fired for the living', () => {
    expect(found(() => connected(SAFE).published(1, 20_000, 'g1'))).toBe('will too early');
    expect(found(() => connected(HARMED).published(1, 10_098, 'g1'))).toBe('will too early');
    expect(found(() => connected(HARMED).published(1, 10_100, 'g1'))).toBe('');
  });

  test('before its delay is over, or its session, whichever is first and as the client said it last', () => {
    for (const [delayS, expiryS, saidS, dueMs] of [
      [2, 8, undefined, 2_500],
      [4, 3, undefined, 3_500],
      [4, 8, 1, 1_500],
      [4, 8, 0, 500],
      [2, 0, undefined, 500],
    ] as const) {
      for (const [atMs, checker] of [
        [dueMs - 2, 'will too early'],
        [dueMs, ''],
      ] as const) {
        const check = connected(SAFE, { delayS, expiryS });
        check.saidFarewell(1, false, saidS);
        check.ended(1, 500, true);
        expect([delayS, atMs, found(() => check.published(1, atMs, 'g1'))]).toEqual([delayS, atMs, checker]);
      }
    }
  });

  test('when somebody else ends a connection its end may be as old as the answer to its CONNECT', () => {
    for (const [atMs, checker] of [
      [2_100, 'will too early'],
      [2_110, ''],
    ] as const) {
      const check = connected(HARMED, { delayS: 2, expiryS: 8 });
      check.ended(1, 500, false);
      expect(found(() => check.published(1, atMs, 'g1'))).toBe(checker);
    }
  });

  test('a clean start ends the session, and fires before the delay is over', () => {
    for (const [openedMs, checker] of [
      [610, 'will lost'],
      [NEVER, 'will lost'],
    ] as const) {
      const check = connected(SAFE, { delayS: 4, expiryS: 8 });
      check.ended(1, 500, true);
      comesBack(check, 600, openedMs, true);
      expect(found(() => check.atTheEnd())).toBe(checker);
      expect(found(() => check.published(1, 605, 'g1'))).toBe('');
    }
  });

  test('fired although its client was back in time, whichever is known first', () => {
    const before = connected(HARMED, { delayS: 2, expiryS: 8 });
    before.ended(1, 500, true);
    comesBack(before, 1_000, 2_490);
    expect(found(() => before.published(1, 2_600, 'g1'))).toBe('will of a client that is back');
    expect(found(() => before.atTheEnd())).toBe('');
    const late = connected(HARMED, { delayS: 2, expiryS: 8 });
    late.ended(1, 500, true);
    comesBack(late, 1_000, 2_510);
    expect(found(() => late.published(1, 2_600, 'g1'))).toBe('');
    const fired = connected(HARMED, { delayS: 2, expiryS: 8 });
    fired.ended(1, 500, false);
    expect(found(() => fired.published(1, 2_200, 'g1'))).toBe('');
    expect(found(() => comesBack(fired, 700, 900))).toBe('will of a client that is back');
  });

  test('taken over: at once without a delay, not at all with one', () => {
    const atOnce = connected(SAFE, { expiryS: 8 });
    comesBack(atOnce, 500, 510);
    expect(found(() => atOnce.atTheEnd())).toBe('will lost');
    expect(found(() => atOnce.published(1, 505, 'g1'))).toBe('');
    const delayed = connected(SAFE, { delayS: 1, expiryS: 8 });
    comesBack(delayed, 500, 510);
    expect(found(() => delayed.atTheEnd())).toBe('');
    expect(found(() => delayed.published(1, 5_000, 'g1'))).toBe('will of a client that is back');
  });

  test('a client that comes back late is owed its will where a store is known to have learned of its end in time', () => {
    for (const [closedMs, sentMs, checker] of [
      [510, 2_520, 'will lost'],
      [510, 2_505, ''],
      [NEVER, 2_520, ''],
    ] as const) {
      const check = connected(HARMED, { delayS: 2, expiryS: 8 });
      check.ended(1, 500, true);
      if (closedMs !== NEVER) check.closed(1, closedMs, false);
      comesBack(check, sentMs, sentMs + 10);
      expect([closedMs, sentMs, found(() => check.atTheEnd())]).toEqual([closedMs, sentMs, checker]);
    }
  });

  test('what a DISCONNECT says of its session may not have been heard: its client is back in time all the same', () => {
    const check = connected(HARMED, { delayS: 4, expiryS: 8 });
    check.saidFarewell(1, false, 0);
    check.ended(1, 500, true);
    expect(found(() => check.atTheEnd())).toBe('will lost');
    comesBack(check, 1_000, 1_010);
    expect(found(() => check.atTheEnd())).toBe('');
  });

  test('twice: by one process never, by another where gateways may be gone', () => {
    for (const [mayLose, process, checker] of [
      [HARMED, 'g1', 'will twice'],
      [HARMED, 'g2', ''],
      [SAFE, 'g2', 'will twice'],
    ] as const) {
      const check = connected(mayLose);
      check.ended(1, 500, true);
      check.published(1, 510, 'g1');
      expect(found(() => check.published(1, 520, process))).toBe(checker);
    }
  });

  test('a stream holds it once, whoever published it how often; who is live gets no more than was published', () => {
    const check = connected(HARMED);
    check.ended(1, 500, true);
    check.published(1, 510, 'g1');
    check.kept(1, '1:7', 3);
    expect(found(() => check.kept(1, '1:7', 3))).toBe('');
    expect(found(() => check.kept(1, '1:8', 4))).toBe('');
    expect(found(() => check.kept(1, '1:7', 4))).toBe('will twice');
    expect(found(() => check.cameLive(1, 'a'))).toBe('');
    expect(found(() => check.cameLive(1, 'b'))).toBe('');
    expect(found(() => check.cameLive(1, 'a'))).toBe('will twice');
    check.published(1, 520, 'g2');
    expect(found(() => check.cameLive(1, 'b'))).toBe('');
  });
});
