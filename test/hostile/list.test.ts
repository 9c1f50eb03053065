import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { expect, test } from '@jest/globals';

/** The table in README.md, and the titles of the tests that it names, say the same. */
const ROOT = join(import.meta.dirname, '../..');
const COUNT = 40;

/** By number, the test files that the table names. */
function listed(): Map<number, string[]> {
  const rows = new Map<number, string[]>();
  const table = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
  for (const [, number, sent, outcome, tests = ''] of table.matchAll(/^\| B(\d+) \| (.+) \| (.+) \| (.*) \|$/gm)) {
    expect([sent, outcome]).not.toContain('');
    const files = [...tests.matchAll(/\]\(([^)]+)\)/g)].map(([, path]) =>
      relative(ROOT, resolve(import.meta.dirname, path as string)),
    );
    expect(rows.has(Number(number))).toBe(false);
    rows.set(Number(number), files.sort());
  }
  return rows;
}

/** By number, the files that have a test, or a row of one, whose title begins with it. */
function tested(): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const path of testFiles().sort()) {
    const numbers = new Set<number>();
    for (const [, list = ''] of readFileSync(join(ROOT, path), 'utf8').matchAll(/['"`]((?:B\d+ )*B\d+): /g)) {
      for (const [number] of list.matchAll(/\d+/g)) numbers.add(Number(number));
    }
    for (const number of numbers) found.set(number, [...(found.get(number) ?? []), path]);
  }
  return found;
}

function testFiles(): string[] {
  const packages = readdirSync(join(ROOT, 'packages')).map((name) => `packages/${name}/test`);
  return ['test', ...packages]
    .filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.test.ts'))
        .map((path) => `${folder}/${path}`),
    );
}

test('every bad input of the list has a test, and every test of it is in the list', () => {
  const rows = listed();
  expect([...rows.keys()]).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
  for (const [number, files] of rows) expect([number, files.length]).not.toEqual([number, 0]);
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(tested()));
});
