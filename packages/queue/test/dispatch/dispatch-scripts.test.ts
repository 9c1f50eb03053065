import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { playScript } from './dispatch-script.ts';

const TESTDATA = join(import.meta.dirname, 'testdata');

test.each(readdirSync(TESTDATA).filter((name) => name.endsWith('.txt')))('%s', (name) => {
  const script = readFileSync(join(TESTDATA, name), 'utf8');
  expect(playScript(script)).toBe(script);
});

test('a script that expects something else fails', () => {
  const script = 'attach 1 window 1\noffer 0 1 => 1 1';
  expect(playScript(script)).toBe('attach 1 window 1\noffer 0 1 => 1 nobody');
});
