// Makes what encodes the messages of proto/: `npm run generate -w @sluice/rpc`. What it writes is committed, so that a
// build needs no generator. The code is one TypeScript module (so the compiler takes it to dist like any other), its types
// another.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const only = ['create', 'verify', 'convert', 'delimited', 'typeurl', 'service'].map((part) => `--no-${part}`);

generate({ from: 'proto/v1', outermost: 'sluice', scope: 'v1', to: join(here, 'src/gen/v1') });
generate({
  from: 'proto/keda',
  outermost: 'externalscaler',
  to: join(root, 'packages/scaler/src/gen/external-scaler'),
});

/** `scope` is what is exported of the outermost package; all of it, when there is none. */
function generate({ from, outermost, scope, to }) {
  const directory = join(root, from);
  const protos = readdirSync(directory)
    .filter((name) => name.endsWith('.proto'))
    .sort()
    .map((name) => join(directory, name));
  const work = mkdtempSync(join(tmpdir(), 'sluice-proto-'));
  const pbjs = (out, ...more) => {
    const options = ['-t', 'static-module', '-w', 'es6', '--es6', ...only, ...more, '-p', directory, '-o', out];
    execFileSync(join(root, 'node_modules/.bin/pbjs'), [...options, ...protos], { stdio: 'inherit' });
  };
  pbjs(join(work, 'code.js'), '--no-comments');
  pbjs(join(work, 'commented.js'));
  execFileSync(join(root, 'node_modules/.bin/pbts'), ['-o', join(work, 'types.d.ts'), join(work, 'commented.js')], {
    stdio: 'inherit',
  });
  const exported = scope ?? outermost;
  const path = scope === undefined ? outermost : `${outermost}.${scope}`;
  const type = scope === undefined ? 'types' : `types.${scope}`;
  writeFileSync(
    `${to}.ts`,
    `// @ts-nocheck\n// Made from ${from} by generate-wire.mjs; not to be edited.\n${replacedAll(
      afterHead(readFileSync(join(work, 'code.js'), 'utf8')),
      [
        [
          'import * as $protobuf from "protobufjs/minimal";',
          `import $protobuf from 'protobufjs/minimal.js';\nimport type { ${outermost} as types } from './${basename(to)}-types.ts';`,
        ],
        ['const $root = $protobuf.roots["default"] || ($protobuf.roots["default"] = {});', 'const $root: any = {};'],
        [`export const ${outermost} = $root.${outermost}`, `$root.${outermost}`],
        ['export { $root as default };', `export const ${exported}: typeof ${type} = $root.${path};`],
      ],
    )}`,
  );
  const types = replacedAll(readFileSync(join(work, 'types.d.ts'), 'utf8'), [
    ['import * as $protobuf from "protobufjs";', "import type $protobuf from 'protobufjs/minimal.js';"],
    ['import Long = require("long");\n', ''],
    [`export namespace ${outermost}`, `export declare namespace ${outermost}`],
  ])
    .replaceAll(/^ *\/\*\*[\s\S]*?\*\/\n/gm, '')
    .replaceAll(/\n\n+/g, '\n')
    .replaceAll('(number|Long)', '(number|Integer64)')
    .replaceAll('(number|Long|null)', '(number|Integer64|null)');
  const integer64 = 'export interface Integer64 {\n    low: number;\n    high: number;\n}\n';
  writeFileSync(
    `${to}-types.ts`,
    `// Made from ${from} by generate-wire.mjs; not to be edited.\n${types.replace('export declare', `${integer64}export declare`)}`,
  );
  rmSync(work, { recursive: true });
}

function afterHead(code) {
  return code.slice(code.indexOf('import '));
}

function replacedAll(text, changes) {
  return changes.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`the generator writes something new: no ${JSON.stringify(from)}`);
    return changed.replaceAll(from, to);
  }, text);
}
