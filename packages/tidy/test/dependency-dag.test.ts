import { describe, expect, test } from '@jest/globals';
import { ALLOWED_IMPORTS, checkDependencyDag } from '@sluice/tidy/dependency-dag';
import { report } from '@sluice/tidy/finding';
import { plant } from './planted-tree.ts';

const ALLOWED = { common: [], gateway: ['common'] };

function check(files: Record<string, string>): string {
  return report(checkDependencyDag(plant(files), ALLOWED));
}

test('the table has no way round in a circle', () => {
  const reached = (name: string, path: string[]): void => {
    expect(path).not.toContain(name);
    for (const next of ALLOWED_IMPORTS[name] ?? []) reached(next, [...path, name]);
  };
  for (const name of Object.keys(ALLOWED_IMPORTS)) reached(name, []);
});

test('a tree that keeps the rule passes', () => {
  expect(check({})).toBe('');
});

describe('finds', () => {
  const gateway = 'packages/gateway/src/gateway.ts';
  test.each([
    ['an upward import', 'packages/common/src/bytes.ts', "import { x } from '@sluice/gateway/gateway';", 'not among'],
    ['an undeclared library', gateway, "\nimport x from 'left-pad';", ':2: left-pad is not among'],
    ['a dynamic import', gateway, "const x = import('@sluice/store/store');", '@sluice/store is not among'],
    ['a way around the name', gateway, "import { a } from '../../common/src/bytes.ts';", 'leaves the package'],
    ['a missing extension', gateway, "import { a } from './reader';", 'real extension'],
  ])('%s', (_, path, text, message) => {
    expect(check({ [path]: text })).toContain(message);
  });

  test('an adapter outside the composition root', () => {
    const files = {
      'packages/gateway/package.json': '{"dependencies":{"@sluice/storage":"1"}}',
      [gateway]: "import { x } from '@sluice/storage/rocksdb/rocksdb-engine';",
    };
    expect(check(files)).toContain('bound by server and bench alone');
  });

  test('a development dependency outside of the folder that measures others, and a way into that folder', () => {
    const manifest = { 'packages/bench/package.json': '{"devDependencies":{"aedes":"1"}}' };
    const library = "import { Aedes } from 'aedes';";
    expect(check({ ...manifest, 'packages/bench/src/run/run.ts': library })).toContain('aedes is not among');
    expect(check({ ...manifest, 'packages/bench/src/peers/aedes.ts': library })).not.toContain('aedes is not');
    const inward = "import { AEDES } from '../peers/aedes.ts';";
    expect(check({ ...manifest, 'packages/bench/src/run/run.ts': inward })).toContain('needs development dependencies');
    const command = "import { AEDES } from './peers/aedes.ts';";
    expect(check({ ...manifest, 'packages/bench/src/bin.ts': command })).not.toContain('needs development');
  });

  test('a manifest or a project that differs from the table, either way', () => {
    expect(check({ 'packages/common/package.json': '{"dependencies":{"@sluice/gateway":"1"}}' })).toContain(
      'dependencies name gateway',
    );
    expect(check({ 'packages/gateway/tsconfig.json': '{"references":[]}' })).toContain('references lack common');
    expect(check({ 'packages/new/package.json': '{}' })).toContain('no line for new');
  });
});
