import { CONFIG_SCHEMA } from './schema.ts';
import type { Leaf, SettingRule } from './setting.ts';

/** A setting with the names it goes by. */
export interface Setting {
  /** `mqtt.maximumPacketSize` */
  key: string;
  section: string;
  name: string;
  /** `SLUICE_MQTT__MAXIMUM_PACKET_SIZE` */
  variable: string;
  rule: SettingRule;
}

/** Every setting in the order of the schema, which is the order in which they are printed. */
export const SETTINGS: readonly Setting[] = Object.entries(CONFIG_SCHEMA).flatMap(([section, leaves]) =>
  Object.entries<Leaf<unknown>>(leaves).map(([name, { rule }]) => ({
    key: `${section}.${name}`,
    section,
    name,
    variable: `SLUICE_${capitals(section)}__${capitals(name)}`,
    rule,
  })),
);

export const SETTING_BY_KEY: ReadonlyMap<string, Setting> = new Map(SETTINGS.map((setting) => [setting.key, setting]));
export const SETTING_BY_VARIABLE: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.map((setting) => [setting.variable, setting]),
);

function capitals(name: string): string {
  return name.replace(/([A-Z])/g, '_$1').toUpperCase();
}
