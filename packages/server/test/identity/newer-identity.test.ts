import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readIdentity } from '../../src/identity/node-identity.ts';

test('a directory of a newer version is not said to be damaged, and nobody is told to empty it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-newer-'));
  try {
    await writeFile(join(directory, 'node.json'), JSON.stringify({ format: 99, incarnation: 'a disk', member: null }));
    await expect(readIdentity(directory)).rejects.toMatchObject({
      code: 'NEWER_FORMAT',
      hint: expect.stringContaining('version'),
    });
    await writeFile(join(directory, 'node.json'), '{');
    await expect(readIdentity(directory)).rejects.toMatchObject({ code: 'IDENTITY_DAMAGED' });
  } finally {
    await rm(directory, { recursive: true });
  }
});
