import type { Finding } from './finding.ts';
import { importsOf, separate } from './source-code.ts';
import { isSource, lineAt, packageOf, type SourceTree } from './source-tree.ts';

/**
 * Which package may import which. Think hard before adding a line: a package that may import everything is a folder.
 * Pure packages come first; adapters and hosts may look down, never up or sideways.
 */
export const ALLOWED_IMPORTS: Readonly<Record<string, readonly string[]>> = {
  common: [],
  mqtt: ['common'],
  raft: ['common'],
  queue: ['common', 'raft'],
  group: ['common'],
  meta: ['common', 'raft', 'mqtt'],
  storage: ['common', 'raft'],
  rpc: ['common', 'raft', 'queue', 'meta', 'group'],
  telemetry: ['common'],
  multiraft: ['common', 'raft', 'storage', 'rpc'],
  'store-client': ['common', 'queue', 'meta', 'rpc', 'group'],
  gateway: ['common', 'mqtt', 'queue', 'meta', 'store-client', 'rpc'],
  store: ['common', 'queue', 'meta', 'multiraft', 'storage', 'rpc', 'raft'],
  coordinator: ['common', 'meta', 'multiraft', 'storage', 'rpc', 'raft', 'queue', 'group', 'store-client'],
  api: ['common', 'meta', 'queue', 'mqtt', 'rpc', 'telemetry'],
  scaler: ['common', 'rpc'],
  admin: ['common'],
  // The generator needs the first two; its hops measure the others one by one.
  bench: ['common', 'mqtt', 'raft', 'queue', 'storage', 'rpc', 'multiraft', 'gateway', 'store'],
  server: [
    'common',
    'mqtt',
    'raft',
    'queue',
    'group',
    'meta',
    'storage',
    'rpc',
    'telemetry',
    'multiraft',
    'store-client',
    'gateway',
    'store',
    'coordinator',
    'api',
    'scaler',
    'admin',
    'bench',
  ],
  sim: [
    'common',
    'mqtt',
    'raft',
    'queue',
    'group',
    'meta',
    'storage',
    'rpc',
    'multiraft',
    'store-client',
    'store',
    'coordinator',
    'gateway',
  ],
  tidy: [],
};

/**
 * Adapters to the outside: only the composition root binds them, so that everything else runs on the simulator's, and the
 * bench, which measures one alone.
 */
const ADAPTERS: readonly { folder: string; boundBy: readonly string[] }[] = [
  { folder: '@sluice/storage/rocksdb/', boundBy: ['server', 'bench'] },
  { folder: '@sluice/rpc/grpc/', boundBy: ['server'] },
  { folder: '@sluice/gateway/listener/', boundBy: ['server'] },
];

/**
 * What needs the libraries of other brokers, to measure them beside us. Nobody who installs Sluice should get those: they
 * are development dependencies, usable in this folder alone, and only this command may reach into it.
 */
const DEVELOPMENT: { folder: string; boundBy: string } = {
  folder: 'packages/bench/src/peers/',
  boundBy: 'packages/bench/src/bin.ts',
};

const OWN = '@sluice/';

interface PackageManifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

interface ProjectConfig {
  references?: { path: string }[];
}

/** Imports used are within those declared; declared dependencies, project references and the table are the same. */
export function checkDependencyDag(
  tree: SourceTree,
  allowed: Readonly<Record<string, readonly string[]>> = ALLOWED_IMPORTS,
): Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of tree) {
    const name = packageOf(path);
    if (name === undefined) continue;
    if (path === `packages/${name}/package.json`) findings.push(...checkManifest(path, name, text, allowed));
    else if (path === `packages/${name}/tsconfig.json`) findings.push(...checkReferences(path, name, text, allowed));
    else if (isSource(path)) findings.push(...checkImports(path, name, text, tree));
  }
  return findings;
}

function checkManifest(path: string, name: string, text: string, allowed: typeof ALLOWED_IMPORTS): Finding[] {
  const list = allowed[name];
  if (list === undefined) return [{ path, line: 0, message: `the table of allowed imports has no line for ${name}` }];
  const declared = Object.keys((JSON.parse(text) as PackageManifest).dependencies ?? {});
  const own = declared.filter((each) => each.startsWith(OWN)).map((each) => each.slice(OWN.length));
  return difference(path, 'dependencies', own, list);
}

function checkReferences(path: string, name: string, text: string, allowed: typeof ALLOWED_IMPORTS): Finding[] {
  const references = (JSON.parse(text) as ProjectConfig).references ?? [];
  const names = references.map((reference) => reference.path.replace('../', ''));
  return difference(path, 'references', names, allowed[name] ?? []);
}

function difference(path: string, what: string, actual: string[], expected: readonly string[]): Finding[] {
  const more = actual.filter((each) => !expected.includes(each));
  const missing = expected.filter((each) => !actual.includes(each));
  return [
    ...more.map((each) => ({ path, line: 0, message: `${what} name ${each}, which may not be imported here` })),
    ...missing.map((each) => ({ path, line: 0, message: `${what} lack ${each}, which the table allows` })),
  ];
}

function checkImports(path: string, name: string, text: string, tree: SourceTree): Finding[] {
  const manifest = JSON.parse(tree.get(`packages/${name}/package.json`) ?? '{}') as PackageManifest;
  const declared = Object.keys(manifest.dependencies ?? {});
  if (path.startsWith(DEVELOPMENT.folder)) declared.push(...Object.keys(manifest.devDependencies ?? {}));
  const findings: Finding[] = [];
  for (const { specifier, index } of importsOf(text, separate(text))) {
    const message = importProblem(specifier, path, name, declared);
    if (message !== undefined) findings.push({ path, line: lineAt(text, index), message });
  }
  return findings;
}

function importProblem(specifier: string, path: string, name: string, declared: string[]): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  if (specifier.startsWith('.')) {
    const target = new URL(specifier, `file:///${path}`).pathname;
    if (!target.startsWith(`/packages/${name}/src/`)) return `${specifier} leaves the package; import it by its name`;
    if (target.startsWith(`/${DEVELOPMENT.folder}`) && !isDevelopment(path)) {
      return `${specifier} needs development dependencies; only ${DEVELOPMENT.boundBy} may import it`;
    }
    return /\.tsx?$/.test(specifier) ? undefined : `${specifier} lacks its real extension`;
  }
  const target = /^(@[^/]+\/[^/]+|[^/]+)/.exec(specifier)?.[0] as string;
  if (!declared.includes(target)) return `${target} is not among the package's dependencies`;
  if (specifier.startsWith('@sluice/bench/peers/')) return `${specifier} needs development dependencies`;
  const adapter = ADAPTERS.find((each) => specifier.startsWith(each.folder));
  if (adapter !== undefined && !adapter.boundBy.includes(name)) {
    return `${specifier} is bound by ${adapter.boundBy.join(' and ')} alone`;
  }
  return undefined;
}

function isDevelopment(path: string): boolean {
  return path === DEVELOPMENT.boundBy || path.startsWith(DEVELOPMENT.folder);
}
