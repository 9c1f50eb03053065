import type { Finding } from './finding.ts';
import { closingOf, separate } from './source-code.ts';
import { isSource, lineAt, type SourceTree } from './source-tree.ts';

const TAG = /^\s*(\/?\*+|\/\/)\s*@hotpath/m;

/** Costs that are paid once a call here are paid once a message. */
const ANYWHERE: readonly { pattern: RegExp; message: string }[] = [
  // Asking whether somebody gave one is no promise of ours.
  {
    pattern: /\basync\b|\bawait\b|(?<!\binstanceof\s)\bPromise\b/g,
    message: 'completion is a range, not a promise a message',
  },
];
const IN_LOOPS: readonly { pattern: RegExp; message: string }[] = [
  { pattern: /=>|\bfunction\b/g, message: 'a closure for each turn of a loop' },
  { pattern: /\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/g, message: 'a timer for each turn of a loop' },
  { pattern: /\.\.\.(?=[\w$[({])/g, message: 'a copy for each turn of a loop' },
];

/** Files tagged `@hotpath` in a comment. Finds what can be seen without types; the rest is for the reader. */
export function checkHotPath(tree: SourceTree): Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of tree) {
    if (!isSource(path) || !text.includes('@hotpath')) continue;
    const { code, comments } = separate(text);
    if (!TAG.test(comments)) continue;
    const add = (index: number, found: string, message: string): void => {
      findings.push({ path, line: lineAt(text, index), message: `${found}: ${message}` });
    };
    for (const { pattern, message } of ANYWHERE) {
      for (const match of code.matchAll(pattern)) add(match.index, match[0], message);
    }
    const seen = new Set<number>();
    for (const [start, end] of loopBodies(code)) {
      const body = code.slice(start, end);
      for (const { pattern, message } of IN_LOOPS) {
        for (const match of body.matchAll(pattern)) {
          const index = start + match.index;
          // An inner loop is part of the outer one.
          if (!seen.has(index)) add(index, match[0], message);
          seen.add(index);
        }
      }
    }
  }
  return findings;
}

function loopBodies(code: string): [number, number][] {
  const bodies: [number, number][] = [];
  for (const match of code.matchAll(/\b(?:for|while)\s*\(|\bdo\s*\{/g)) {
    const open = match.index + match[0].length - 1;
    if (code[open] === '{') {
      bodies.push([open, closingOf(code, open)]);
      continue;
    }
    const head = closingOf(code, open);
    const body = head + (code.slice(head).search(/\S/) ?? 0);
    const end = code[body] === '{' ? closingOf(code, body) : code.indexOf(';', body) + 1;
    bodies.push([body, end]);
  }
  return bodies;
}
