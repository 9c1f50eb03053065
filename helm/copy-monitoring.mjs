// node helm/copy-monitoring.mjs: rules and dashboards into the chart, which can hold only what is inside of it. A test says when
// they differ from those in deploy.
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const DEPLOY = join(import.meta.dirname, '../deploy');
const FILES = join(import.meta.dirname, 'sluice/files');

/** By their paths in the chart, where they come from. */
export const COPIED = new Map([
  ['rules.yaml', join(DEPLOY, 'prometheus/rules.yaml')],
  ...readdirSync(join(DEPLOY, 'grafana'))
    .filter((name) => name.endsWith('.json'))
    .map((name) => [`dashboards/${name}`, join(DEPLOY, 'grafana', name)]),
]);

if (process.argv[1] === import.meta.filename) {
  rmSync(FILES, { recursive: true, force: true });
  mkdirSync(join(FILES, 'dashboards'), { recursive: true });
  for (const [path, from] of COPIED) copyFileSync(from, join(FILES, path));
}
