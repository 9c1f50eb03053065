import { expect, test } from '@jest/globals';
import { rocksDbError, rocksDbOpenError } from '@sluice/storage/rocksdb/rocksdb-errors';

const OPEN = 'While open a file for random read: /data/state/000012.sst: Too many open files';

test.each([
  ['IO error: No space left on deviceWhile appending to file: /data/state/000012.log', 'STATE_FULL'],
  [`IO error: ${OPEN}`, 'FILES_EXHAUSTED'],
])('%s: it may be tried again, and nothing is damaged', (message, code) => {
  for (const told of [rocksDbError, rocksDbOpenError]) {
    expect(told('/data/state', new Error(message))).toMatchObject({ code, retriable: true });
  }
});

test('what is wanted of a user is said of a descriptor that is missing, not of the disk', () => {
  const error = rocksDbError('/data/state', new Error(`IO error: ${OPEN}`));
  expect(error.message).toContain('no file descriptor');
  expect(error.hint).toContain('ulimit -n');
});
