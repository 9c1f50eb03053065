import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

/** What `link-command` has written: all modules of the `sluice` command as functions, the command's own first. */
export const LINKED_FILE = new URL('../linked/sluice.cjs', import.meta.url);
/** What the functions are. */
export const LINKED_INDEX = new URL('../linked/sluice.json', import.meta.url);

export const CODE_SUFFIX = '.code';

export interface LinkedIndex {
  /** Relative to the index. */
  modules: string[];
  /** Of the linked file, where each module begins. */
  lines: number[];
  /** A file of each package that its build touches. */
  builds: string[];
  /** Beside the index: what V8 made of the linked file in a start (`warm-command`). Its name is that of this very text. */
  code: string;
}

export type LinkedModule = (
  need: (module: number) => object,
  later: (module: number) => Promise<object>,
  load: (specifier: string) => unknown,
  url: string,
) => object;

/**
 * The command's module out of the linked file. Undefined when there is none, or when a package was built after it: who
 * works on a package starts what was just compiled, module by module.
 */
export function openLinked<M extends object>(): M | undefined {
  let index: LinkedIndex;
  try {
    index = JSON.parse(readFileSync(LINKED_INDEX, 'utf8')) as LinkedIndex;
  } catch {
    return undefined;
  }
  const linkedMs = modifiedMs(LINKED_FILE);
  if (index.builds.some((build) => modifiedMs(new URL(build, LINKED_INDEX)) > linkedMs)) return undefined;
  return runLinked<M>(index, linkedScript(index));
}

/**
 * With the code of an earlier start, nothing is parsed and compiled that was compiled then. V8 refuses what another version
 * of it made, or one with other flags, and compiles as without. It knows the text by its length only: so the code's file
 * is named after the text.
 */
export function linkedScript({ code }: LinkedIndex): Script {
  const filename = fileURLToPath(LINKED_FILE);
  // Nothing in it is beyond ASCII.
  const text = readFileSync(LINKED_FILE, 'latin1');
  try {
    return new Script(text, { filename, cachedData: readFileSync(new URL(code, LINKED_INDEX)) });
  } catch {
    return new Script(text, { filename });
  }
}

export function runLinked<M extends object>(index: LinkedIndex, script: Script): M {
  const modules = script.runInThisContext() as readonly LinkedModule[];
  const urls = index.modules.map((module) => new URL(module, LINKED_INDEX).href);
  nameModulesInStackTraces(fileURLToPath(LINKED_FILE), urls, index.lines);
  return evaluator(modules, urls)(0) as M;
}

/** Evaluates modules when they are first needed, once. */
export function evaluator(modules: readonly LinkedModule[], urls: readonly string[]): (module: number) => object {
  const evaluated: (object | undefined)[] = [];
  const builtin = createRequire(import.meta.url);
  const need = (module: number): object => {
    const known = evaluated[module];
    if (known !== undefined) return known;
    const url = urls[module] as string;
    // A package of others is found from where the module stands.
    const load = (specifier: string): unknown =>
      specifier.startsWith('node:') ? builtin(specifier) : createRequire(url)(specifier);
    const exports = (modules[module] as LinkedModule)(need, later, load, url);
    evaluated[module] = exports;
    return exports;
  };
  const later = async (module: number): Promise<object> => need(module);
  return need;
}

/** A place in the linked file is told as the place in the module that it is. */
function nameModulesInStackTraces(path: string, urls: readonly string[], lines: readonly number[]): void {
  Error.prepareStackTrace = (error, sites) =>
    [String(error), ...sites.map((site) => `    at ${siteName(site, path, urls, lines)}`)].join('\n');
}

function siteName(site: NodeJS.CallSite, path: string, urls: readonly string[], lines: readonly number[]): string {
  const line = site.getLineNumber();
  if (site.getFileName() !== path || line === null) return String(site);
  let module = 0;
  while (module + 1 < lines.length && (lines[module + 1] as number) <= line) module++;
  return String(site).replace(`${path}:${line}`, `${urls[module]}:${line - (lines[module] as number) + 1}`);
}

function modifiedMs(file: URL): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
