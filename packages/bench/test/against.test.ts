import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CommitTree } from '@sluice/bench/against/commit-tree';
import { againstReport, isTold, type Pair, ratiosOf } from '@sluice/bench/against/ratios';
import { pairsOf } from '@sluice/bench/against/run-against';
import { TABLE_COLUMNS } from '@sluice/bench/report/figures-table';
import type { Figures, Measurement } from '@sluice/bench/run/measurement';

const pairs = (what: string, ...rounds: [number, number][]): Pair[] =>
  rounds.map(([before, now]) => ({ what, before, now }));

describe('ratios', () => {
  test('are those of each round, not of the medians: what slows a whole round says nothing', () => {
    const [ratio] = ratiosOf(pairs('µs', [10, 11], [100, 110], [20, 22]));
    expect(ratio).toMatchObject({ what: 'µs', before: 20, now: 22, rounds: 3 });
    for (const times of [ratio?.least, ratio?.times, ratio?.most]) expect(times).toBeCloseTo(1.1);
  });

  test.each<[string, boolean, [number, number][]]>([
    [
      'slower in every round, and rounds agree',
      true,
      [
        [10, 12],
        [10, 12.1],
        [10, 12.2],
      ],
    ],
    [
      'faster in every round, and rounds agree',
      true,
      [
        [10, 8],
        [10, 8.1],
        [10, 8.2],
      ],
    ],
    [
      'slower in one round',
      false,
      [
        [10, 12],
        [10, 9.9],
        [10, 12],
      ],
    ],
    [
      'slower in every round, but rounds differ by more',
      false,
      [
        [10, 10.5],
        [10, 14],
        [10, 11],
      ],
    ],
    [
      'slower by what two runs of one build differ by',
      false,
      [
        [10, 10.1],
        [10, 10.2],
        [10, 10.15],
      ],
    ],
    ['one round alone', false, [[10, 20]]],
  ])('%s: told %p', (_, told, rounds) => {
    expect(isTold(ratiosOf(pairs('µs', ...rounds))[0] as ReturnType<typeof ratiosOf>[number])).toBe(told);
  });

  test('the report is no wider than a page, names both, and counts what it tells', () => {
    const long = 'a commit message that goes on and on '.repeat(8);
    const ratios = ratiosOf([
      ...pairs('task-4x4: µs a message', [10, 12], [10, 12]),
      ...pairs('other', [1, 1], [1, 1]),
    ]);
    const report = againstReport({ before: long, now: `now ${long}`, machine: ['m'], notes: [long], ratios });
    expect(report.split('\n').filter((line) => line.length > TABLE_COLUMNS)).toEqual([]);
    expect(report).toContain('1 of 2 figures');
    expect(report).toMatch(/task-4x4: µs a message .* more/);
  });
});

test('what is paired was measured in the same round', () => {
  const measured = (peer: string, round: number, figures: Figures): Measurement => {
    return { peer, workload: 'task', round, figures, notes: [] };
  };
  const measurements = [
    measured('before', 1, { cpuUs: 10, rate: 100 }),
    measured('now', 1, { cpuUs: 11 }),
    measured('before', 2, { cpuUs: 20 }),
    measured('now', 2, { cpuUs: 22 }),
    measured('before', 3, { cpuUs: 30 }),
  ];
  expect(pairsOf(measurements)).toEqual(pairs('task: µs a message', [10, 11], [20, 22]));
});

describe('a commit before', () => {
  let repository: string;
  let place: string;
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', stdio: 'pipe' });
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(repository, path)), { recursive: true });
    writeFileSync(join(repository, path), text);
  };
  const commit = (message: string) => {
    git('add', '.');
    git('-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '-qm', message);
  };
  /** A build that writes what the tree is made of. */
  const server = (script: string) => JSON.stringify({ name: '@sluice/server', scripts: { build: script } });
  const BUILDS = `node -e "require('fs').writeFileSync('built', require('fs').readFileSync('../common/text'))"`;

  beforeEach(() => {
    repository = mkdtempSync(join(tmpdir(), 'sluice-against-test-'));
    place = mkdtempSync(join(tmpdir(), 'sluice-against-test-'));
    git('init', '-q');
    write('.gitignore', 'node_modules\n');
    write('package-lock.json', '{}');
    write('packages/common/package.json', '{"name":"@sluice/common"}');
    write('packages/common/text', 'old');
    write('packages/server/package.json', server(BUILDS));
    write('node_modules/library/index.js', '');
    commit('the old one');
    write('packages/common/text', 'new');
    commit('the new one');
  });
  afterEach(() => {
    for (const directory of [repository, place]) rmSync(directory, { recursive: true, force: true });
  });

  test('is built from its own packages and the libraries installed here, and leaves nothing', () => {
    const tree = CommitTree.checkOut(repository, 'HEAD~1', join(place, 'before'));
    tree.build();
    expect(readFileSync(join(tree.path, 'packages/server/built'), 'utf8')).toBe('old');
    expect(realpathSync(join(tree.path, 'node_modules/library'))).toBe(
      realpathSync(join(repository, 'node_modules/library')),
    );
    expect(realpathSync(join(tree.path, 'node_modules/@sluice/common'))).toBe(
      realpathSync(join(tree.path, 'packages/common')),
    );
    expect(tree.title).toMatch(/^[0-9a-f]{7,} the old one$/);
    expect(tree.hasOtherModules).toBe(false);
    tree.remove();
    expect(existsSync(tree.path)).toBe(false);
    expect(git('worktree', 'list').trim().split('\n')).toHaveLength(1);
  });

  test('that would install other libraries says so', () => {
    write('package-lock.json', '{"other":1}');
    const tree = CommitTree.checkOut(repository, 'HEAD', join(place, 'before'));
    expect(tree.hasOtherModules).toBe(true);
    tree.remove();
  });

  test('that cannot be built says what the compiler said', () => {
    write('packages/server/package.json', server('echo no such thing && exit 1'));
    commit('a broken one');
    const tree = CommitTree.checkOut(repository, 'HEAD', join(place, 'before'));
    expect(() => tree.build()).toThrow(/a broken one cannot be built[\s\S]*no such thing/);
    tree.remove();
  });
});
