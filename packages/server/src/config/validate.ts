import { suggestName } from '@sluice/common/suggest-name';
import { Ajv, type ErrorObject, type FuncKeywordDefinition } from 'ajv';
import { type ConfigProblem, type Layer, showValue } from './layer.ts';
import { CONFIG_SCHEMA, type WrittenConfig } from './schema.ts';
import { checkSetting, SETTING_KEYWORD, type SettingRule } from './setting.ts';
import { SETTING_BY_KEY, SETTINGS } from './settings.ts';

const ajv = new Ajv({ allErrors: true, strict: true, ownProperties: true });
ajv.addKeyword(settingKeyword());
const validateDocument = ajv.compile<WrittenConfig>(CONFIG_SCHEMA);

/** The whole document either obeys the schema or every offence is listed, each with its key, origin and a way out. */
export function validateLayer(
  layer: Layer,
): { ok: true; written: WrittenConfig } | { ok: false; problems: ConfigProblem[] } {
  const document = documentOf(layer);
  if (validateDocument(document)) return { ok: true, written: document };
  return { ok: false, problems: (validateDocument.errors ?? []).map((error) => problemOf(error, layer)) };
}

function documentOf(layer: Layer): unknown {
  // Null prototypes: a section called __proto__ is an unknown key like any other.
  const document: Record<string, Record<string, unknown>> = Object.create(null);
  // Every section is there, so that a missing one is no special case.
  for (const { section } of SETTINGS) document[section] ??= Object.create(null) as Record<string, unknown>;
  for (const [key, { value }] of layer) {
    const dot = key.indexOf('.');
    const section = key.slice(0, dot);
    document[section] ??= Object.create(null) as Record<string, unknown>;
    (document[section] as Record<string, unknown>)[key.slice(dot + 1)] = value;
  }
  return document;
}

function problemOf(error: ErrorObject, layer: Layer): ConfigProblem {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
  if (error.keyword === 'additionalProperties') {
    return unknownKey(path, String((error.params as { additionalProperty: string }).additionalProperty), layer);
  }
  const key = path.slice(0, 2).join('.');
  const given = layer.get(key);
  const rule = SETTING_BY_KEY.get(key)?.rule;
  return {
    key,
    origin: given?.origin ?? '',
    message: `= ${showValue(rule, given?.value)} ${error.message ?? 'is wrong'}`,
    hint: '',
  };
}

function unknownKey(path: string[], name: string, layer: Layer): ConfigProblem {
  if (path.length === 0) {
    const origin = [...layer].find(([key]) => key.startsWith(`${name}.`))?.[1].origin ?? '';
    const sections = [...new Set(SETTINGS.map((setting) => setting.section))];
    const meant = suggestName(name, sections);
    const hint = meant === undefined ? `Sections are ${sections.join(', ')}` : `Did you mean ${meant}?`;
    return { key: name, origin, message: 'is not a section', hint };
  }
  const section = path[0] as string;
  const key = `${section}.${name}`;
  const siblings = SETTINGS.filter((setting) => setting.section === section).map((setting) => setting.name);
  // The right key in the wrong section is as frequent as a slip of the pen.
  const elsewhere = SETTINGS.find((setting) => setting.name === name)?.key;
  const sibling = suggestName(name, siblings);
  const meant = elsewhere ?? (sibling === undefined ? undefined : `${section}.${sibling}`);
  const hint = meant === undefined ? `Keys of ${section} are ${siblings.join(', ')}` : `Did you mean ${meant}?`;
  return { key, origin: layer.get(key)?.origin ?? '', message: 'is not a setting', hint };
}

function settingKeyword(): FuncKeywordDefinition {
  const validate: FuncKeywordDefinition['validate'] = (rule: SettingRule, value: unknown) => {
    const message = checkSetting(rule, value);
    if (validate !== undefined)
      validate.errors = message === undefined ? [] : [{ keyword: SETTING_KEYWORD, message, params: {} }];
    return message === undefined;
  };
  return { keyword: SETTING_KEYWORD, schemaType: 'object', errors: true, validate };
}
