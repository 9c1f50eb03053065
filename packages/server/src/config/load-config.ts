import { formatSize } from '@sluice/common/human-size';
import { AccessFiles, readAccess } from './access-files.ts';
import { ApiKeyFiles } from './api-key-files.ts';
import { checkCluster, clusterWarnings } from './cluster-settings.ts';
import type { ServerConfig } from './config.ts';
import { decideExposure, findAddressClashes } from './exposure.ts';
import { layerFromEnv } from './from-env.ts';
import { layerFromFile } from './from-file.ts';
import { layerFromFlags, type ServerFlags } from './from-flags.ts';
import type { ConfigProblem, Layer } from './layer.ts';
import { readNamedFile } from './named-file.ts';
import { resolveConfig, toAddress, toBytes } from './resolve-config.ts';
import type { WrittenConfig } from './schema.ts';
import { SETTINGS } from './settings.ts';
import { validateLayer } from './validate.ts';

/**
 * Everything a node is told, checked before anything is opened: a wrong value found after the listeners are up is an
 * outage, found here it is a sentence. All problems are reported at once. Pure but for `readFile`.
 */
export interface ConfigSources {
  flags: ServerFlags;
  env: Readonly<Record<string, string | undefined>>;
  /** Throws as `fs.readFileSync` does. Relative paths are the working directory's. */
  readFile: (path: string) => string;
}

export type LoadedConfig =
  | { ok: true; config: ServerConfig; settings: Layer; warnings: string[] }
  | { ok: false; problems: ConfigProblem[] };

export function loadConfig(sources: ConfigSources): LoadedConfig {
  const problems: ConfigProblem[] = [];
  const merged: Layer = new Map();
  for (const { key, rule } of SETTINGS) {
    if (rule.default !== undefined) merged.set(key, { value: rule.default, origin: 'default' });
  }

  const fileName = sources.flags.config ?? nonEmpty(sources.env.SLUICE_CONFIG);
  if (fileName !== undefined) {
    const origin = sources.flags.config === undefined ? 'environment variable SLUICE_CONFIG' : 'flag --config';
    const text = readNamedFile(sources.readFile, fileName, '', origin, problems);
    if (text !== undefined) mergeInto(merged, layerFromFile(fileName, text), problems);
  }
  mergeInto(merged, layerFromEnv(sources.env), problems);
  mergeInto(merged, layerFromFlags(sources.flags), problems);

  const checked = validateLayer(merged);
  if (!checked.ok) problems.push(...checked.problems);
  if (!checked.ok || problems.length > 0) return { ok: false, problems };
  return finish(checked.written, merged, sources);
}

/** The rules that concern more than one setting, and the files that settings name. */
function finish(written: WrittenConfig, settings: Layer, sources: ConfigSources): LoadedConfig {
  const problems = [
    ...findAddressClashes(written, settings),
    ...checkTls(written, settings),
    ...checkCluster(written, settings),
    ...checkBuffers(written, settings),
  ];
  const access = readAccess(written, settings, sources.readFile, problems);
  const { users, rules } = access;
  const apiKeyFiles = new ApiKeyFiles(written, settings, sources.readFile);
  const readKeys = apiKeyFiles.read();
  if (!readKeys.ok) problems.push(...readKeys.problems);
  const keys = readKeys.ok ? readKeys.content : [];
  if (problems.length > 0) return { ok: false, problems };

  const exposure = decideExposure(written, settings, users.length, keys.length);
  if (exposure.problems.length > 0) return { ok: false, problems: exposure.problems };
  const warnings = [...exposure.warnings, ...clusterWarnings(written)];
  if (!written.storage.sync) {
    warnings.push(
      'storage.sync is false: acknowledged messages are LOST when this machine or its power fails; for tests only',
    );
  }
  const config = resolveConfig(written, {
    mqttAnonymous: exposure.mqttAnonymous,
    access,
    accessFiles: new AccessFiles(written, settings, sources.readFile),
    apiAnonymous: exposure.apiAnonymous,
    keys,
    apiKeyFiles,
  });
  if (config.authorization.noMatch === 'deny' && rules.length === 0 && users.length > 0) {
    warnings.push(
      'no MQTT client may do anything: there are no rules; name a file in authorization.rulesFile, or allow all that no rule denies with authorization.noMatch: allow',
    );
  }
  return { ok: true, config, settings, warnings };
}

