import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { dropDependency } from '../src/rocksdb/elf-dependencies.ts';
import { loadNativeCodeApart } from '../src/rocksdb/native-code.ts';
import { openRocksDbEngine } from '../src/rocksdb/rocksdb-engine.ts';

const PACKAGE = dirname(createRequire(import.meta.url).resolve('rocksdb'));
const PREBUILT = join(PACKAGE, 'prebuilds/linux-x64/node.napi.glibc.node');
const isStdLibrary = (name: string): boolean => name.startsWith('libstdc++');
/** Elsewhere there is nothing to be loaded apart, and no such file to look at. */
const onLinux = process.platform === 'linux' && process.arch === 'x64' && !existsSync('/etc/alpine-release');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-native-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a dependency', () => {
  test('is taken off a shared object once, and nothing else is touched', () => {
    const before = readFileSync(PREBUILT);
    const after = Buffer.from(before);
    expect(dropDependency(after, isStdLibrary)).toBe(true);
    let changed = 0;
    for (let i = 0; i < before.length; i++) if (before[i] !== after[i]) changed++;
    expect(changed).toBeGreaterThan(0);
    expect(changed).toBeLessThanOrEqual(8);
    expect(dropDependency(after, isStdLibrary)).toBe(false);
  });

  test('that is not there, or of what is no such object, is left alone', () => {
    const binary = readFileSync(PREBUILT);
    expect(dropDependency(Buffer.from(binary), (name) => name === 'libnone.so')).toBe(false);
    // The last one is never taken: there would be nothing to say instead.
    expect(dropDependency(Buffer.from(binary), () => true)).toBe(false);
    for (const rubbish of [Buffer.alloc(0), Buffer.from('no object at all'), Buffer.alloc(200, 0xff)]) {
      expect(dropDependency(rubbish, () => true)).toBe(false);
    }
  });
});

(onLinux ? describe : describe.skip)('the binary that is bound to itself', () => {
  test('stores and reads, and leaves no file', async () => {
    loadNativeCodeApart(PACKAGE, folder);
    expect(readFileSync('/proc/self/maps', 'latin1')).toContain(join(folder, 'rocksdb-native-'));
    expect(await readdir(folder)).toEqual([]);
    const engine = await openRocksDbEngine(join(folder, 'state'));
    await engine.write([{ key: Buffer.from('k'), value: Buffer.from('v') }], { sync: true });
    expect(await engine.get(Buffer.from('k'))).toEqual(Buffer.from('v'));
    await engine.close();
  });

  test('is loaded from the folder for temporary files where the first one cannot be written', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    loadNativeCodeApart(PACKAGE, file);
    expect(await readdir(folder)).toEqual(['file']);
  });
});
