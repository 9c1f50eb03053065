import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { CODE_SUFFIX, LINKED_FILE, LINKED_INDEX, type LinkedIndex } from './linked-file.ts';
import { type LinkedUnit, linkedUnit } from './linked-unit.ts';

/**
 * The last step of a build: all modules that the `sluice` command may ever run, in one file.
 *
 * Node.js finds, reads and compiles each module by itself, which for four hundred of them is half of a start and a tenth
 * of an idle node's memory. In the linked file they are functions that run when they are first needed, so what is
 * imported late costs nothing before. Packages of others stay where they are.
 *
 *   node packages/server/dist/link/link-command.js
 */
const ENTRY = fileURLToPath(new URL('../command.js', import.meta.url));
const BUILD_INFO = '.tsbuildinfo';

const units: LinkedUnit[] = [];
const numbers = new Map<string, number>();

function numberOf(file: string): number {
  const number = numbers.get(file) ?? numbers.size;
  numbers.set(file, number);
  return number;
}

numberOf(ENTRY);
// Grows while it is walked: each unit names those it needs.
for (const [file, number] of numbers) units[number] = linkedUnit(file, readFileSync(file, 'utf8'), numberOf);
refuseCycles();
await compareExports();
const sizeBytes = write();
process.stdout.write(`linked ${units.length} modules, ${Math.round(sizeBytes / 1024)} KB\n`);
// A build without it is whole; its starts only take longer.
spawnSync(process.execPath, [fileURLToPath(new URL('warm-command.js', import.meta.url))], { stdio: 'inherit' });

/** A unit gives what it exports when it has run: in a cycle somebody would get nothing. */
function refuseCycles(): void {
  const done = new Set<string>();
  const walk: string[] = [];
  const visit = (file: string): void => {
    if (done.has(file)) return;
    if (walk.includes(file)) {
      throw new Error(`modules that import each other cannot be linked:\n${[...walk, file].join('\n')}`);
    }
    walk.push(file);
    for (const module of units[numberOf(file)]?.imports ?? []) visit(module);
    walk.pop();
    done.add(file);
  };
  for (const file of numbers.keys()) visit(file);
}

/** The text was put together without understanding it. Node.js does, and says what each module really exports. */
async function compareExports(): Promise<void> {
  for (const { file, exports } of units) {
    const expected = Object.keys((await import(pathToFileURL(file).href)) as object).sort();
    const found = exports.toSorted();
    if (expected.join() !== found.join())
      throw new Error(`${file} exports ${expected}, and ${found} when it is linked`);
  }
}

function write(): number {
  const folder = dirname(fileURLToPath(LINKED_INDEX));
  const url = (file: string): string => relative(folder, file).split(sep).join('/');
  const index: LinkedIndex = { modules: [], lines: [], builds: [], code: '' };
  const builds = new Set<string>();
  // The first line is the array's, and says what modules need not say.
  let line = 2;
  for (const { file, text } of units) {
    index.modules.push(url(file));
    index.lines.push(line);
    line += text.split('\n').length;
    builds.add(buildOf(file));
  }
  index.builds = [...builds].map(url);
  const text = `'use strict'; [\n${units.map((unit) => unit.text).join(',\n')}\n];\n`;
  new Script(text, { filename: fileURLToPath(LINKED_FILE) });
  index.code = `${createHash('sha256').update(text).digest('hex').slice(0, 16)}${CODE_SUFFIX}`;
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) if (name.endsWith(CODE_SUFFIX)) rmSync(join(folder, name));
  replace(fileURLToPath(LINKED_INDEX), JSON.stringify(index));
  replace(fileURLToPath(LINKED_FILE), text);
  return text.length;
}

/** What the compiler writes last in a package. */
function buildOf(file: string): string {
  let folder = dirname(file);
  while (!existsSync(join(folder, BUILD_INFO))) {
    if (dirname(folder) === folder) throw new Error(`${file} belongs to no build`);
    folder = dirname(folder);
  }
  return join(folder, BUILD_INFO);
}

/** Whole or not at all: somebody may be starting. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
