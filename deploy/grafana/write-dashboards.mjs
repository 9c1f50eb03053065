// Writes the dashboards beside it, as Grafana imports them: node deploy/grafana/write-dashboards.mjs
// With --check it only says whether the files are what it would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cluster } from './cluster-dashboard.mjs';
import { gateways } from './gateways-dashboard.mjs';
import { lag } from './lag-dashboard.mjs';
import { storage } from './storage-dashboard.mjs';

const isCheck = process.argv.includes('--check');
let stale = 0;
for (const dashboard of [lag, cluster, gateways, storage]) {
  const file = join(import.meta.dirname, `${dashboard.uid}.json`);
  const text = `${JSON.stringify(dashboard, undefined, 2)}\n`;
  if (!isCheck) writeFileSync(file, text);
  else if (read(file) !== text) {
    stale++;
    process.stderr.write(`${file} is not what its source says: node deploy/grafana/write-dashboards.mjs\n`);
  }
}
process.exitCode = stale === 0 ? 0 : 1;

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
