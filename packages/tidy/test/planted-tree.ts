import type { SourceTree } from '@sluice/tidy/source-tree';

/** Two packages that keep every rule, and what a test plants among them. */
export function plant(files: Record<string, string>): SourceTree {
  const manifest = (...names: string[]) =>
    JSON.stringify({ dependencies: Object.fromEntries(names.map((name) => [name, '1'])) });
  const config = (...names: string[]) => JSON.stringify({ references: names.map((name) => ({ path: `../${name}` })) });
  return new Map(
    Object.entries({
      'packages/common/package.json': manifest(),
      'packages/common/tsconfig.json': config(),
      'packages/common/src/bytes.ts': 'export const a = 1;\n',
      'packages/gateway/package.json': manifest('@sluice/common', 'ws'),
      'packages/gateway/tsconfig.json': config('common'),
      'packages/gateway/src/gateway.ts':
        "import { a } from '@sluice/common/bytes';\nimport { b } from './reader.ts';\n",
      'packages/gateway/src/reader.ts': "import './gateway.ts';\n",
      ...files,
    }),
  );
}
