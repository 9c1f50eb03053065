import { expect, test } from '@jest/globals';
import { openFilesLimit, parseOpenFilesLimit, shareOpenFiles } from '../../src/node/open-files.ts';

test.each([
  [1_048_576, 100_000, { connectionsMax: 100_000, apiConnectionsMax: 1_000 }],
  [20_000, 100_000, { connectionsMax: 18_488, apiConnectionsMax: 1_000 }],
  [1_024, 100_000, { connectionsMax: 640, apiConnectionsMax: 128 }],
  [1_024, 50, { connectionsMax: 50, apiConnectionsMax: 128 }],
  [undefined, 100_000, { connectionsMax: 100_000, apiConnectionsMax: 1_000 }],
])('of %s open files with %s connections asked for', (limit, asked, shares) => {
  expect(shareOpenFiles(limit, asked)).toEqual(shares);
});

test('whatever the limit, a part is left to the storage', () => {
  for (let limit = 16; limit < 5_000; limit++) {
    const { connectionsMax, apiConnectionsMax } = shareOpenFiles(limit, 1_000_000);
    expect(limit - connectionsMax - apiConnectionsMax).toBeGreaterThanOrEqual(Math.min(512, limit / 4));
  }
});

test('the limit as Linux writes it', () => {
  const limits =
    'Limit      Soft Limit  Hard Limit  Units\nMax open files            20000                524288               files     \n';
  expect(parseOpenFilesLimit(limits)).toBe(20_000);
  expect(parseOpenFilesLimit('Max open files   unlimited  unlimited  files\n')).toBeUndefined();
  expect(parseOpenFilesLimit('')).toBeUndefined();
  if (process.platform === 'linux') expect(openFilesLimit()).toBeGreaterThan(0);
});