function checkTls(written: WrittenConfig, settings: Layer): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const listeners = written.scaler.tls ? (['mqtts', 'wss', 'scaler'] as const) : (['mqtts', 'wss'] as const);
  for (const listener of listeners) {
    if (toAddress(written.listeners[listener]) === null) continue;
    for (const name of ['certificateFile', 'keyFile'] as const) {
      if (written.tls[name] !== undefined) continue;
      const key = `listeners.${listener}`;
      problems.push({
        key,
        origin: settings.get(key)?.origin ?? '',
        message: `= "${written.listeners[listener]}" needs tls.${name}, which is not set`,
        hint: `Name a PEM file in tls.${name}, or set ${key} to none`,
      });
    }
  }
  if (written.tls.clientRevocationFile !== undefined && written.tls.clientCaFile === undefined) {
    problems.push({
      key: 'tls.clientRevocationFile',
      origin: settings.get('tls.clientRevocationFile')?.origin ?? '',
      message: `= "${written.tls.clientRevocationFile}" needs tls.clientCaFile, which is not set`,
      hint: 'Name the PEM file of the authorities that sign client certificates',
    });
  }
  if (written.auth.certificateAs !== 'none' && written.tls.clientCaFile === undefined) {
    problems.push({
      key: 'auth.certificateAs',
      origin: settings.get('auth.certificateAs')?.origin ?? '',
      message: `= "${written.auth.certificateAs}" needs tls.clientCaFile, which is not set`,
      hint: 'Name the PEM file of the authorities that sign client certificates',
    });
  }
  return problems;
}

/** What a stored message has beside its packet: a client id and a key, each as long as MQTT lets it be. */
const AROUND_PACKET_BYTES = 2 * 64 * 1024;

function checkBuffers(written: WrittenConfig, settings: Layer): ConfigProblem[] {
  const packet = toBytes(written.mqtt.maximumPacketSize);
  const problems: ConfigProblem[] = [];
  for (const [key, bytes] of [
    ['queues.publishBuffer', toBytes(written.queues.publishBuffer)],
    ['storage.segmentSize', toBytes(written.storage.segmentSize)],
  ] as const) {
    if (bytes >= packet) continue;
    problems.push({
      key,
      origin: settings.get(key)?.origin ?? '',
      message: `= ${formatSize(bytes)} is smaller than mqtt.maximumPacketSize (${formatSize(packet)}): one such packet would not fit`,
      hint: `Raise ${key} or lower mqtt.maximumPacketSize`,
    });
  }
  const stream = toBytes(written.sessions.streamMaxSize);
  if (stream < packet + AROUND_PACKET_BYTES) {
    const key = 'sessions.streamMaxSize';
    problems.push({
      key,
      origin: settings.get(key)?.origin ?? '',
      message: `= ${formatSize(stream)} does not exceed mqtt.maximumPacketSize (${formatSize(packet)}) by ${formatSize(AROUND_PACKET_BYTES)} for what is kept with a message: one such packet would drop all that waits for the sessions, itself included`,
      hint: `Raise ${key} or lower mqtt.maximumPacketSize`,
    });
  }
  return problems;
}

function mergeInto(merged: Layer, from: { layer: Layer; problems: ConfigProblem[] }, problems: ConfigProblem[]): void {
  for (const [key, given] of from.layer) merged.set(key, given);
  problems.push(...from.problems);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
