import type { Finding } from './finding.ts';
import { importsOf, separate } from './source-code.ts';
import { isSource, packageOf, type SourceTree, targetOf } from './source-tree.ts';

/** Started by name, not imported. A package's `bin` counts by itself. */
const ENTRIES: readonly RegExp[] = [
  // `npm run sim` and `npm run bench` start them; nobody installs them.
  /^packages\/(sim|bench)\/src\/bin\.ts$/,
  // The last steps of a build.
  /^packages\/server\/src\/link\/(link|warm)-command\.ts$/,
  // The house rules are run by their tests.
  /^packages\/tidy\/src\//,
  // What a package offers to the tests of those who implement its ports.
  /^packages\/[^/]+\/src\/(.*\/)?[a-z-]+-contract\.ts$/,
  // The engine of tests and of the simulator, held to the same contract as the real one.
  /^packages\/storage\/src\/memory\/memory-engine\.ts$/,
];

/**
 * A source file nobody imports is either forgotten or not yet of use. Its own package's tests do not count: code that
 * only its tests run is dead all the same.
 */
export function checkDeadFiles(tree: SourceTree): Finding[] {
  const used = new Set<string>();
  for (const [path, text] of tree) {
    if (!/\.(ts|tsx|mjs)$/.test(path)) continue;
    const ownTest = isOwnTest(path);
    for (const { specifier } of importsOf(text, separate(text))) {
      const target = targetOf(specifier, path);
      if (target === undefined || target === path) continue;
      if (ownTest && packageOf(target) === packageOf(path)) continue;
      used.add(target);
    }
    for (const worker of text.matchAll(/new URL\(\s*'(\.[^']+)'/g)) {
      const target = targetOf(worker[1] as string, path);
      if (target !== undefined) used.add(target.replace('/dist/', '/src/').replace(/\.js$/, '.ts'));
    }
  }
  const findings: Finding[] = [];
  for (const path of tree.keys()) {
    if (!isSource(path) || used.has(path) || isBin(path, tree) || ENTRIES.some((entry) => entry.test(path))) continue;
    findings.push({ path, line: 0, message: 'nobody imports it' });
  }
  return findings;
}

function isOwnTest(path: string): boolean {
  return /^packages\/[^/]+\/(test|bench)\//.test(path);
}

function isBin(path: string, tree: SourceTree): boolean {
  const manifest = tree.get(`packages/${packageOf(path)}/package.json`);
  if (manifest === undefined) return false;
  const { bin } = JSON.parse(manifest) as { bin?: Record<string, string> };
  const built = `./dist/${path.split('/src/')[1]?.replace(/\.ts$/, '.js')}`;
  return Object.values(bin ?? {}).includes(built);
}
