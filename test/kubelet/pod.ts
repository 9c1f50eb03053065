/**
 * A pod as the kubelet would run it, out of a rendered release: variables with everything they refer to, the files of
 * its volumes, and what is asked of its process. What is not understood is an error: what this does not play is not shown.
 */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: objects of many kinds, whose schemas are checked elsewhere.
  [field: string]: any;
}

export interface Probe {
  path: string;
  port: number;
  periodMs: number;
  timeoutMs: number;
  failures: number;
}

export interface Pod {
  args: readonly string[];
  env: ReadonlyMap<string, string>;
  /** By their paths in the container. */
  files: ReadonlyMap<string, string>;
  /** Folders it may write to; `claim`: what is there survives the pod. */
  folders: readonly { mountPath: string; claim: boolean }[];
  startup: Probe;
  liveness: Probe;
  readiness: Probe;
  /** Undefined: SIGTERM comes at once. */
  preStop: readonly string[] | undefined;
  graceMs: number;
}

export interface Place {
  name: string;
  ip: string;
  node: string;
}

/** `secrets`: those a release only refers to, by name. */
export function podOf(
  template: KubeObject['spec'],
  place: Place,
  objects: readonly KubeObject[],
  secrets: Readonly<Record<string, Record<string, string>>> = {},
): Pod {
  const { spec } = template;
  const [container] = spec.containers;
  const contentOf = (kind: 'ConfigMap' | 'Secret', name: string): Record<string, string> => {
    const found = objects.find((one) => one.kind === kind && one.metadata.name === name);
    if (found === undefined) return secrets[name] ?? mistake(`no ${kind} ${name}`);
    if (kind === 'ConfigMap') return found.data;
    const decoded = Object.entries(found.data ?? {}).map(([key, text]) => [key, atob(text as string)]);
    return { ...Object.fromEntries(decoded), ...found.stringData };
  };
  const env = new Map<string, string>();
  for (const { name, value, valueFrom } of container.env) {
    env.set(name, valueFrom === undefined ? expanded(value, env) : referredValue(valueFrom, place, contentOf));
  }
  const files = new Map<string, string>();
  const folders: { mountPath: string; claim: boolean }[] = [];
  for (const { name, mountPath } of container.volumeMounts) {
    const volume = (spec.volumes ?? []).find((one: { name: string }) => one.name === name);
    if (volume === undefined || volume.emptyDir !== undefined) {
      folders.push({ mountPath, claim: volume === undefined });
      continue;
    }
    const { configMap, secret } = volume;
    const content = contentOf(configMap ? 'ConfigMap' : 'Secret', configMap?.name ?? secret.secretName);
    const items: { key: string; path: string }[] =
      secret?.items ?? Object.keys(content).map((key) => ({ key, path: key }));
    for (const { key, path } of items) {
      files.set(`${mountPath}/${path}`, content[key] ?? mistake(`no ${key} for the volume ${name}`));
    }
  }
  const probe = (name: string): Probe => probeOf(container[name], container.ports);
  return {
    args: container.args,
    env,
    files,
    folders,
    startup: probe('startupProbe'),
    liveness: probe('livenessProbe'),
    readiness: probe('readinessProbe'),
    preStop: container.lifecycle?.preStop.exec.command,
    graceMs: (spec.terminationGracePeriodSeconds ?? 30) * 1_000,
  };
}

function referredValue(
  from: KubeObject['spec'],
  place: Place,
  contentOf: (kind: 'Secret', name: string) => Record<string, string>,
): string {
  const { fieldRef, secretKeyRef } = from;
  if (secretKeyRef !== undefined) {
    const { name, key } = secretKeyRef;
    return contentOf('Secret', name)[key] ?? mistake(`no ${key} in the secret ${name}`);
  }
  switch (fieldRef?.fieldPath) {
    case 'metadata.name':
      return place.name;
    case 'status.podIP':
      return place.ip;
    case 'spec.nodeName':
      return place.node;
    case "metadata.labels['topology.kubernetes.io/zone']":
      return `zone-of-${place.node}`;
    default:
      return mistake(`a variable from ${JSON.stringify(from)}`);
  }
}

/** `$(NAME)` of a variable that stands before it, as Kubernetes has it. */
function expanded(text: string, env: ReadonlyMap<string, string>): string {
  return text.replace(/\$\((\w+)\)/g, (_all, name: string) => env.get(name) ?? mistake(`${text} before ${name}`));
}

/** What is left out has Kubernetes' defaults. */
function probeOf(probe: KubeObject['spec'], ports: readonly { name: string; containerPort: number }[]): Probe {
  const { path, port } = probe.httpGet;
  const named = ports.find(({ name }) => name === port) ?? mistake(`no port ${port}`);
  return {
    path,
    port: named.containerPort,
    periodMs: (probe.periodSeconds ?? 10) * 1_000,
    timeoutMs: (probe.timeoutSeconds ?? 1) * 1_000,
    failures: probe.failureThreshold ?? 3,
  };
}

function mistake(what: string): never {
  throw new Error(`the release cannot be run: ${what}`);
}
