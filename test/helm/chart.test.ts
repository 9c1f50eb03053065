import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, test } from '@jest/globals';
import { type ConfigSources, loadConfig } from '@sluice/server/config/load-config';
import { parse } from 'yaml';
import { COPIED } from '../../helm/copy-monitoring.mjs';
import { type KubeObject, type Place, podOf } from '../kubelet/pod.ts';
import { CHART, HELM, helm, nameOf, render, template, workloads } from './chart.ts';
import { CASES, type Case, goldenFile, goldenText } from './golden.ts';
import { problemsOf } from './object-schema.ts';
import { refusedByRestricted } from './restricted-profile.ts';

/** Helm's package is for Linux; elsewhere there is nothing to render with. */
const withHelm = HELM === undefined ? describe.skip : describe;

/** What a release refers to and does not bring. */
const SECRETS = {
  'mq-credentials': { 'api-keys': 'k:s:administrator\n', admin: 'k:s', 'mqtt-users': 'ann:lovelace\n' },
  ...Object.fromEntries(
    ['mq-gateway-tls', 'mq-store-tls', 'mq-coordinator-tls', 'mq-clients-tls'].map((name) => [name, certificate()]),
  ),
};

function certificate(): Record<string, string> {
  return { 'ca.crt': 'PEM', 'tls.crt': 'PEM', 'tls.key': 'PEM' };
}

/** By cert-manager, once it sees the release. */
function certificatesOf(objects: readonly KubeObject[]): Record<string, Record<string, string>> {
  const made = objects.filter(({ kind }) => kind === 'Certificate').map(({ spec }) => [spec.secretName, certificate()]);
  return Object.fromEntries(made);
}

