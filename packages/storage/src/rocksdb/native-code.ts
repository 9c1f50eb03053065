import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import { dropDependency } from './elf-dependencies.ts';

const PREBUILT = join('prebuilds', 'linux-x64', 'node.napi.glibc.node');
/** Where the package looks for its binary before it looks into itself. */
const ELSEWHERE = 'ROCKSDB_PREBUILD';

/**
 * Brings RocksDB's binary into a process of Node.js 22 or later on Linux with glibc.
 *
 * It was compiled with the strings of an older C++ library. From version 22 on the `node` executable has functions of its own for
 * regular expressions, under the same names and with newer strings. The dynamic linker gives an addon the executable's, and the
 * process ends while it loads (`std::bad_alloc`). To bind the addon to its own functions first (RTLD_DEEPBIND) is the obvious
 * answer and not enough: it then takes libstdc++'s data too, of which the executable holds the copy that counts, and the process
 * ends with `std::bad_cast`. So what is bound to itself is a copy of the binary that does not name libstdc++, which every `node`
 * has loaded already: functions are its own, and data that of the process.
 *
 * The copy is gone from the disk as soon as it is loaded.
 */
export function loadNativeCodeApart(packageDirectory: string, beside: string): void {
  const prebuilt = join(packageDirectory, PREBUILT);
  if (!existsSync(prebuilt)) return;
  const binary = readFileSync(prebuilt);
  if (!dropDependency(binary, (name) => name.startsWith('libstdc++.so'))) return;
  const refusals: string[] = [];
  for (const parent of [beside, tmpdir()]) {
    try {
      loadCopy(parent, binary);
      return;
    } catch (cause) {
      refusals.push((cause as Error).message);
    }
  }
  throw new SluiceError('NATIVE_CODE_REFUSED', `RocksDB's binary cannot be loaded: ${refusals.join('; ')}`, {
    hint: 'Node.js 22 and later load a copy of it from the data directory or the one for temporary files: mount one of them without noexec and writable, or use Node.js 20',
  });
}

/** Later versions have the symbols that are in the way; on other systems nobody takes an executable's before its own. */
export function needsNativeCodeApart(): boolean {
  const major = Number(process.versions.node.split('.')[0]);
  const isGlibc = process.platform === 'linux' && process.arch === 'x64' && !existsSync('/etc/alpine-release');
  return isGlibc && major >= 22;
}

function loadCopy(parent: string, binary: Buffer): void {
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, 'rocksdb-native-'));
  try {
    const copy = join(directory, PREBUILT);
    mkdirSync(dirname(copy), { recursive: true });
    writeFileSync(copy, binary, { mode: 0o700 });
    process.dlopen({ exports: {} }, copy, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_DEEPBIND);
    // Loaded again by name it is the same one: what it is bound to was decided above.
    process.env[ELSEWHERE] = directory;
    createRequire(import.meta.url)('rocksdb');
  } finally {
    delete process.env[ELSEWHERE];
    rmSync(directory, { recursive: true, force: true });
  }
}
