// node deploy/gather.mjs DIRECTORY: what the broker needs to run, out of a checkout that is built and pruned to what is not for
// development. Tests, sources, maps and types stay behind, and so does whatever npm left of workspaces.
import { cpSync, existsSync, lstatSync, readdirSync, realpathSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const [target] = process.argv.slice(2);
if (target === undefined || existsSync(target)) {
  process.stderr.write('gather: name a directory that is not there yet\n');
  process.exit(2);
}

/** Maps and types are for those who build on it. */
const LEFT = /\.(d\.ts|map|tsbuildinfo)$/;
const keep = (path) => !LEFT.test(path) && basename(path) !== '.package-lock.json';

for (const name of readdirSync(join(ROOT, 'packages'))) {
  const from = join(ROOT, 'packages', name);
  for (const part of ['package.json', 'dist', 'bin', 'node_modules']) {
    if (existsSync(join(from, part))) cpSync(join(from, part), join(target, 'packages', name, part), options());
  }
}
cpSync(join(ROOT, 'package.json'), join(target, 'package.json'));
cpSync(join(ROOT, 'LICENSE'), join(target, 'LICENSE'));
cpSync(join(ROOT, 'node_modules'), join(target, 'node_modules'), {
  ...options(),
  filter: (path) => keep(path) && !path.endsWith('node_modules/.bin') && !isLeftBehind(path),
});

function options() {
  return { recursive: true, filter: keep, verbatimSymlinks: true };
}

/** A link to a workspace that is not taken along. */
function isLeftBehind(path) {
  if (!lstatSync(path).isSymbolicLink()) return false;
  return !relative(ROOT, realpathSync(path)).startsWith('packages');
}
