import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

const { makeDirectory } = nodeFileOperations;
let home: string;

beforeEach(async () => {
  home = await temporaryDirectory();
});
afterAll(removeTemporaryDirectories);

describe('Making a directory', () => {
  test('makes what is missing above it, for this user only, and leaves what is there as it is', async () => {
    await mkdir(join(home, 'there'), { mode: 0o755 });
    await makeDirectory(join(home, 'there', 'a', 'b'));
    expect(await mode('there/a/b')).toBe(0o700);
    expect(await mode('there/a')).toBe(0o700);
    expect(await mode('there')).toBe(0o755);
    await makeDirectory(join(home, 'there'));
    expect(await mode('there')).toBe(0o755);
  });

  test('two that make the same one both have it', async () => {
    await Promise.all([1, 2, 3, 4].map(() => makeDirectory(join(home, 'a', 'b', 'c'))));
    expect((await stat(join(home, 'a', 'b', 'c'))).isDirectory()).toBe(true);
  });

  test('takes a link to a directory for one, and refuses a file, in its path too, and a link to nothing', async () => {
    await mkdir(join(home, 'there'));
    await symlink(join(home, 'there'), join(home, 'link'));
    await symlink(join(home, 'nowhere'), join(home, 'dangling'));
    await writeFile(join(home, 'file'), '');
    await makeDirectory(join(home, 'link', 'a'));
    expect((await stat(join(home, 'there', 'a'))).isDirectory()).toBe(true);
    await expect(makeDirectory(join(home, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeDirectory(join(home, 'file', 'a'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(makeDirectory(join(home, 'dangling'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeDirectory(join(home, 'dangling', 'a'))).rejects.toMatchObject({ code: 'EEXIST' });
  });

  test('fails where a file system has no room for names, rather than asking again without end', async () => {
    await expect(makeDirectory('/proc/sluice/data')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

async function mode(name: string): Promise<number> {
  return (await stat(join(home, name))).mode & 0o777;
}