withHelm('the chart', () => {
  test('lints without a word, also when warnings count, and packs', () => {
    const linted = helm(['lint', '--strict', CHART]);
    expect([linted.code, linted.out.match(/\[(WARNING|ERROR)\].*/g)]).toEqual([0, null]);
    const folder = mkdtempSync(join(tmpdir(), 'sluice-chart-'));
    try {
      expect(helm(['package', CHART, '--destination', folder])).toMatchObject({ code: 0 });
      const packed = helm(['template', 'x', join(folder, 'sluice-0.1.0.tgz')]);
      expect([packed.code, packed.out.match(/kind: StatefulSet/g)?.length]).toEqual([0, 2]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  describe.each(CASES.map((one) => [one.name, one] as const))('with %s', (_name, one: Case) => {
    const objects = HELM === undefined ? [] : render(one.values, one.files);

    it('renders what Kubernetes takes, field by field', () => {
      expect(objects.map((object) => [nameOf(object), problemsOf(object)])).toEqual(
        objects.map((object) => [nameOf(object), []]),
      );
      expect(new Set(objects.map(nameOf)).size).toBe(objects.length);
    });

    it('renders what was read before', () => {
      expect(goldenText(one, objects)).toBe(readFileSync(goldenFile(one.name), 'utf8'));
    });

    it('asks for nothing that the restricted profile refuses', () => {
      for (const { name, template } of workloads(objects))
        expect([name, refusedByRestricted(template)]).toEqual([name, []]);
    });

    it('refers to nothing that is not there', () => {
      expect(dangling(objects)).toEqual([]);
    });

    it('tells the broker nothing that it refuses', () => {
      const secrets = { ...SECRETS, ...certificatesOf(objects) };
      for (const { name, kind, template } of workloads(objects)) {
        if (kind === 'Job' || kind === 'Pod') continue;
        const place: Place = { name: 'demo-0', ip: one.name === 'ipv6' ? 'fd00::7' : '10.0.0.7', node: 'machine-1' };
        const { args, env, files } = podOf(template, place, objects, secrets);
        const loaded = loadConfig(sourcesOf(env, files));
        expect([name, args, loaded]).toEqual([name, ['server'], expect.objectContaining({ ok: true, warnings: [] })]);
      }
    });

    it('holds no secret outside of secrets, and none that everybody knows', () => {
      for (const object of objects.filter(({ kind }) => kind !== 'Secret')) {
        expect(JSON.stringify(object)).not.toMatch(/password"?:|scrypt|PRIVATE KEY|"value":"admin:/i);
      }
    });
  });

  test('pods are replaced for settings, and not for users, rules or queues, which a node takes while it runs', () => {
    const checksums = (values: string): unknown[] =>
      workloads(render(`tls: { nodes: { mode: none } }\n${values}`))
        .filter(({ kind }) => kind !== 'Pod' && kind !== 'Job')
        .map(({ template }) => template.metadata.annotations['checksum/config']);
    const before = checksums('');
    expect(
      checksums('rules: [{ permission: allow, topics: [a] }]\nqueues: [{ topic_filter: a, is_lastvalue: true }]'),
    ).toEqual(before);
    const after = checksums('config: { auth: { database: true } }');
    // The gateways: nobody else lets anybody in.
    expect(after.map((checksum, i) => checksum === before[i])).toEqual([false, true, true]);
  });

  test('rules and dashboards are those of deploy', () => {
    const inChart = readdirSync(join(CHART, 'files'), { recursive: true, withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    expect(inChart).toHaveLength(COPIED.size);
    for (const [path, from] of COPIED) {
      const isSame = readFileSync(join(CHART, 'files', path), 'utf8') === readFileSync(from, 'utf8');
      expect([path, isSame || 'differs: node helm/copy-monitoring.mjs']).toEqual([path, true]);
    }
    const objects = render('metrics: { rules: { enabled: true }, dashboards: { enabled: true } }');
    const rules = objects.find(({ kind }) => kind === 'PrometheusRule');
    expect(rules?.spec).toEqual(parse(readFileSync(COPIED.get('rules.yaml') as string, 'utf8')));
    const dashboards = objects.filter(({ metadata }) => metadata.labels?.grafana_dashboard === '1');
    for (const { data } of dashboards) for (const text of Object.values(data)) JSON.parse(text as string);
    expect(dashboards).toHaveLength(COPIED.size - 1);
  });

  test.each(['tiers', 'compact'])(
    'with a backup all pods of %s join the one that is made of it, and none before',
    (form) => {
      const pods = workloads(render(`form: ${form}\nrestore: { claim: backups }`)).filter(({ kind }) =>
        /Set|Depl/.test(kind),
      );
      const joins = pods.map(({ template }) => {
        const { env } = template.spec.containers[0];
        return env.find(({ name }: { name: string }) => name === 'SLUICE_NODE__JOIN').value.split(',')[0];
      });
      const first = 'demo-sluice-restore-0.demo-sluice-restore.mqtt.svc.cluster.local:5370';
      expect(joins).toEqual(pods.map(() => first));
      const restoring = pods.filter(({ template }) => template.spec.initContainers !== undefined);
      expect(restoring.map(({ name }) => name)).toEqual(['StatefulSet demo-sluice-restore']);
    },
  );

  test('values of a release that is older than restoring are enough', () => {
    expect(render('restore: null\ntls: { nodes: { mode: none } }').map(nameOf)).toEqual(
      render('tls: { nodes: { mode: none } }').map(nameOf),
    );
  });

  test('the longest names leave room for what Kubernetes adds', () => {
    for (const { kind, metadata } of render(
      'fullnameOverride: a-name-that-is-much-too-long-for-what-comes-behind-it',
    )) {
      // A label of each pod holds the set's name and ten letters more.
      if (kind === 'StatefulSet') expect(metadata.name.length).toBeLessThanOrEqual(63 - '-0123456789'.length);
      expect(metadata.name.length).toBeLessThanOrEqual(63);
    }
  });

  test('no two releases have the same credentials', () => {
    const secrets = [1, 2].map(() => render('tls: { nodes: { mode: none } }').find(({ kind }) => kind === 'Secret'));
    const [first, second] = secrets.map((secret) => secret?.stringData as Record<string, string>);
    expect(Object.keys(first ?? {}).sort()).toEqual(['admin', 'api-keys', 'mqtt-password', 'mqtt-users']);
    for (const [key, text] of Object.entries(first ?? {})) {
      expect(text).toMatch(/[A-Za-z0-9]{40}/);
      expect(text).not.toBe(second?.[key]);
    }
  });
});

withHelm('values that cannot work are refused with words', () => {
  test.each([
    ['two stores, which survive nothing that one would not', 'store: { replicas: 2 }', 'a majority of two is both'],
    ['four coordinators', 'coordinator: { replicas: 4 }', 'coordinator.replicas'],
    ['a form that there is none of', 'form: single', 'form'],
    ['a word that is misspelt', 'gateway: { replica: 3 }', 'replica'],
    ['a section that is misspelt', 'stores: {}', 'stores'],
    ['a password in place of a hash', 'users: [{ name: ann, password: lovelace }]', 'users'],
    ['a hash that is none', 'users: [{ name: ann, hash: lovelace }]', 'users.0.hash'],
    ['a name with a colon', 'users: [{ name: "a:b", hash: "$scrypt$x" }]', 'users.0.name'],
    ['settings that the chart decides', 'config: { listeners: { mqtt: none } }', 'listeners'],
    ['a size that is none', 'store: { storage: { size: 10 GB } }', 'store.storage.size'],
    ['a budget that lets nothing move', 'store: { maxUnavailable: 0 }', 'store.maxUnavailable'],
    ['a queue that does not say its kind', 'queues: [{ topic_filter: a }]', 'is_lastvalue'],
    ['TLS without a certificate', 'listeners: { mqtts: true }', 'tls.mqtt.mode'],
    ['users who may do nothing', 'users: [{ name: ann, hash: "$scrypt$x" }]', 'users without rules'],
    [
      'two places for users',
      `${'users: [{ name: a, hash: "$scrypt$x" }]'}\nrules: [{ permission: allow, topics: [a] }]\ncredentials: { existingSecret: s }`,
      'mqtt-users',
    ],
    ['a backup outside of its claim', 'restore: { claim: backups, path: ../other }', 'restore.path'],
    ['secrets that are not named', 'tls: { nodes: { mode: secret } }', 'tls.nodes.secrets'],
    [
      'a secret for clients that is not named',
      'listeners: { wss: true }\ntls: { mqtt: { mode: secret } }',
      'tls.mqtt.secret',
    ],
  ])('%s', (_what, values, said) => {
    const { code, err } = template(values);
    expect([code, err]).toEqual([1, expect.stringContaining(said)]);
  });
});

describe('what the checks see', () => {
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { ports: [{ port: 1 }] } };

  test.each([
    ['nothing wrong', service, []],
    ['a wrong type', { ...service, spec: { ports: [{ port: 'x' }] } }, [expect.stringContaining('port')]],
    [
      'an unknown field',
      { ...service, spec: { ports: [{ port: 1, prot: 'TCP' }] } },
      ['/spec/ports/0/prot is not known'],
    ],
    ['one at the top', { ...service, specs: {} }, ['/specs is not known']],
    ['an unknown kind', { ...service, kind: 'Servise' }, ['v1 has no Servise']],
    [
      'one deep in a pod',
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'a' },
        spec: { containers: [{ name: 'a', livenessProbe: { httpGet: { port: 1, pth: '/' } } }] },
      },
      ['/spec/containers/0/livenessProbe/httpGet/pth is not known'],
    ],
    [
      'one of a foreign kind',
      { apiVersion: 'cert-manager.io/v1', kind: 'Issuer', metadata: { name: 'a' }, spec: { selfSignd: {} } },
      [expect.anything(), expect.anything(), expect.anything()],
    ],
  ])('%s', (_what, object, problems) => {
    const seen = problemsOf(object as KubeObject);
    if (problems.length < 3) expect(seen).toEqual(problems);
    else expect(seen.length).toBeGreaterThan(0);
  });

  test('a pod that the restricted profile refuses', () => {
    const container = { name: 'a', securityContext: { privileged: true }, ports: [{ hostPort: 1 }] };
    const spec = { hostNetwork: true, volumes: [{ name: 'a', hostPath: { path: '/' } }], containers: [container] };
    expect(refusedByRestricted({ spec })).toEqual(
      expect.arrayContaining(['hostNetwork', 'privileged', 'a volume of hostPath', 'hostPort', 'runAsNonRoot']),
    );
  });

  test('what refers to nothing', () => {
    const pods = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ ports: [{ name: 'http' }] }] } };
    const set = {
      ...service,
      kind: 'StatefulSet',
      metadata: { name: 's' },
      spec: { serviceName: 'none', template: pods },
    };
    const lost = { ...service, spec: { selector: { a: 'c' }, ports: [] } };
    expect(dangling([set, lost] as KubeObject[])).toEqual([
      'StatefulSet s: no service none',
      'Service a: nobody is selected',
    ]);
    const wrongPort = { ...service, spec: { selector: { a: 'b' }, ports: [{ port: 1, targetPort: 'mqtt' }] } };
    expect(dangling([wrongPort, { ...set, spec: { template: pods } }] as KubeObject[])).toEqual([
      'Service a: no port mqtt',
    ]);
  });
});

