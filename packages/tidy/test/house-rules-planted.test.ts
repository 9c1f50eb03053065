import { describe, expect, test } from '@jest/globals';
import { checkBannedWords } from '@sluice/tidy/banned-words';
import { checkDeadExports } from '@sluice/tidy/dead-exports';
import { checkDeadFiles } from '@sluice/tidy/dead-files';
import { checkDeadLinks } from '@sluice/tidy/dead-links';
import { checkElapsedTime } from '@sluice/tidy/elapsed-time';
import { checkFileSize } from '@sluice/tidy/file-size';
import { report } from '@sluice/tidy/finding';
import { checkHotPath } from '@sluice/tidy/hot-path';
import { checkImportCycles } from '@sluice/tidy/import-cycles';
import { checkPurePackages } from '@sluice/tidy/pure-packages';
import { plant } from './planted-tree.ts';

const CHECKS = [checkBannedWords, checkDeadFiles, checkFileSize, checkHotPath, checkPurePackages];

test('a tree that keeps the rules passes them all', () => {
  expect(CHECKS.map((check) => report(check(plant({}))))).toEqual(['', '', '', '', '']);
});

describe('pure packages', () => {
  test.each([
    ["import { readFileSync } from 'node:fs';", 'imports nothing foreign: node:fs'],
    ["import pino from 'pino';", 'imports nothing foreign: pino'],
    ['const t = Date.now();', 'time is an argument'],
    ['const t = new Date();', 'time is an argument'],
    ['const t = performance.now();', 'time is an argument'],
    ['const r = Math.random();', 'chance'],
    ['setTimeout(f, 1);', 'no timers'],
    ['setImmediate(f);', 'no timers'],
    ['queueMicrotask(f);', 'no timers'],
    ['function f(): Promise<void> {}', 'waits for nothing'],
    ['const f = async () => 1;', 'waits for nothing'],
    ['const home = process.env.HOME;', 'no process'],
  ])('%s', (line, message) => {
    const found = report(checkPurePackages(plant({ 'packages/raft/src/raft.ts': `// first\n${line}\n` })));
    expect(found).toMatch(/^packages\/raft\/src\/raft\.ts:2: /);
    expect(found).toContain(message);
  });

  test('hosts may, the clock may, and a sentence may speak of it', () => {
    const tree = plant({
      'packages/gateway/src/x.ts': 'const t = Date.now();',
      'packages/common/src/clock.ts': 'export const now = () => Date.now();',
      'packages/raft/src/raft.ts': "// no Promise, no Date.now here\nconst s = 'async';\nconst d = new Date(nowMs);",
    });
    expect(report(checkPurePackages(tree))).toBe('');
  });
});

describe('elapsed time', () => {
  const at = (line: string): string =>
    report(checkElapsedTime(plant({ 'packages/raft/test/a.test.ts': `\n${line}\n` })));

  test.each([
    'expect(performance.now() - startedMs).toBeLessThan(900);',
    'expect(Date.now() - began).toBeLessThanOrEqual(2 * MS);',
    'expect(\n  performance.now() - startedMs,\n).toBeLessThan(900);',
  ])('%s', (line) => {
    expect(at(line)).toMatch(/^packages\/raft\/test\/a\.test\.ts:2: /);
  });

  test('a lower bound, and a bound of anything else, may be', () => {
    expect(at('expect(performance.now() - droppedMs).toBeGreaterThanOrEqual(990);')).toBe('');
    expect(at('const ms = performance.now() - x;\nexpect(asked).toBeLessThan(3);')).toBe('');
  });
});

describe('dead links', () => {
  const at = (text: string): string =>
    report(
      checkDeadLinks(plant({ 'docs/a.md': `# A page\n${text}\n`, 'docs/b.md': '## What is *there*, and `how`?\n' })),
    );

  test.each(['[b](c.md)', '[b](../b.md)', '[b](b.md#elsewhere)', '[a](#nowhere)', '[f](folder)', '`npm run nothing`'])(
    '%s',
    (text) => {
      expect(at(text)).toMatch(/^docs\/a\.md:2: /);
    },
  );

  test('a walk past a module that is gone', () => {
    const walk = (line: string): string => report(checkDeadLinks(plant({ 'packages/README.md': `1. ${line}\n` })));
    expect(walk('`gateway/gateway` takes it')).toBe('');
    expect(walk('`gateway/deliver/gone` takes it')).toBe(
      'packages/README.md:1: gateway/deliver/gone: there is no such module',
    );
  });

  test('what is there, and addresses elsewhere', () => {
    const links =
      '[b](b.md) [h](b.md#what-is-there-and-how) [self](#a-page) [folder](../docs) [web](https://example.org/x)';
    expect(at(links)).toBe('');
  });
});

describe('banned words', () => {
  const source = 'packages/gateway/src/x.ts';
  test.each([
    [source, '// TODO later'],
    ['README.md', 'FIXME'],
    ['test/demo/run.mjs', '// XXX'],
    [source, 'const a = b as any;'],
    [source, 'function f(a: any): void {}'],
    [source, 'const a: Array<any> = [];'],
    [source, '// @ts-ignore'],
    [source, 'export default 1;'],
    [source, 'console.log(1);'],
    ['packages/gateway/src/utils.ts', ''],
    ['packages/gateway/src/utils/x.ts', ''],
    ['packages/gateway/DESIGN.md', 'see /work/main/x'],
    ['package-lock.json', '"resolved": "https://npm.example.com/a.tgz"'],
    ['docs/a.md', 'from registry.npmjs.org'],
    ['.npmrc', 'registry=https://npm.example.com'],
  ])('%s with %s', (path, text) => {
    expect(report(checkBannedWords(plant({ [path]: text })))).toContain(path);
  });

  test.each([
    ['jest.config.mjs', 'export default {};'],
    ['packages/admin/src/cli.ts', 'console.log(1);'],
    [source, "const s = 'as any'; // any of them: any"],
    [source, 'const company = many; // network/root cause'],
    ['package-lock.json', '"resolved": "packages/x"'],
  ])('%s may hold %s', (path, text) => {
    expect(report(checkBannedWords(plant({ [path]: text })))).toBe('');
  });
});

