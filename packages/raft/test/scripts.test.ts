import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from '@jest/globals';
import { EXPECTATIONS } from './support/script-expectations.ts';
import { Stage, VERBS } from './support/script-verbs.ts';

/**
 * Each file of `testdata/` is a story: its header says what must hold and which bug would break it, each further line is
 * a verb. After every line the safety properties of Raft are checked as well.
 */
const folder = new URL('testdata/', import.meta.url);

function run(file: string): void {
  const stage = new Stage();
  const lines = readFileSync(new URL(file, folder), 'utf8').split('\n');
  for (const [i, line] of lines.entries()) {
    const [verb, ...words] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (verb === undefined || verb === '') continue;
    const handler = verb === 'expect' ? EXPECTATIONS[words.shift() as string] : VERBS[verb];
    try {
      if (handler === undefined) throw new Error('no such verb');
      handler(stage, words);
    } catch (error) {
      throw new Error(`${file}:${i + 1}: ${line}\n${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
}

describe('scripts', () => {
  for (const file of readdirSync(folder).sort()) {
    if (file.endsWith('.txt')) test(file, () => run(file));
  }
});
