import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { finishSetAside, setAside } from '@sluice/storage/set-aside';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

async function damagedDirectory(): Promise<string> {
  const directory = await temporaryDirectory();
  for (const name of ['log', 'state', 'images']) {
    await mkdir(join(directory, name));
    await writeFile(join(directory, name, 'file'), name);
  }
  await writeFile(join(directory, 'identity'), 'me');
  await writeFile(join(directory, 'server.crt'), 'kept');
  return directory;
}

describe('a data directory that is set aside', () => {
  test('is blank afterwards, and nothing of it is lost', async () => {
    const directory = await damagedDirectory();
    const options = { keep: ['server.crt'] };
    expect(await setAside(directory, options)).toBe(join(directory, 'damaged-1'));
    expect((await readdir(directory)).sort()).toEqual(['damaged-1', 'server.crt']);
    expect(await readFile(join(directory, 'damaged-1', 'log', 'file'), 'utf8')).toBe('log');
    expect(await readFile(join(directory, 'damaged-1', 'identity'), 'utf8')).toBe('me');
    await writeFile(join(directory, 'identity'), 'me again');
    expect(await setAside(directory, options)).toBe(join(directory, 'damaged-2'));
    expect((await readdir(directory)).sort()).toEqual(['damaged-1', 'damaged-2', 'server.crt']);
    expect(await finishSetAside(directory)).toBeUndefined();
    expect(await finishSetAside(join(directory, 'nowhere'))).toBeUndefined();
  });

  test('interrupted anywhere, the next start completes it', async () => {
    for (let failAt = 1; failAt <= 5; failAt++) {
      const directory = await damagedDirectory();
      const files = new FaultyFiles();
      let renames = 0;
      files.onRename = () => (++renames >= failAt ? 'EIO' : undefined);
      expect([failAt, await codeOf(setAside(directory, { files, keep: ['server.crt'] }))]).toEqual([failAt, 'EIO']);
      expect(await finishSetAside(directory, { keep: ['server.crt'] })).toBe(join(directory, 'damaged-1'));
      expect((await readdir(directory)).sort()).toEqual(['damaged-1', 'server.crt']);
      expect((await readdir(join(directory, 'damaged-1'))).sort()).toEqual(['identity', 'images', 'log', 'state']);
    }
  });
});
