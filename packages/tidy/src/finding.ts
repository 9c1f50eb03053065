/** A place that breaks a house rule. */
export interface Finding {
  path: string;
  /** From 1; 0 for the file as a whole. */
  line: number;
  message: string;
}

/** One finding a line, by path, as an editor can jump to it; empty when there is none. */
export function report(findings: readonly Finding[]): string {
  return [...findings]
    .sort((a, b) => (a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1))
    .map((finding) => `${finding.path}${finding.line > 0 ? `:${finding.line}` : ''}: ${finding.message}`)
    .join('\n');
}
