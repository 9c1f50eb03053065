import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { KubeObject } from '../kubelet/pod.ts';
import { nameOf, render } from './chart.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
const VALUES = join(import.meta.dirname, 'values');

export interface Case {
  name: string;
  /** YAML. */
  values: string;
  /** Of the chart. */
  files: readonly string[];
}

const FORMS: readonly Case[] = ['compact', 'single', 'backup'].map((name) => ({
  name,
  values: '',
  files: [`values-${name}.yaml`],
}));

/** The values that the chart is tried with: the forms that come with it, and a file each here. */
export const CASES: readonly Case[] = [
  ...FORMS,
  {
    name: 'backup-private',
    values: 'image: { pullPolicy: Always, pullSecrets: [{ name: registry }] }\nserviceAccount: { name: messaging }',
    files: ['values-backup.yaml'],
  },
  ...readdirSync(VALUES).map((file) => ({
    name: file.replace('.yaml', ''),
    values: readFileSync(join(VALUES, file), 'utf8'),
    files: [],
  })),
];

/** Kept as a whole; the others are kept as what is different, which is what somebody can read. */
const WHOLE: readonly string[] = ['defaults', 'compact'];

export function goldenFile(name: string): string {
  return join(GOLDEN, WHOLE.includes(name) ? `${name}.yaml` : `${name}.diff`);
}

/** What a case renders, as it is kept for reading: without what is random, or changes with every release. */
export function goldenText(one: Case, rendered = render(one.values, one.files)): string {
  const objects = steadyObjects(one, rendered);
  if (WHOLE.includes(one.name)) {
    return objects.map((object) => `# ${nameOf(object)}\n${stringify(object, { lineWidth: 120 })}`).join('---\n');
  }
  const isCompact = objects.some(({ metadata }) => metadata.name.endsWith('-node'));
  const base = CASES.find(({ name }) => name === (isCompact ? 'compact' : 'defaults')) as Case;
  return `# Beside ${base.name}.yaml: what is gone (-), and what there is instead (+).\n${difference(steadyObjects(base), objects)}`;
}

const FULLNAME = 'demo-sluice';

const steady = new Map<string, KubeObject[]>();

function steadyObjects({ name, values, files }: Case, rendered?: readonly KubeObject[]): KubeObject[] {
  const known = steady.get(name);
  if (known !== undefined) return known;
  const objects = rendered ?? render(values, files);
  const api = objects.find(({ kind, metadata }) => kind === 'Service' && metadata.name.endsWith('-api'));
  // Another name in everything would be all that one sees.
  const fullname = api?.metadata.name.replace(/-api$/, '') ?? FULLNAME;
  const made = objects.map((object) => withoutChance(object, fullname));
  steady.set(name, made);
  return made;
}

function difference(base: readonly KubeObject[], objects: readonly KubeObject[]): string {
  const before = new Map(base.map((object) => [nameOf(object), object]));
  const after = new Map(objects.map((object) => [nameOf(object), object]));
  const told: string[] = [];
  for (const name of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [was, is] = [before.get(name), after.get(name)];
    if (is === undefined) told.push(`- ${name}`);
    else if (was === undefined)
      told.push(`+ ${name}`, ...stringify(is, { lineWidth: 120 }).trimEnd().split('\n').map(indented));
    else {
      const [left, right] = [new Set(leaves(was)), new Set(leaves(is))];
      const changes = [
        ...[...left].filter((line) => !right.has(line)).map((line) => `-   ${line}`),
        ...[...right].filter((line) => !left.has(line)).map((line) => `+   ${line}`),
      ];
      if (changes.length > 0) told.push(`  ${name}`, ...changes);
    }
  }
  return `${told.join('\n')}\n`;
}

const indented = (line: string): string => `+   ${line}`;

/** `path = value` of everything in an object; what has a name goes by it, so that a new one in front moves nothing. */
function leaves(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [`${path} = ${JSON.stringify(value)}`];
  const fields = Object.entries(value);
  if (fields.length === 0) return [`${path} = ${JSON.stringify(value)}`];
  return fields.flatMap(([key, field]) =>
    leaves(field, `${path}/${Array.isArray(value) ? (field?.name ?? key) : key}`),
  );
}

function withoutChance(object: KubeObject, fullname: string): KubeObject {
  const text = JSON.stringify(object).replaceAll(fullname, FULLNAME);
  const copy = JSON.parse(text, (key, value) => {
    if (key === 'helm.sh/chart' || key === 'app.kubernetes.io/version') return undefined;
    if (key === 'checksum/config') return '(sha256)';
    return value;
  }) as KubeObject;
  // Compared with their sources elsewhere.
  if (copy.kind === 'PrometheusRule') copy.spec = '(rules.yaml)';
  for (const key of Object.keys(copy.data ?? {})) if (key.startsWith('sluice-')) copy.data[key] = '(dashboard)';
  if (copy.kind !== 'Secret') return copy;
  for (const field of ['data', 'stringData']) {
    for (const key of Object.keys(copy[field] ?? {})) copy[field][key] = '(random)';
  }
  return copy;
}
