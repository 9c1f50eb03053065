import { createRequire } from 'node:module';

/**
 * One compiled module as a function that gives what the module exports. Only what the compiler writes is understood:
 * imports first, a line each, and `export` in front of declarations. Anything else fails the build.
 *
 *   import { a, b as c } from './x.js';     const { a, b: c } = need(12);
 *   import fs from 'node:fs';               const fs = load('node:fs');
 *   await import('./y.js')                  await later(13)
 *   export class A { }                      class A { }       … and at the end   return { A };
 *
 * Every line keeps its number, so that a place in the linked file is a place in the module. Comments go, since the whole
 * text stays in memory; what is not ASCII is escaped, since one such character would double it.
 */
export interface LinkedUnit {
  /** The module, and how it is called in stack traces. */
  readonly file: string;
  readonly exports: readonly string[];
  /** Modules that are evaluated before it. */
  readonly imports: readonly string[];
  readonly text: string;
}

/** `numberOf` gives each module of ours the number that stands for it, whether or not it has been seen before. */
export function linkedUnit(file: string, source: string, numberOf: (file: string) => number): LinkedUnit {
  const { resolve } = createRequire(file);
  const imports: string[] = [];
  const exported: [name: string, local: string][] = [];

  const moduleCall = (specifier: string): string => {
    if (!OWN.test(specifier)) return `$load('${specifier}')`;
    const module = resolve(specifier);
    imports.push(module);
    return `$need(${numberOf(module)})`;
  };

  const rewriteImport = (line: string): string => {
    const match = IMPORT.exec(line);
    if (match === null) throw new Error(`${file}: cannot be linked: ${line}`);
    const { byDefault, names, namespace, specifier = '' } = match.groups ?? {};
    const value = moduleCall(specifier);
    // A CommonJS module is its own default export.
    if (byDefault !== undefined && !value.startsWith('$load')) throw new Error(`${file}: a default import: ${line}`);
    const parts: string[] = [];
    if (names !== undefined) parts.push(`const {${renamed(names)}} = ${value};`);
    for (const whole of [byDefault, namespace]) if (whole !== undefined) parts.push(`const ${whole} = ${value};`);
    return parts.length === 0 ? `${value};` : parts.join(' ');
  };
  const rewriteExport = (line: string): string => {
    const declaration = EXPORTED_DECLARATION.exec(line);
    if (declaration !== null) {
      const name = declaration[1] as string;
      exported.push([name, name]);
      return line.slice('export '.length);
    }
    const list = EXPORT_LIST.exec(line);
    if (list === null) throw new Error(`${file}: cannot be linked: ${line}`);
    const { names = '', specifier } = list.groups ?? {};
    const pairs = namePairs(names);
    if (specifier === undefined) {
      for (const [local, name] of pairs) exported.push([name, local]);
      return '';
    }
    const value = moduleCall(specifier);
    return pairs
      .map(([theirs, name]) => {
        const local = `reexported${exported.length}`;
        exported.push([name, local]);
        return `const { ${theirs}: ${local} } = ${value};`;
      })
      .join(' ');
  };

  let isHead = true;
  const lines = withoutComments(source).split('\n');
  for (const [i, line] of lines.entries()) {
    if (isHead && line.startsWith('import ')) lines[i] = rewriteImport(line);
    else if (line.startsWith('export ')) lines[i] = rewriteExport(line);
    else if (!BEFORE_IMPORTS.test(line)) isHead = false;
  }
  const body = lines
    .join('\n')
    .replace(/\bimport\('([^']+)'\)/g, (_, specifier: string) => `$later(${numberOf(resolve(specifier))})`)
    .replaceAll('import.meta.url', '$$url')
    .replace(NOT_ASCII, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const returned = exported.map(([name, local]) => (name === local ? name : `${name}: ${local}`)).join(', ');
  return {
    file,
    exports: exported.map(([name]) => name),
    imports,
    text: `function ($need, $later, $load, $url) {${body}\nreturn { ${returned} };\n}`,
  };
}

const OWN = /^\.|^@sluice\//;
const IMPORT =
  /^import (?:(?:(?<byDefault>[\w$]+)(?:, )?)?(?:\{(?<names>.*)\}|\* as (?<namespace>\w+))? from )?'(?<specifier>[^']+)';$/;
const EXPORTED_DECLARATION = /^export (?:async function|function\*?|async function\*|class|const) (\w+)/;
const EXPORT_LIST = /^export \{(?<names>.*)\}(?: from '(?<specifier>[^']+)')?;$/;
/** Comments, and the variables that the compiler puts first. */
const BEFORE_IMPORTS = /^\s*(?:$|\/\/|\/?\*)|^var /;
// biome-ignore lint/suspicious/noControlCharactersInRegex: all that is ASCII, and nothing else
const NOT_ASCII = /[^\x00-\x7f]/g;

/** `a, b as c` to `[a, a], [b, c]`. */
function namePairs(names: string): [theirs: string, ours: string][] {
  const pairs: [string, string][] = [];
  for (const part of names.split(',')) {
    const [theirs = '', ours = theirs] = part.trim().split(' as ');
    if (theirs !== '') pairs.push([theirs, ours]);
  }
  return pairs;
}

function renamed(names: string): string {
  return namePairs(names)
    .map(([theirs, ours]) => (theirs === ours ? theirs : `${theirs}: ${ours}`))
    .join(', ');
}

/** Comments with lines of their own, where no template goes over several lines: in a template they would be text. */
function withoutComments(source: string): string {
  const stripped = source
    .replace(/^[ \t]*\/\*\*[\s\S]*?\*\/[ \t]*$/gm, (comment) => comment.replace(/[^\n]/g, ''))
    .replace(/^[ \t]*\/\/.*$/gm, '');
  const isSplit = (line: string): boolean => (line.replaceAll('\\`', '').match(/`/g)?.length ?? 0) % 2 === 1;
  return stripped.split('\n').some(isSplit) ? source.replace(/^\/\/# sourceMappingURL=.*$/m, '') : stripped;
}
