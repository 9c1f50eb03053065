import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { readNote, removeNote, writeNote } from '@sluice/storage/note-file';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

describe('a note', () => {
  test('is what was written last, or not there', async () => {
    const path = join(await temporaryDirectory(), 'a.note');
    expect(await readNote(path, nodeFileOperations)).toBeUndefined();
    await writeNote(path, Buffer.from('one'), nodeFileOperations);
    await writeNote(path, Buffer.from(''), nodeFileOperations);
    await writeNote(path, Buffer.from('two'), nodeFileOperations);
    expect(Buffer.from((await readNote(path, nodeFileOperations)) as Uint8Array).toString()).toBe('two');
    await removeNote(path, nodeFileOperations);
    expect(await readNote(path, nodeFileOperations)).toBeUndefined();
  });

  test('that cannot be replaced stays as it was, and a damaged one is not believed', async () => {
    const path = join(await temporaryDirectory(), 'a.note');
    const files = new FaultyFiles();
    await writeNote(path, Buffer.from('one'), files);
    files.onSync = () => 'EIO';
    expect(await codeOf(writeNote(path, Buffer.from('two'), files))).toBe('EIO');
    expect(Buffer.from((await readNote(path, files)) as Uint8Array).toString()).toBe('one');
    const bytes = await readFile(path);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
      await writeFile(path, damaged);
      expect([at, await codeOf(readNote(path, files))]).toEqual([at, 'NOTE_DAMAGED']);
    }
    await writeFile(path, bytes.subarray(0, 5));
    expect(await codeOf(readNote(path, files))).toBe('NOTE_DAMAGED');
  });

  test('on a place of the disk that cannot be read is a damaged one', async () => {
    const path = join(await temporaryDirectory(), 'a.note');
    const files = new FaultyFiles();
    await writeNote(path, Buffer.from('one'), files);
    files.onRead = () => 'EIO';
    expect(await codeOf(readNote(path, files))).toBe('NOTE_DAMAGED');
    expect(files.opened).toBe(0);
  });
});
