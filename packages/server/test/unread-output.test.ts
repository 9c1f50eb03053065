import { EventEmitter } from 'node:events';
import { expect, test } from '@jest/globals';
import { whenUnread } from '../src/unread-output.ts';

test('an output that nobody reads any more ends what writes it, and is no error', () => {
  const output = new EventEmitter();
  let ends = 0;
  whenUnread(output, () => ends++);
  output.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  expect(ends).toBe(1);
  expect(() => output.emit('error', new Error('of a test'))).toThrow('of a test');
  expect(ends).toBe(1);
});
