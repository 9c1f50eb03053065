import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv } from 'ajv';
import type { KubeObject } from '../kubelet/pod.ts';

const load = createRequire(import.meta.url);

/**
 * What the API server would say of an object: wrong types and missing fields by the schemas of Kubernetes, and fields that
 * no schema knows. The server drops those without a word, so a word that is misspelt does nothing.
 */
export function problemsOf(object: KubeObject): string[] {
  const validate = CUSTOM.get(`${object.apiVersion} ${object.kind}`);
  if (validate === undefined) return builtInProblems(object);
  return validate(object)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

type Validate = ((value: object) => boolean) & { errors?: { instancePath: string; message?: string }[] | null };

function builtInProblems(object: KubeObject): string[] {
  const validate = validatorOf(object);
  if (validate === undefined) return [`${object.apiVersion} has no ${object.kind}`];
  const unread = new Set<string>();
  // The validators are compiled, and no list of fields is left in them. But they ask for every field that they know.
  if (!validate(watch(object, '', unread)))
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  return [...unread].map((path) => `${path} is not known`);
}

/** Below the models, which copy what they are given, and so read all of it. */
function validatorOf({ apiVersion, kind }: KubeObject): Validate | undefined {
  let models: Record<string, unknown>;
  try {
    models = load(`kubernetes-models/${apiVersion}`);
  } catch {
    return undefined;
  }
  const schema = Object.keys(models).find((name) => name !== kind && models[name] === models[kind]);
  if (schema === undefined) return undefined;
  return load(join(dirname(load.resolve('kubernetes-models')), '_schemas', `${schema}.js`)).validate;
}

/** A view of a value that notes which of its fields nobody has read. */
function watch(value: unknown, path: string, unread: Set<string>): object {
  const views = new Map<string, unknown>();
  for (const [key, field] of Object.entries(value as object)) {
    const at = `${path}/${key}`;
    unread.add(at);
    views.set(key, typeof field === 'object' && field !== null ? watch(field, at, unread) : field);
  }
  return new Proxy(value as object, {
    get(target, key) {
      if (typeof key !== 'string' || !views.has(key)) return Reflect.get(target, key);
      unread.delete(`${path}/${key}`);
      return views.get(key);
    },
  });
}

const TEXT = { type: 'string', minLength: 1 };
const TEXTS = { type: 'array', items: TEXT, minItems: 1 };
const NAMES = { type: 'object', additionalProperties: { type: 'string' } };

function exactly(properties: Record<string, object>, required: string[] = Object.keys(properties)): object {
  return { type: 'object', additionalProperties: false, required, properties };
}

const DURATION = { type: 'string', pattern: '^([0-9]+(h|m|s|ms))+$' };
const ISSUER = exactly({ name: TEXT, kind: { enum: ['Issuer', 'ClusterIssuer'] }, group: TEXT }, ['name', 'kind']);

/** What the chart uses of objects that cert-manager and the Prometheus operator bring, by their documentation. */
const SPECS: Record<string, object> = {
  'cert-manager.io/v1 Issuer': {
    oneOf: [exactly({ selfSigned: exactly({}) }), exactly({ ca: exactly({ secretName: TEXT }) })],
  },
  'cert-manager.io/v1 Certificate': exactly(
    {
      secretName: TEXT,
      commonName: { type: 'string', minLength: 1, maxLength: 64 },
      dnsNames: TEXTS,
      isCA: { type: 'boolean' },
      duration: DURATION,
      renewBefore: DURATION,
      usages: { type: 'array', items: { enum: ['digital signature', 'server auth', 'client auth'] } },
      privateKey: exactly(
        { algorithm: { enum: ['ECDSA'] }, size: { enum: [256] }, rotationPolicy: { enum: ['Always', 'Never'] } },
        ['algorithm'],
      ),
      issuerRef: ISSUER,
    },
    ['secretName', 'issuerRef'],
  ),
  'monitoring.coreos.com/v1 PodMonitor': exactly({
    selector: exactly({ matchLabels: NAMES }),
    podTargetLabels: TEXTS,
    podMetricsEndpoints: {
      type: 'array',
      minItems: 1,
      items: exactly({ port: TEXT, path: TEXT, interval: DURATION }),
    },
  }),
  'monitoring.coreos.com/v1 PrometheusRule': exactly({
    groups: {
      type: 'array',
      minItems: 1,
      items: exactly(
        {
          name: TEXT,
          interval: DURATION,
          rules: {
            type: 'array',
            minItems: 1,
            items: exactly(
              {
                alert: TEXT,
                record: TEXT,
                expr: { anyOf: [TEXT, { type: 'integer' }] },
                for: DURATION,
                keep_firing_for: DURATION,
                labels: NAMES,
                annotations: NAMES,
              },
              ['expr'],
            ),
          },
        },
        ['name', 'rules'],
      ),
    },
  }),
};

const ajv = new Ajv({ allErrors: true, strict: false });
const METADATA = exactly({ name: TEXT, labels: NAMES, annotations: NAMES }, ['name']);
const CUSTOM = new Map(
  Object.entries(SPECS).map(([kind, spec]) => [
    kind,
    ajv.compile(exactly({ apiVersion: TEXT, kind: TEXT, metadata: METADATA, spec })),
  ]),
);
