// node test/harness/run-typescript.mjs test/helm/write-golden.ts: what the chart renders now, to be read before it is committed.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CASES, goldenFile, goldenText } from './golden.ts';

const folder = dirname(goldenFile(''));
mkdirSync(folder, { recursive: true });
for (const file of readdirSync(folder)) rmSync(join(folder, file));
for (const one of CASES) writeFileSync(goldenFile(one.name), goldenText(one));
process.stdout.write(`${CASES.length} files in ${folder}\n`);
