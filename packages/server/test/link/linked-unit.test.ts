import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { evaluator, type LinkedModule } from '../../src/link/linked-file.ts';
import { linkedUnit } from '../../src/link/linked-unit.ts';

const FILE = fileURLToPath(new URL('../../src/link/linked-unit.ts', import.meta.url));
const OTHER = fileURLToPath(new URL('../../src/link/linked-file.ts', import.meta.url));

/** Modules as the linked file has them: the one under test is number 0. */
function link(source: string, ...others: LinkedModule[]) {
  const files: string[] = [];
  const unit = linkedUnit(
    FILE,
    source,
    (file) => 1 + (files.includes(file) ? files.indexOf(file) : files.push(file) - 1),
  );
  const module = new Function(`'use strict'; return ${unit.text}`)() as LinkedModule;
  const need = evaluator([module, ...others], ['file:///zero.js', 'file:///one.js', 'file:///two.js']);
  return { ...unit, files, value: () => need(0) as Record<string, unknown> };
}

describe('a module in the linked file', () => {
  test('exports what it declared, under the names it gave', () => {
    const { exports, value } = link(
      [
        'export class A {}',
        'export const b = 2;',
        'export function c() { return 3; }',
        'export async function d() {}',
        'export function* e() {}',
        'class F {}',
        'export { F as G, F };',
      ].join('\n'),
    );
    expect(exports).toEqual(['A', 'b', 'c', 'd', 'e', 'G', 'F']);
    const module = value();
    expect(Object.keys(module).sort()).toEqual([...exports].sort());
    expect(module.b).toBe(2);
    expect(module.G).toBe(module.F);
  });

  test('has what it imports, each evaluated once', () => {
    let runs = 0;
    const other: LinkedModule = () => {
      runs++;
      return { a: 1, b: 2 };
    };
    const source = [
      "import { join } from 'node:path';",
      "import fs, { existsSync } from 'node:fs';",
      "import * as os from 'node:os';",
      "import { a, b as c } from './linked-file.ts';",
      "export { b } from './linked-file.ts';",
      'export const sum = a + c;',
      "export const same = fs.existsSync === existsSync && typeof join === 'function' && typeof os.cpus === 'function';",
    ].join('\n');
    const { imports, files, value } = link(source, other);
    expect(value()).toEqual({ b: 2, sum: 3, same: true });
    expect(value()).toBe(value());
    expect(runs).toBe(1);
    expect(files).toEqual([OTHER]);
    expect(imports).toEqual([OTHER, OTHER]);
  });

  test('imports later what it imported later', async () => {
    let runs = 0;
    const other: LinkedModule = () => {
      runs++;
      return { a: 1 };
    };
    const { imports, value } = link(
      "export async function go() { return (await import('./linked-file.ts')).a; }",
      other,
    );
    const { go } = value() as { go(): Promise<number> };
    expect(imports).toEqual([]);
    expect(runs).toBe(0);
    await expect(go()).resolves.toBe(1);
    expect(runs).toBe(1);
  });

  test('knows where it stands, not where the linked file does', () => {
    expect(link('export const here = import.meta.url;').value()).toEqual({ here: 'file:///zero.js' });
  });

  test('keeps its lines, loses its comments, and is ASCII', () => {
    const source =
      "import { join } from 'node:path';\n/**\n * Über.\n */\n// Größe\nexport const word = 'größer'; // ä\n";
    const { text, value } = link(source);
    expect(text.split('\n')[5]).toMatch(/^const word = /);
    expect(text).not.toContain('/**');
    expect(text).toMatch(/^[\n -~]*$/);
    expect(value()).toEqual({ word: 'größer' });
  });

  test('keeps what looks like a comment in a text of several lines', () => {
    const source = 'export const text = `one\n// two\n/** three */\n`;\n';
    expect(link(source).value()).toEqual({ text: 'one\n// two\n/** three */\n' });
  });

  test.each([
    ['export let a = 1;'],
    ['export default class {}'],
    ["export * from './linked-file.ts';"],
    ["import a from './linked-file.ts';"],
  ])('is refused when it is written otherwise: %s', (source) => {
    expect(() => link(source)).toThrow(source);
  });
});
