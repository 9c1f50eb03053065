// node run-typescript.mjs FILE.ts [ARGS]: runs a tool written beside the tests, as jest runs the tests.
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { resolve as resolvePath } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await next(url, context);
  const { transform } = await import('@swc/core');
  const filename = fileURLToPath(url);
  const { code } = await transform(await readFile(filename, 'utf8'), {
    filename,
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'es6' },
    sourceMaps: 'inline',
  });
  return { format: 'module', shortCircuit: true, source: code };
}

// The hooks run in a thread of their own, from this same file.
if (isMainThread) {
  register(import.meta.url);
  process.argv.splice(1, 1);
  await import(pathToFileURL(resolvePath(process.argv[1])).href);
}
