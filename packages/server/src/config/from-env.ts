import { suggestName } from '@sluice/common/suggest-name';
import { type ConfigProblem, type Layer, valueFromText } from './layer.ts';
import { SETTING_BY_KEY, SETTING_BY_VARIABLE } from './settings.ts';

/** Names from elsewhere for the same thing, weakest first: our own name wins over them. */
const ALIASES: ReadonlyArray<[variable: string, key: string]> = [
  ['EMQX_API_KEY__BOOTSTRAP_FILE', 'api.keysFile'],
  ['SLUICE_API_KEYS', 'api.keysFile'],
];

/** What becomes of a setting's name where the two underscores are written as one. */
const MISWRITTEN: ReadonlyMap<string, string> = new Map(
  [...SETTING_BY_VARIABLE.keys()].map((variable) => [variable.replace('__', '_'), variable]),
);

/**
 * Variables named `SLUICE_SECTION__KEY`. Only names with the double underscore are ours to judge, and those that are a
 * setting's but for it: Kubernetes sets `SLUICE_PORT_1883_TCP` and the like for a service called sluice. An empty variable
 * counts as not set, as templates leave them behind.
 */
export function layerFromEnv(env: Readonly<Record<string, string | undefined>>): {
  layer: Layer;
  problems: ConfigProblem[];
} {
  const layer: Layer = new Map();
  const problems: ConfigProblem[] = [];
  for (const [variable, key] of ALIASES) {
    const text = env[variable];
    const setting = SETTING_BY_KEY.get(key);
    if (text === undefined || text === '' || setting === undefined) continue;
    layer.set(key, { value: valueFromText(setting.rule, text), origin: `environment variable ${variable}` });
  }
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || text === '') continue;
    const origin = `environment variable ${variable}`;
    const written = MISWRITTEN.get(variable);
    if (written !== undefined)
      problems.push({ key: '', origin, message: `${variable} is not a setting`, hint: `Did you mean ${written}?` });
    if (!/^SLUICE_[^_].*__/.test(variable)) continue;
    const setting = SETTING_BY_VARIABLE.get(variable);
    if (setting === undefined) {
      const meant = suggestName(
        variable.slice('SLUICE_'.length),
        [...SETTING_BY_VARIABLE.keys()].map((name) => name.slice('SLUICE_'.length)),
      );
      problems.push({
        key: '',
        origin,
        message: `${variable} is not a setting`,
        hint: meant === undefined ? 'See "sluice config" for all of them' : `Did you mean SLUICE_${meant}?`,
      });
      continue;
    }
    layer.set(setting.key, { value: valueFromText(setting.rule, text), origin });
  }
  return { layer, problems };
}