describe('dead files', () => {
  const path = 'packages/gateway/src/left.ts';
  test('a file nobody imports, nor one that only its own tests import', () => {
    expect(report(checkDeadFiles(plant({ [path]: '' })))).toBe(`${path}: nobody imports it`);
    const test = { [path]: '', 'packages/gateway/test/left.test.ts': "import '@sluice/gateway/left';" };
    expect(report(checkDeadFiles(plant(test)))).toContain(path);
    expect(report(checkDeadFiles(plant({ [path]: "import './left.ts';" })))).toContain(path);
  });

  test('imported by a type, by another package, by the tests of the whole, or a command: alive', () => {
    for (const [from, text] of [
      ['packages/common/src/bytes.ts', "import type { X } from '@sluice/gateway/left';"],
      ['packages/server/test/x.test.ts', "import '@sluice/gateway/left';"],
      ['test/harness/x.ts', "import { x } from '@sluice/gateway/left';"],
      ['packages/gateway/package.json', '{"bin":{"gateway":"./dist/left.js"}}'],
      ['packages/gateway/src/gateway.ts', "import './reader.ts'; new Worker(new URL('./left.js', import.meta.url));"],
    ] as const) {
      const tree = plant({ 'packages/common/src/other.ts': "import './bytes.ts';", [path]: '', [from]: text });
      expect(report(checkDeadFiles(tree))).not.toContain(path);
    }
  });
});

describe('dead exports', () => {
  const path = 'packages/gateway/src/other.ts';
  const at = (declaration: string, importing = '') =>
    report(checkDeadExports(plant({ [path]: `\n${declaration}\n`, 'packages/gateway/test/other.test.ts': importing })));

  test.each(['const left = 1;', 'function left() {}', 'async function left() {}', 'class left {}'])(
    '%s',
    (declaration) => {
      expect(at(`export ${declaration}`)).toBe(`${path}:2: nobody imports left: it is no export`);
      expect(at(`export ${declaration}`, "import { right } from '../src/other.ts';")).toContain('nobody imports left');
      expect(at(`export ${declaration}`, "import { right, left as l } from '../src/other.ts';")).toBe('');
      expect(at(`export ${declaration}`, "import {\n  type right,\n  left,\n} from '@sluice/gateway/other';")).toBe('');
      expect(at(`export ${declaration}`, "const all = await import('../src/other.ts');")).toBe('');
      expect(at(declaration)).toBe('');
    },
  );

  test('a type may be for who calls', () => {
    expect(at('export interface Left {}\nexport type Also = Left;')).toBe('');
  });
});

describe('file size', () => {
  test('501 lines of source are too many; of tests they are not', () => {
    const text = 'x;\n'.repeat(501);
    const tree = plant({ 'packages/gateway/src/gateway.ts': text, 'packages/gateway/test/x.test.ts': text });
    expect(report(checkFileSize(tree))).toBe(
      'packages/gateway/src/gateway.ts: 501 lines, 500 at most: split it by role',
    );
    expect(report(checkFileSize(plant({ 'packages/gateway/src/gateway.ts': 'x;\n'.repeat(500) })))).toBe('');
  });
});

describe('hot path', () => {
  const check = (text: string) => report(checkHotPath(plant({ 'packages/gateway/src/hot.ts': text })));
  const tag = '/** @hotpath */\n';
  test.each([
    ['async function f() {}', 'completion is a range'],
    ['function f() { return Promise.resolve(); }', 'completion is a range'],
    ['for (const a of b) setImmediate(a);', 'timer'],
    ['for (const a of b) { c.push(() => a); }', 'closure'],
    ['while (a) b.map((c) => c);', 'closure'],
    ['do { f(function () {}); } while (a);', 'closure'],
    ['for (;;) { f({ ...a }); }', 'copy'],
  ])('%s', (line, message) => {
    expect(check(tag + line)).toContain(`packages/gateway/src/hot.ts:2: `);
    expect(check(tag + line)).toContain(message);
    expect(check(line)).toBe('');
  });

  test('a closure outside loops, or one built once, is no cost a message', () => {
    expect(check(`${tag}const f = () => 1;\nfor (const a of b) { f(a); }\nconst g = [...h];`)).toBe('');
  });
});

describe('import cycles', () => {
  const other = 'packages/gateway/src/other.ts';
  const back = (line: string) =>
    report(
      checkImportCycles(
        plant({ [other]: `${line}\n`, 'packages/gateway/src/reader.ts': "import { a } from './other.ts';\n" }),
      ),
    );

  test.each([
    ["import { b } from './gateway.ts';"],
    ["import {\n  b,\n} from './gateway.ts';"],
    ["export { b } from './gateway.ts';"],
    ["import './gateway.ts';"],
    ["import { b } from '@sluice/gateway/gateway';"],
  ])('%s', (line) => {
    expect(back(line)).toContain('packages/gateway/src/gateway.ts: imports itself: -> packages/gateway/src/reader.ts');
  });

  test.each([
    ["import type { b } from './gateway.ts';"],
    ["export type { b } from './gateway.ts';"],
    ["const { b } = await import('./gateway.ts');"],
    ["// import { b } from './gateway.ts';"],
  ])('not: %s', (line) => {
    expect(back(line)).toBe('');
  });
});
