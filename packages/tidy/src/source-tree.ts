import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every file of the repository that people wrote: path from the root, with `/`, to its text. */
export type SourceTree = ReadonlyMap<string, string>;

const LEFT_OUT = new Set(['node_modules', 'dist', 'gen', 'coverage', 'data', '.git', '.turbo']);
const TEXT =
  /(\.(ts|mts|js|mjs|cjs|json|md|txt|ya?ml|py|sh|html|css|tsx|proto|tpl)|\/(LICENSE|Dockerfile|\.[a-z]+|run))$/;

/** Checks get a tree as a value: tests plant violations in a small one. */
export function readSourceTree(root: string): SourceTree {
  const tree = new Map<string, string>();
  readFolder(root, '', tree);
  return tree;
}

function readFolder(root: string, folder: string, tree: Map<string, string>): void {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (LEFT_OUT.has(entry.name)) continue;
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) readFolder(root, path, tree);
    else if (entry.isFile() && TEXT.test(`/${path}`)) tree.set(path, readFileSync(join(root, path), 'utf8'));
  }
}

/** The package a path belongs to; undefined outside `packages/`. */
export function packageOf(path: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(path)?.[1];
}

/** The file that an import means; undefined for what is not of this repository. */
export function targetOf(specifier: string, path: string): string | undefined {
  if (specifier.startsWith('.')) return new URL(specifier, `file:///${path}`).pathname.slice(1);
  const own = /^@sluice\/([^/]+)\/(.+)$/.exec(specifier);
  return own === null ? undefined : `packages/${own[1]}/src/${own[2]}.ts`;
}

export function isSource(path: string): boolean {
  return /^packages\/[^/]+\/src\/.*\.tsx?$/.test(path);
}

export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i !== -1 && i < index; i = text.indexOf('\n', i + 1)) line++;
  return line;
}
