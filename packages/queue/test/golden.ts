import { readFileSync } from 'node:fs';

/** A golden file: `# comment` lines, then hex in any number of lines. Formats in it were written to disk somewhere. */
export function goldenBytes(name: string): Uint8Array {
  const text = readFileSync(new URL(`testdata/${name}`, import.meta.url), 'utf8');
  const hex = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('')
    .replaceAll(/\s/g, '');
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** Several of them in one file: `name hex` a line. */
export function goldenLines(name: string): Map<string, string> {
  const text = readFileSync(new URL(`testdata/${name}`, import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => line.split(' ') as [string, string]));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
