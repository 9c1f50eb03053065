import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { PROMETHEUS, testWith } from '../harness/left-out.ts';
import { checkDashboards } from './dashboard-check.ts';
import { METRIC_REFERENCE, RARE_FAMILIES, referenceText } from './metric-reference.ts';

const WRITER = join(import.meta.dirname, '../../deploy/grafana/write-dashboards.mjs');

test('the dashboards are what their sources say', () => {
  const { status, stderr } = spawnSync(process.execPath, [WRITER, '--check'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
});

test('what seldom is on a page is described in the words of its source', () => {
  const wrong = RARE_FAMILIES.filter(({ name, help, written }) => {
    const source = readFileSync(join(import.meta.dirname, '../..', written), 'utf8');
    return !source.includes(`'${name}'`) || !source.includes(`'${help}'`);
  });
  expect(wrong).toEqual([]);
});

testWith(
  PROMETHEUS,
  'every query of every panel has data while a cluster works, and the reference names every metric there is',
  async () => {
    const { empty, families } = await checkDashboards();
    expect(empty).toEqual([]);
    expect(readFileSync(METRIC_REFERENCE, 'utf8')).toBe(referenceText(families));
  },
  180_000,
);
