import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { SPECIFICATIONS, type Specification } from './statements.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** Where tests are whose names may cite: the tests of the two packages that speak MQTT, and everything under test/. */
const FOLDERS = ['packages/mqtt/test', 'packages/gateway/test', 'test'];

export interface Citation {
  specification: Specification;
  /** As it is cited: `MQTT-3.1.0-2`. */
  label: string;
  /** From the root of the repository. */
  file: string;
  /** The test's name without its citations. */
  test: string;
}

/**
 * A test's name cites in brackets at its end, a specification after the other, since both number their statements alike:
 * `a second CONNECT is an error (5.0: [MQTT-3.1.0-2]; 3.1.1: [MQTT-3.1.0-2])`. It is found in the text of the file, as the
 * name of a test, the title of a row of `test.each`, or the title of a script in a `testdata` folder.
 */
export function readCitations(): Citation[] {
  const citations: Citation[] = [];
  for (const folder of FOLDERS) {
    for (const path of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (path.includes('node_modules') || !/(\.ts|testdata\/.*\.txt)$/.test(path)) continue;
      const full = join(ROOT, folder, path);
      for (const name of namesIn(readFileSync(full, 'utf8'), full)) {
        citations.push(...citationsOf(name, relative(ROOT, full)));
      }
    }
  }
  return citations;
}

/** Every statement that the sources name, in comments and in what clients are told: file and label. */
export function readMentions(): string[] {
  const mentions: string[] = [];
  for (const path of readdirSync(join(ROOT, 'packages'), { recursive: true, encoding: 'utf8' })) {
    if (!/^[a-z-]+\/src\/.*\.ts$/.test(path)) continue;
    const text = readFileSync(join(ROOT, 'packages', path), 'utf8');
    for (const [, label] of text.matchAll(/\[(MQTT-[\d.]+-\d+)\]/g)) mentions.push(`packages/${path} ${label}`);
  }
  return mentions;
}

const CITES = /\((?:5\.0|3\.1\.1): \[MQTT/;

function namesIn(text: string, path: string): string[] {
  if (path.endsWith('.txt')) {
    return text
      .split('\n')
      .filter((line) => line.startsWith('# '))
      .map((line) => line.slice(2))
      .filter((name) => CITES.test(name));
  }
  // Names are single-quoted or in backticks, on one line; comments that show the form have neither around them.
  return [
    ...text.matchAll(/^\s*(?:(?:test|describe)[\w.]*\(|\[|\]\)\()?\s*(['`])(.*?)\1/gm),
    ...text.matchAll(/\]\s*(?:as const)?\)\((['`])(.*?)\1/g),
    ...text.matchAll(/(?:test|each|\[)\S*\(?(['`])(.*?)\1/g),
  ]
    .map(([, , name]) => name as string)
    .filter((name, index, all) => CITES.test(name) && all.indexOf(name) === index);
}

export function citationsOf(name: string, file: string): Citation[] {
  const begin = CITES.exec(name)?.index ?? -1;
  if (begin < 0) return [];
  const end = name.indexOf(')', begin);
  const citations: Citation[] = [];
  const test = `${name.slice(0, begin).trim()}${name.slice(end + 1)}`;
  for (const part of name.slice(begin + 1, end).split('; ')) {
    const [, specification, labels] = /^(\S+): (.*)$/.exec(part) ?? [];
    if (!SPECIFICATIONS.some((known) => known === specification))
      throw new Error(`${file}: ${name}: no ${specification}`);
    for (const [, label] of (labels ?? '').matchAll(/\[(MQTT-[^\]]+)\]/g)) {
      citations.push({ specification: specification as Specification, label: label as string, file, test });
    }
  }
  return citations;
}
