import type { Finding } from './finding.ts';
import { lineAt, type SourceTree } from './source-tree.ts';

/**
 * That something took less than so long is true on a machine that has nothing else to do. A test shows instead what came
 * before what, how often somebody asked, or that it came while no timer ran; one that hangs is ended by its time limit. That
 * something took no less than so long may be said: a busy machine only adds to it.
 */
const UPPER_BOUND = /\bexpect\(\s*(?:performance|Date)\.now\(\)\s*-[^;]*?\)\s*\.toBeLessThan(?:OrEqual)?\b/g;

export function checkElapsedTime(tree: SourceTree): Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of tree) {
    if (!/^(packages\/[^/]+\/)?test\/.*\.ts$/.test(path) || path.startsWith('packages/tidy/')) continue;
    for (const match of text.matchAll(UPPER_BOUND)) {
      findings.push({ path, line: lineAt(text, match.index), message: 'a bound on what the machine takes' });
    }
  }
  return findings;
}
