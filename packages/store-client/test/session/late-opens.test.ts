import { expect, test } from '@jest/globals';
import { LateOpens, type OpenRequest } from '../../src/session/late-opens.ts';

const open = (requestId: number): OpenRequest => ({
  type: 'open',
  requestId,
  partition: 1,
  clientId: `c${requestId}`,
  identity: '',
  cleanStart: false,
  expiryS: 60,
  ticket: requestId,
  will: undefined,
});

test('of too many the oldest is forgotten, and of one that is not remembered nothing is undone', () => {
  const late = new LateOpens();
  for (let id = 1; id <= LateOpens.REMEMBERED_MAX + 1; id++) late.remember(open(id), 0);
  expect(late.size).toBe(LateOpens.REMEMBERED_MAX);
  expect(late.begunBy(1, 5)).toBeUndefined();
  expect(late.begunBy(2, 5)).toEqual({ partition: 1, clientId: 'c2', expiryS: 60, epoch: 5 });
});

test('an answer that keeps nothing, or says what was answered before, began nothing', () => {
  const late = new LateOpens();
  late.remember(open(1), 5);
  expect([late.begunBy(1, 0), late.begunBy(1, 5)]).toEqual([undefined, undefined]);
});
