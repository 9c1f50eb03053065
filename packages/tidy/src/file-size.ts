import type { Finding } from './finding.ts';
import { isSource, type SourceTree } from './source-tree.ts';

/** Every codebase we learned from let its central file grow without limit; a file that needs contents is two files. */
const LINES_MAX = 500;

export function checkFileSize(tree: SourceTree): Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of tree) {
    if (!isSource(path)) continue;
    const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    if (lines > LINES_MAX)
      findings.push({ path, line: 0, message: `${lines} lines, ${LINES_MAX} at most: split it by role` });
  }
  return findings;
}
