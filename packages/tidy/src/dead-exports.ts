import type { Finding } from './finding.ts';
import { separate } from './source-code.ts';
import { isSource, lineAt, type SourceTree, targetOf } from './source-tree.ts';

/**
 * `export` tells a reader that somebody else depends on this: who changes it looks for them, and finds nobody. Types are
 * left alone: who calls an exported function may have to name what it takes. What only tests import is in use: a bound
 * they hold the code to is said once.
 */
export function checkDeadExports(tree: SourceTree): Finding[] {
  const imported = new Set<string>();
  const whole = new Set<string>();
  for (const [path, text] of tree) {
    if (!/\.(ts|tsx|mjs)$/.test(path)) continue;
    for (const { 1: names = '', 2: specifier = '' } of text.matchAll(
      /\b(?:import|export)\b([^;'"]*?)\bfrom '([^']+)'/g,
    )) {
      const target = targetOf(specifier, path);
      if (target === undefined) continue;
      if (names.includes('*')) whole.add(target);
      for (const name of namesIn(names)) imported.add(`${target} ${name}`);
    }
    for (const { 1: specifier = '' } of text.matchAll(/\bimport\('([^']+)'\)/g)) {
      const target = targetOf(specifier, path);
      if (target !== undefined) whole.add(target);
    }
  }
  const findings: Finding[] = [];
  for (const [path, text] of tree) {
    if (!isSource(path) || whole.has(path)) continue;
    for (const { 1: name = '', index } of separate(text).code.matchAll(EXPORTED)) {
      if (imported.has(`${path} ${name}`)) continue;
      findings.push({ path, line: lineAt(text, index), message: `nobody imports ${name}: it is no export` });
    }
  }
  return findings;
}

const EXPORTED = /^export (?:async |abstract )*(?:const|let|class|enum|function\*?) ([\w$]+)/gm;

/** `{ a, type B, c as d }`: by the names they are exported under. */
function namesIn(names: string): string[] {
  const [, inner = ''] = /\{([\s\S]*)\}/.exec(names) ?? [];
  return inner.split(',').map(
    (name) =>
      name
        .trim()
        .replace(/^type\s+/, '')
        .split(/\s/)[0] ?? '',
  );
}
