import type { Command } from 'commander';
import { type ConfigProblem, type Layer, valueFromText } from './layer.ts';
import { SETTING_BY_KEY } from './settings.ts';

/** What commander hands over for the flags below. */
export interface ServerFlags {
  config?: string;
  roles?: string;
  data?: string;
  mqtt?: string;
  mqtts?: string;
  ws?: string;
  wss?: string;
  http?: string;
  grpc?: string;
  scaler?: string;
  apiKeys?: string;
  join?: string;
  name?: string;
  advertise?: string;
  rack?: string;
  logLevel?: string;
  allowAnonymous?: boolean;
  set?: string[];
}

interface FlagRow {
  flag: string;
  option: keyof ServerFlags;
  argument: string;
  key: string;
}

/** The common settings have a flag of their own; all others are reached by `--set`. */
const FLAGS: readonly FlagRow[] = [
  { flag: '--roles', option: 'roles', argument: 'ROLE,…', key: 'node.roles' },
  { flag: '--data', option: 'data', argument: 'DIR', key: 'node.dataDirectory' },
  { flag: '--mqtt', option: 'mqtt', argument: 'HOST:PORT', key: 'listeners.mqtt' },
  { flag: '--mqtts', option: 'mqtts', argument: 'HOST:PORT', key: 'listeners.mqtts' },
  { flag: '--ws', option: 'ws', argument: 'HOST:PORT', key: 'listeners.ws' },
  { flag: '--wss', option: 'wss', argument: 'HOST:PORT', key: 'listeners.wss' },
  { flag: '--http', option: 'http', argument: 'HOST:PORT', key: 'listeners.http' },
  { flag: '--grpc', option: 'grpc', argument: 'HOST:PORT', key: 'listeners.grpc' },
  { flag: '--scaler', option: 'scaler', argument: 'HOST:PORT', key: 'listeners.scaler' },
  { flag: '--api-keys', option: 'apiKeys', argument: 'FILE', key: 'api.keysFile' },
  { flag: '--join', option: 'join', argument: 'HOST:PORT,…', key: 'node.join' },
  { flag: '--name', option: 'name', argument: 'NAME', key: 'node.name' },
  { flag: '--advertise', option: 'advertise', argument: 'HOST:PORT', key: 'node.advertise' },
  { flag: '--rack', option: 'rack', argument: 'NAME', key: 'node.rack' },
  { flag: '--log-level', option: 'logLevel', argument: 'LEVEL', key: 'log.level' },
];

export const ALLOW_ANONYMOUS_FLAG = '--allow-anonymous';

/** Adds the flags to `sluice server` and to whatever else reads a configuration. */
export function addServerFlags(command: Command): Command {
  command.option('--config <FILE>', 'YAML configuration file; also SLUICE_CONFIG');
  for (const { flag, argument, key } of FLAGS) {
    const rule = SETTING_BY_KEY.get(key)?.rule;
    const standard = rule?.default === undefined ? '' : ` (default: ${[rule.default].flat().join(',') || 'none'})`;
    command.option(`${flag} <${argument}>`, `${rule?.about ?? key}${standard}`);
  }
  command.option(
    ALLOW_ANONYMOUS_FLAG,
    'let MQTT clients and API calls in without credentials, wherever the listeners are bound',
  );
  command.option(
    '--set <section.key=value>',
    'any other setting; may be repeated',
    (item: string, all: string[] = []) => [...all, item],
  );
  return command;
}

export function layerFromFlags(flags: ServerFlags): { layer: Layer; problems: ConfigProblem[] } {
  const layer: Layer = new Map();
  const problems: ConfigProblem[] = [];
  for (const item of flags.set ?? []) {
    const separator = item.indexOf('=');
    const key = item.slice(0, Math.max(0, separator)).trim();
    const rule = SETTING_BY_KEY.get(key)?.rule;
    if (separator < 1 || !key.includes('.')) {
      const shown = separator < 1 ? item : key;
      problems.push({
        key: '',
        origin: 'flag --set',
        message: `"${shown}" must be section.key=value`,
        hint: 'For example: --set log.level=debug',
      });
      continue;
    }
    const text = item.slice(separator + 1);
    layer.set(key, { value: rule === undefined ? text : valueFromText(rule, text), origin: `flag --set ${key}` });
  }
  if (flags.allowAnonymous === true) {
    for (const key of ['auth.anonymous', 'api.anonymous'])
      layer.set(key, { value: true, origin: `flag ${ALLOW_ANONYMOUS_FLAG}` });
  }
  for (const { flag, option, key } of FLAGS) {
    const text = flags[option];
    const rule = SETTING_BY_KEY.get(key)?.rule;
    if (typeof text === 'string' && rule !== undefined)
      layer.set(key, { value: valueFromText(rule, text), origin: `flag ${flag}` });
  }
  return { layer, problems };
}
