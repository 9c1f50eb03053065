import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checkBannedWords } from '@sluice/tidy/banned-words';
import { checkDeadExports } from '@sluice/tidy/dead-exports';
import { checkDeadFiles } from '@sluice/tidy/dead-files';
import { checkDeadLinks } from '@sluice/tidy/dead-links';
import { checkDependencyDag } from '@sluice/tidy/dependency-dag';
import { checkElapsedTime } from '@sluice/tidy/elapsed-time';
import { checkFileSize } from '@sluice/tidy/file-size';
import { report } from '@sluice/tidy/finding';
import { checkHotPath } from '@sluice/tidy/hot-path';
import { checkImportCycles } from '@sluice/tidy/import-cycles';
import { checkPurePackages } from '@sluice/tidy/pure-packages';
import { readSourceTree } from '@sluice/tidy/source-tree';

const tree = readSourceTree(join(import.meta.dirname, '../../..'));

describe('this repository keeps the house rules', () => {
  test('it was read', () => {
    expect(tree.has('packages/common/src/assert.ts')).toBe(true);
    expect(tree.has('package-lock.json')).toBe(true);
    expect([...tree.keys()].filter((path) => path.includes('node_modules'))).toEqual([]);
  });

  test.each([
    ['packages import only what they may', checkDependencyDag],
    ['pure packages are pure', checkPurePackages],
    ['no banned words', checkBannedWords],
    ['no file is forgotten', checkDeadFiles],
    ['no export is without somebody who imports it', checkDeadExports],
    ['documents point to what is there', checkDeadLinks],
    ['no file is too long', checkFileSize],
    ['no test is about how fast its machine is', checkElapsedTime],
    ['no module imports itself by way of others', checkImportCycles],
    ['the hot path is free of what costs a message', checkHotPath],
  ])('%s', (_, check) => {
    expect(report(check(tree))).toBe('');
  });
});
