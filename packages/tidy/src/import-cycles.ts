import type { Finding } from './finding.ts';
import { importsOf, separate } from './source-code.ts';
import { isSource, type SourceTree, targetOf } from './source-tree.ts';

/**
 * Modules that import each other have no order in which they begin: what works depends on who was imported first, and
 * the linked file of the server, in which a module has run before it is used, cannot hold them. Types may go in circles,
 * and so may what is imported later.
 */
export function checkImportCycles(tree: SourceTree): Finding[] {
  const findings: Finding[] = [];
  const done = new Set<string>();
  const walk: string[] = [];
  const visit = (path: string): void => {
    if (done.has(path)) return;
    const from = walk.indexOf(path);
    if (from >= 0) {
      const names = [...walk.slice(from + 1), path].join(' -> ');
      findings.push({ path, line: 0, message: `imports itself: -> ${names}` });
      return;
    }
    walk.push(path);
    for (const target of evaluatedBefore(path, tree)) visit(target);
    walk.pop();
    done.add(path);
  };
  for (const path of tree.keys()) if (isSource(path)) visit(path);
  return findings;
}

function evaluatedBefore(path: string, tree: SourceTree): string[] {
  const text = tree.get(path) as string;
  const source = separate(text);
  const targets: string[] = [];
  for (const { specifier, index } of importsOf(text, source)) {
    if (/^import\s*\(/.test(source.code.slice(index))) continue;
    const statement = source.code.slice(0, index).match(/(?:^|\n)(?:import|export)\b[^;]*$/)?.[0] ?? '';
    if (/^\s*(?:import|export)\s+type\b/.test(statement)) continue;
    const target = targetOf(specifier, path);
    if (target !== undefined && tree.has(target)) targets.push(target);
  }
  return targets;
}
