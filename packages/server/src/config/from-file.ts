import { createRequire } from 'node:module';
import type { Node } from 'yaml';
import type { ConfigProblem, Layer } from './layer.ts';

const load = createRequire(import.meta.url);

/** Reads the YAML text of a configuration file. Sections hold keys, keys hold values; each remembers its line. */
export function layerFromFile(fileName: string, text: string): { layer: Layer; problems: ConfigProblem[] } {
  // Loaded here: most nodes are configured by flags and variables, and it takes 30 ms.
  const { isMap, isScalar, LineCounter, parseDocument } = load('yaml') as typeof import('yaml');
  const keyText = (key: unknown): string => (isScalar(key) ? String(key.value) : String(key));
  const layer: Layer = new Map();
  const problems: ConfigProblem[] = [];
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    strict: true,
  });
  const at = (offset: number) => `${fileName}:${lines.linePos(offset).line}`;

  for (const error of document.errors) {
    problems.push({
      key: '',
      origin: at(error.pos[0]),
      message: `is not valid YAML: ${firstLine(error.message)}`,
      hint: '',
    });
  }
  const root = document.contents;
  if (problems.length > 0 || root === null || (isScalar(root) && root.value === null)) return { layer, problems };
  if (!isMap(root)) {
    problems.push({
      key: '',
      origin: at(root.range?.[0] ?? 0),
      message: 'must be a map of sections',
      hint: EXAMPLE_HINT,
    });
    return { layer, problems };
  }

  for (const section of root.items) {
    const sectionName = keyText(section.key);
    const sectionAt = at(offsetOf(section.key));
    // `mqtt:` with nothing under it is a section whose keys are commented out.
    if (section.value === null || (isScalar(section.value) && section.value.value === null)) continue;
    if (!isMap(section.value)) {
      problems.push({
        key: sectionName,
        origin: sectionAt,
        message: 'must be a section with keys',
        hint: EXAMPLE_HINT,
      });
      continue;
    }
    for (const item of section.value.items) {
      let value: unknown;
      try {
        value = (item.value as Node | null)?.toJS(document, { maxAliasCount: ALIASES_MAX }) ?? null;
      } catch {
        // What the library says holds what stands there, and that may be a password.
        problems.push({
          key: sectionName,
          origin: at(offsetOf(item.key)),
          message: 'cannot be read: it has an alias (*) that was not set before, or too many',
          hint: 'Write texts that begin with * in quotes',
        });
        continue;
      }
      layer.set(`${sectionName}.${keyText(item.key)}`, { value, origin: at(offsetOf(item.key)) });
    }
  }
  return { layer, problems };
}

/** A configuration has no use for YAML aliases that multiply. */
const ALIASES_MAX = 100;
const EXAMPLE_HINT = 'For example: "log:" and on the next line "  level: debug"';

function offsetOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] as string;
}
