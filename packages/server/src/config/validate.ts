import { suggestName } from '@sluice/common/suggest-name';
import { type ConfigProblem, type Layer, showValue } from './layer.ts';
import type { WrittenConfig } from './schema.ts';
import { checkSetting } from './setting.ts';
import { SETTING_BY_KEY, SETTINGS } from './settings.ts';

/**
 * The whole document either obeys the rules or every offence is listed, each with its key, origin and a way out. A layer
 * is flat, and each rule judges one value, so this is one walk: compiling the rules for a JSON-schema validator cost a
 * tenth of a second of every start.
 */
export function validateLayer(
  layer: Layer,
): { ok: true; written: WrittenConfig } | { ok: false; problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  const unknownSections = new Set<string>();
  for (const [key, { value, origin }] of layer) {
    const setting = SETTING_BY_KEY.get(key);
    if (setting !== undefined) {
      const message = checkSetting(setting.rule, value);
      if (message !== undefined) {
        problems.push({ key, origin, message: `= ${showValue(setting.rule, value)} ${message}`, hint: '' });
      }
      continue;
    }
    const section = key.slice(0, key.indexOf('.'));
    if (SECTIONS.has(section)) {
      problems.push(unknownKey(section, key, origin));
    } else if (!unknownSections.has(section)) {
      unknownSections.add(section);
      problems.push(unknownSection(section, origin));
    }
  }
  return problems.length === 0 ? { ok: true, written: documentOf(layer) } : { ok: false, problems };
}

const SECTIONS: ReadonlySet<string> = new Set(SETTINGS.map(({ section }) => section));

/** Every key is a known one, so no name here is anybody's input. */
function documentOf(layer: Layer): WrittenConfig {
  const document: Record<string, Record<string, unknown>> = {};
  for (const { key, section, name } of SETTINGS) {
    document[section] ??= {};
    const given = layer.get(key);
    if (given !== undefined) (document[section] as Record<string, unknown>)[name] = given.value;
  }
  return document as unknown as WrittenConfig;
}

function unknownSection(name: string, origin: string): ConfigProblem {
  const meant = suggestName(name, [...SECTIONS]);
  const hint = meant === undefined ? `Sections are ${[...SECTIONS].join(', ')}` : `Did you mean ${meant}?`;
  return { key: name, origin, message: 'is not a section', hint };
}

function unknownKey(section: string, key: string, origin: string): ConfigProblem {
  const name = key.slice(section.length + 1);
  const siblings = SETTINGS.filter((setting) => setting.section === section).map((setting) => setting.name);
  // The right key in the wrong section is as frequent as a slip of the pen.
  const elsewhere = SETTINGS.find((setting) => setting.name === name)?.key;
  const sibling = suggestName(name, siblings);
  const meant = elsewhere ?? (sibling === undefined ? undefined : `${section}.${sibling}`);
  const hint = meant === undefined ? `Keys of ${section} are ${siblings.join(', ')}` : `Did you mean ${meant}?`;
  return { key, origin, message: 'is not a setting', hint };
}
