import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { PROMETHEUS, testWith } from '../harness/left-out.ts';
import { checkDashboards } from './dashboard-check.ts';

const WRITER = join(import.meta.dirname, '../../deploy/grafana/write-dashboards.mjs');

test('the dashboards are what their sources say', () => {
  const { status, stderr } = spawnSync(process.execPath, [WRITER, '--check'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
});

testWith(
  PROMETHEUS,
  'every query of every panel has data while a cluster works',
  async () => {
    expect((await checkDashboards()).empty).toEqual([]);
  },
  180_000,
);
