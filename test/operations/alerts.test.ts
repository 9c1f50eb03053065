import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { PROMTOOL, testWith } from '../harness/left-out.ts';
import type { AlertCase } from './alert-case.ts';
import { ALERT_CASES } from './alert-cases.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');
const RULES = join(DEPLOY, 'prometheus/rules.yaml');

interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  labels?: { severity?: string };
  annotations?: { summary?: string; description?: string; runbook?: string };
}

async function rules(): Promise<Rule[]> {
  const { groups } = parse(await readFile(RULES, 'utf8')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
}

/** One alert with the recordings that it reads, and its story: evaluating all rules for each story would take minutes. */
function filesOf(
  { alert, story: told = '', series, silentAt, firesAt }: AlertCase,
  all: readonly Rule[],
  rulesFile: string,
): [string, string] {
  const rule = all.find((one) => one.alert === alert);
  const needed = recordingsFor(rule?.expr ?? '', all);
  const expected = [...silentAt.map((at) => [at, 0]), ...firesAt.map((at) => [at, 1])];
  const story = {
    name: `${alert} ${told}`,
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: expected.map(([at, value]) => ({
      expr: `count(ALERTS{alertname="${alert}", alertstate="firing"}) or vector(0)`,
      eval_time: `${at}m`,
      exp_samples: [{ labels: '{}', value }],
    })),
  };
  return [
    stringify({ groups: [{ name: alert, rules: [...needed, rule] }] }),
    stringify({ rule_files: [rulesFile], evaluation_interval: '1m', tests: [story] }),
  ];
}

/** In the order of the file: what a recording reads comes before it. */
function recordingsFor(expr: string, all: readonly Rule[]): Rule[] {
  const needed = new Set<Rule>();
  const add = (text: string): void => {
    for (const rule of all) {
      if (rule.record === undefined || needed.has(rule) || !text.includes(rule.record)) continue;
      needed.add(rule);
      add(rule.expr);
    }
  };
  add(expr);
  return all.filter((rule) => needed.has(rule));
}

test('every alert says how urgent it is, what it is about and what to do, and has a story that tests it', async () => {
  const wanting: string[] = [];
  const told = new Set(ALERT_CASES.map(({ alert }) => alert));
  for (const { alert, labels, annotations } of await rules()) {
    if (alert === undefined) continue;
    if (!['page', 'ticket'].includes(labels?.severity ?? '')) wanting.push(`${alert}: severity`);
    if (annotations?.summary === undefined || annotations.description === undefined) wanting.push(`${alert}: summary`);
    if (!existsSync(join(DEPLOY, 'runbooks', annotations?.runbook ?? ' '))) wanting.push(`${alert}: runbook`);
    if (!told.delete(alert)) wanting.push(`${alert}: a case`);
  }
  expect([wanting, [...told]]).toEqual([[], []]);
});

testWith(PROMTOOL, 'the rules are what Prometheus takes', () => {
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', RULES], { encoding: 'utf8' });
  expect([status, `${stdout}${stderr}`]).toEqual([0, expect.stringContaining('SUCCESS')]);
});

testWith(
  PROMTOOL,
  'every alert fires, is silent before and while it is patient, and ends',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-alerts-'));
    try {
      const all = await rules();
      const files: string[] = [];
      for (const [i, story] of ALERT_CASES.entries()) {
        const path = join(folder, `${i}-${story.alert}`);
        const [rulesText, storyText] = filesOf(story, all, `${path}.rules.yaml`);
        await writeFile(`${path}.rules.yaml`, rulesText);
        await writeFile(`${path}.test.yaml`, storyText);
        files.push(`${path}.test.yaml`);
      }
      const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', ...files], { encoding: 'utf8' });
      const failed = `${stdout}${stderr}`.split(/(?=Unit Testing:)/).filter((one) => one.includes('FAILED'));
      expect([status, failed]).toEqual([0, []]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  60_000,
);
