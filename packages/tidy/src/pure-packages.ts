import type { Finding } from './finding.ts';
import { importsOf, separate } from './source-code.ts';
import { isSource, lineAt, packageOf, type SourceTree } from './source-tree.ts';

/** What decides without doing: it runs the same in production, in a test and in the simulator. */
const PURE_PACKAGES: readonly string[] = ['common', 'mqtt', 'raft', 'queue', 'group', 'meta'];

/** What hosts read for the pure: the clock. */
const PORTS: readonly string[] = ['packages/common/src/clock.ts'];

/** What makes a second run differ from the first, or puts off work to a moment nobody chose. */
const IMPURE: readonly { pattern: RegExp; message: string }[] = [
  { pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\s*\./g, message: 'time is an argument' },
  { pattern: /\bMath\.random\b|\bcrypto\s*\./g, message: 'chance comes from a Prng' },
  {
    pattern: /\b(setTimeout|setInterval|setImmediate|queueMicrotask|nextTick)\b/g,
    message: 'a pure package sets no timers; its host ticks it',
  },
  { pattern: /\bPromise\b|\basync\b|\bawait\b/g, message: 'a pure package waits for nothing: data in, data out' },
  { pattern: /\bprocess\s*\./g, message: 'a pure package knows no process' },
];

export function checkPurePackages(tree: SourceTree): Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of tree) {
    const name = packageOf(path);
    if (name === undefined || !PURE_PACKAGES.includes(name) || !isSource(path) || PORTS.includes(path)) continue;
    const source = separate(text);
    for (const { pattern, message } of IMPURE) {
      for (const match of source.code.matchAll(pattern)) {
        findings.push({ path, line: lineAt(text, match.index), message: `${match[0].trim()}: ${message}` });
      }
    }
    for (const { specifier, index } of importsOf(text, source)) {
      if (specifier.startsWith('.') || specifier.startsWith('@sluice/')) continue;
      findings.push({
        path,
        line: lineAt(text, index),
        message: `a pure package imports nothing foreign: ${specifier}`,
      });
    }
  }
  return findings;
}
