import { readFileSync } from 'node:fs';
import { connectionFrom } from '@sluice/admin/rest-client';
import type { ServerFlags } from '../config/from-flags.ts';
import { loadConfig } from '../config/load-config.ts';
import { openFilesLimit } from '../node/open-files.ts';
import { checkBroker } from './check-broker.ts';
import { checkCertificates } from './check-certificates.ts';
import { checkDisk } from './check-disk.ts';
import { checkPeers } from './check-peers.ts';
import { checkRuntime } from './check-runtime.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

/** Everything a node with this configuration stands on; what can be looked at without it, when it is wrong. */
export async function examine(flags: ServerFlags & { url?: string; apiKey?: string }): Promise<Finding[]> {
  const isNamed = (flags.url ?? process.env.SLUICE_URL ?? '') !== '';
  const broker = checkBroker(connectionFrom(flags, process.env), Date.now, { isNamed });
  const loaded = loadConfig({ flags, env: process.env, readFile: (path) => readFileSync(path, 'utf8') });
  if (!loaded.ok) {
    const problems = loaded.problems.map(({ key, message, hint }) => failure('config', `${key} ${message}`, hint));
    return [...problems, ...(await broker)];
  }
  const { config } = loaded;
  const settings = loaded.warnings.map((text) => warning('config', text, ''));
  if (settings.length === 0) settings.push(ok('config', 'every setting is valid'));
  const runtime = { nodeVersion: process.versions.node, platform: process.platform, openFiles: openFilesLimit() };
  return [
    ...settings,
    ...checkRuntime(config, runtime),
    ...(await checkDisk(config)),
    ...(await checkCertificates(config, Date.now())),
    ...(await checkPeers(config)),
    ...(await broker),
  ];
}
