// Makes src/gen from proto/v1: `npm run generate -w @sluice/rpc`. What it writes is committed, so that a build needs no
// generator. The code is one TypeScript module (so the compiler takes it to dist like any other), its types another.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const protoDirectory = join(root, 'proto/v1');
const protos = readdirSync(protoDirectory)
  .filter((name) => name.endsWith('.proto'))
  .sort()
  .map((name) => join(protoDirectory, name));
const work = mkdtempSync(join(tmpdir(), 'sluice-proto-'));
const only = ['create', 'verify', 'convert', 'delimited', 'typeurl', 'service'].map((part) => `--no-${part}`);

function pbjs(out, ...more) {
  const options = ['-t', 'static-module', '-w', 'es6', '--es6', ...only, ...more, '-p', protoDirectory, '-o', out];
  execFileSync(join(root, 'node_modules/.bin/pbjs'), [...options, ...protos], { stdio: 'inherit' });
}

function replaced(text, from, to) {
  if (!text.includes(from)) throw new Error(`the generator writes something new: no ${JSON.stringify(from)}`);
  return text.replaceAll(from, to);
}

pbjs(join(work, 'code.js'), '--no-comments');
pbjs(join(work, 'commented.js'));
execFileSync(join(root, 'node_modules/.bin/pbts'), ['-o', join(work, 'types.d.ts'), join(work, 'commented.js')], {
  stdio: 'inherit',
});

let code = readFileSync(join(work, 'code.js'), 'utf8');
code = code.slice(code.indexOf('import '));
code = replaced(
  code,
  'import * as $protobuf from "protobufjs/minimal";',
  "import $protobuf from 'protobufjs/minimal.js';\nimport type { sluice as types } from './v1-types.ts';",
);
code = replaced(
  code,
  'const $root = $protobuf.roots["default"] || ($protobuf.roots["default"] = {});',
  'const $root: any = {};',
);
code = replaced(code, 'export const sluice = $root.sluice', '$root.sluice');
code = replaced(code, 'export { $root as default };', 'export const v1: typeof types.v1 = $root.sluice.v1;');
writeFileSync(
  join(here, 'src/gen/v1.ts'),
  `// @ts-nocheck\n// Made from proto/v1 by generate-wire.mjs; not to be edited.\n${code}`,
);

let types = readFileSync(join(work, 'types.d.ts'), 'utf8');
types = replaced(
  types,
  'import * as $protobuf from "protobufjs";',
  "import type $protobuf from 'protobufjs/minimal.js';",
);
types = replaced(types, 'import Long = require("long");\n', '');
types = replaced(types, 'export namespace sluice', 'export declare namespace sluice');
types = types.replaceAll(/^ *\/\*\*[\s\S]*?\*\/\n/gm, '').replaceAll(/\n\n+/g, '\n');
types = types
  .replaceAll('(number|Long)', '(number|Integer64)')
  .replaceAll('(number|Long|null)', '(number|Integer64|null)');
const integer64 = 'export interface Integer64 {\n    low: number;\n    high: number;\n}\n';
writeFileSync(
  join(here, 'src/gen/v1-types.ts'),
  `// Made from proto/v1 by generate-wire.mjs; not to be edited.\n${types.replace('export declare', `${integer64}export declare`)}`,
);
rmSync(work, { recursive: true });