function sourcesOf(env: ReadonlyMap<string, string>, files: ReadonlyMap<string, string>): ConfigSources {
  return {
    flags: {} as ConfigSources['flags'],
    env: Object.fromEntries(env),
    readFile: (path) => {
      const text = files.get(path);
      if (text === undefined) throw Object.assign(new Error('not there'), { code: 'ENOENT' });
      return text;
    },
  };
}

/** Selectors, ports and names that lead nowhere. */
function dangling(objects: readonly KubeObject[]): string[] {
  const wrong: string[] = [];
  const pods = workloads(objects).map(({ template }) => template);
  const selectedBy = (selector: Record<string, string>) =>
    pods.filter(({ metadata }) => Object.entries(selector).every(([key, value]) => metadata.labels?.[key] === value));
  const has = (kind: string, name: string) => objects.some((one) => one.kind === kind && one.metadata.name === name);
  for (const object of objects) {
    const { kind, spec } = object;
    const problem = (what: string): void => void wrong.push(`${nameOf(object)}: ${what}`);
    const selector =
      kind === 'Service'
        ? spec.selector
        : kind === 'NetworkPolicy'
          ? spec.podSelector.matchLabels
          : spec?.selector?.matchLabels;
    const selected = selector === undefined ? [] : selectedBy(selector);
    if (selector !== undefined && selected.length === 0) problem('nobody is selected');
    const ports = new Set(selected.flatMap(({ spec: pod }) => pod.containers.flatMap(portNames)));
    if (kind === 'Service' && selected.length > 0) {
      for (const { targetPort } of spec.ports) if (!ports.has(targetPort)) problem(`no port ${targetPort}`);
    }
    if (kind === 'NetworkPolicy') {
      for (const { ports: open } of spec.ingress)
        for (const { port } of open) if (!ports.has(port)) problem(`no port ${port}`);
    }
    if (kind === 'PodMonitor')
      for (const { port } of spec.podMetricsEndpoints) if (!ports.has(port)) problem(`no port ${port}`);
    if (kind === 'StatefulSet' && spec.serviceName !== undefined && !has('Service', spec.serviceName))
      problem(`no service ${spec.serviceName}`);
    if (kind === 'HorizontalPodAutoscaler' && !has(spec.scaleTargetRef.kind, spec.scaleTargetRef.name))
      problem('scales nothing');
  }
  return wrong;
}

function portNames({ ports = [] }: { ports?: { name: string }[] }): string[] {
  return ports.map(({ name }) => name);
}
