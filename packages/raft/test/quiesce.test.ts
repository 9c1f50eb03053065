import { expect, test } from '@jest/globals';
import { Stage, VERBS } from './support/script-verbs.ts';

function play(stage: Stage, lines: readonly string[]): void {
  for (const line of lines) {
    const [verb, ...words] = line.split(' ');
    VERBS[verb as string]?.(stage, words);
  }
}

test('a notice that comes late is refused: the follower has more by then, or less', () => {
  const stage = new Stage();
  play(stage, ['group 3', 'campaign 1', 'stabilize', 'propose 1 a', 'stabilize', 'tick 1 1', 'stabilize']);
  const notice = stage.peer('1').group.quiesce();
  if (notice === undefined) throw new Error('an idle leader sleeps');
  // It woke again before the notice arrived.
  play(stage, ['propose 1 b', 'stabilize']);
  expect(stage.peer('2').group.followQuiesce(notice)).toBe(false);
  expect(stage.peer('3').group.followQuiesce({ ...notice, lastIndex: notice.lastIndex + 2 })).toBe(false);
  expect(stage.peer('2').group.followQuiesce({ ...notice, lastIndex: notice.lastIndex + 1 })).toBe(true);
});

test('a notice of another leader, or of another term, is refused', () => {
  const stage = new Stage();
  play(stage, ['group 3', 'campaign 1', 'stabilize', 'tick 1 1', 'stabilize']);
  const notice = stage.peer('1').group.quiesce();
  if (notice === undefined) throw new Error('an idle leader sleeps');
  expect(stage.peer('2').group.followQuiesce({ ...notice, leader: 3 })).toBe(false);
  expect(stage.peer('2').group.followQuiesce({ ...notice, term: notice.term + 1 })).toBe(false);
});
