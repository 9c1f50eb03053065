import { DURATION_FORM, formatDuration, parseDuration } from '@sluice/common/human-duration';
import { formatSize, parseSize, SIZE_FORM } from '@sluice/common/human-size';
import { isLoopback, parseAddress } from './address.ts';

/**
 * One leaf of the configuration, with all that is ever said about it: what it is, its default and the reason for that,
 * what is allowed. The schema, the messages, the printed configuration and the sample file are made from it, so they
 * cannot disagree.
 */
export interface SettingRule {
  kind: SettingKind;
  about: string;
  /** In the form somebody would write; undefined: there is none and the setting may be absent. */
  default: unknown;
  /** Why the default is what it is. */
  why: string;
  /** Numbers in the unit of the kind: milliseconds, bytes, or a plain count. */
  min?: number;
  max?: number;
  choices?: readonly string[];
  /** Never printed, not even in an error about it. */
  secret?: boolean;
}

export type SettingKind =
  | 'duration'
  | 'size'
  | 'integer'
  | 'boolean'
  | 'choice'
  | 'address'
  | 'file'
  | 'directory'
  | 'tri-state'
  | 'choices'
  | 'addresses'
  | 'text'
  | 'url'
  | 'claims'
  | 'topic'
  | 'users';

export interface WrittenUser {
  username: string;
  password: string;
}
type Rest = Omit<SettingRule, 'kind'>;

/** A rule, and for the compiler what is written where it was obeyed. */
export interface Leaf<T> {
  readonly rule: SettingRule;
  readonly written?: T;
}

export const duration = (rest: Rest): Leaf<string> => leaf<string>('duration', rest);
export const size = (rest: Rest): Leaf<string | number> => leaf<string | number>('size', rest);
export const integer = (rest: Rest): Leaf<number> => leaf<number>('integer', rest);
export const toggle = (rest: Rest): Leaf<boolean> => leaf<boolean>('boolean', rest);
export const triState = (rest: Rest): Leaf<boolean | 'auto'> => leaf<boolean | 'auto'>('tri-state', rest);
export const address = (rest: Rest): Leaf<string> => leaf<string>('address', rest);
export const addresses = (rest: Rest): Leaf<string[]> => leaf<string[]>('addresses', rest);
export const users = (rest: Rest): Leaf<WrittenUser[]> => leaf<WrittenUser[]>('users', rest);
/** One line for people or for matching; empty means none. */
export const text = (rest: Rest): Leaf<string> => leaf<string>('text', rest);
/** A topic, or the beginning of one; empty means none. */
export const topic = (rest: Rest): Leaf<string> => leaf<string>('topic', rest);
/** Has no default: absent means that no file was given. */
export const file = (rest: Omit<Rest, 'default'>): Leaf<string | undefined> =>
  leaf<string | undefined>('file', { ...rest, default: undefined });
export const directory = (rest: Rest): Leaf<string> => leaf<string>('directory', rest);
/** Has no default: absent means that there is none. */
export const url = (rest: Omit<Rest, 'default'>): Leaf<string | undefined> =>
  leaf<string | undefined>('url', { ...rest, default: undefined });
/** `name=value` each. */
export const claims = (rest: Rest): Leaf<string[]> => leaf<string[]>('claims', rest);
export const choice = <T extends string>(choices: readonly T[], rest: Rest): Leaf<T> =>
  leaf<T>('choice', { ...rest, choices });
export const choices = <T extends string>(allowed: readonly T[], rest: Rest): Leaf<T[]> =>
  leaf<T[]>('choices', { ...rest, choices: allowed });

function leaf<T>(kind: SettingKind, rest: Rest): Leaf<T> {
  return { rule: { kind, ...rest } };
}

/** Undefined when the value obeys the rule, otherwise what is allowed, to be read after the key and the value. */
export function checkSetting(rule: SettingRule, value: unknown): string | undefined {
  if (value === null) return 'is empty: remove the key to get the default, or give it a value';
  switch (rule.kind) {
    case 'duration': {
      const parsed = typeof value === 'string' ? parseDuration(value) : parseDuration(String(value));
      if (typeof value !== 'string' && value !== 0) {
        return typeof value === 'number' && !parsed.ok ? parsed.message : `must be ${DURATION_FORM}`;
      }
      return parsed.ok ? checkRange(rule, parsed.ms, formatDuration) : parsed.message;
    }
    case 'size': {
      if (typeof value !== 'string' && typeof value !== 'number') return `must be ${SIZE_FORM}`;
      const parsed = parseSize(String(value));
      return parsed.ok ? checkRange(rule, parsed.bytes, formatSize) : parsed.message;
    }
    case 'integer':
      if (typeof value !== 'number' || !Number.isSafeInteger(value))
        return `must be a whole number${rangeText(rule, String)}`;
      return checkRange(rule, value, String);
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'must be true or false';
    case 'tri-state':
      return value === 'auto' || typeof value === 'boolean' ? undefined : 'must be auto, true or false';
    case 'choice':
      return rule.choices?.includes(value as string) ? undefined : `must be ${anyOf(rule.choices ?? [])}`;
    case 'address': {
      if (typeof value !== 'string') return 'must be HOST:PORT, for example "127.0.0.1:1883", or none';
      const parsed = parseAddress(value);
      return parsed.ok ? undefined : parsed.message;
    }
    case 'text':
      return typeof value === 'string' && TEXT.test(value) ? undefined : `must be a text of ${TEXT_FORM}`;
    case 'topic':
      return typeof value === 'string' && TOPIC.test(value) ? undefined : `must be a topic: ${TEXT_FORM} and /`;
    case 'file':
      return typeof value === 'string' && value !== '' ? undefined : 'must be the path of a file';
    case 'directory':
      return typeof value === 'string' && value !== '' ? undefined : 'must be the path of a directory';
    case 'choices':
      return checkChoices(rule, value);
    case 'addresses':
      return checkAddresses(value);
    case 'url':
      return checkUrl(value);
    case 'claims':
      return checkClaims(value);
    case 'users':
      return checkUsers(value);
  }
}

const TEXT = /^[0-9A-Za-z@._:-]{0,255}$/;
const TOPIC = /^[0-9A-Za-z@._:/-]{0,255}$/;
const TEXT_FORM = 'at most 255 letters, digits and @ . _ : -';

function checkRange(rule: SettingRule, amount: number, format: (amount: number) => string): string | undefined {
  const low = rule.min !== undefined && amount < rule.min;
  const high = rule.max !== undefined && amount > rule.max;
  return low || high ? `must be${rangeText(rule, format)}` : undefined;
}

function rangeText(rule: SettingRule, format: (amount: number) => string): string {
  if (rule.min !== undefined && rule.max !== undefined) return ` between ${format(rule.min)} and ${format(rule.max)}`;
  if (rule.min !== undefined) return ` at least ${format(rule.min)}`;
  return rule.max === undefined ? '' : ` at most ${format(rule.max)}`;
}

function checkChoices(rule: SettingRule, value: unknown): string | undefined {
  const allowed = rule.choices ?? [];
  if (!Array.isArray(value)) return `must be a list of ${allowed.join(', ')}`;
  if (value.length === 0 && rule.min !== 0) return `must be a list with at least one of ${allowed.join(', ')}`;
  for (const item of value) {
    if (!allowed.includes(item)) return `contains ${JSON.stringify(item)}: each item must be ${anyOf(allowed)}`;
  }
  return new Set(value).size === value.length ? undefined : 'names an item twice';
}

function checkAddresses(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'must be a list of HOST:PORT';
  for (const item of value) {
    const parsed = typeof item === 'string' ? parseAddress(item) : undefined;
    if (parsed === undefined || !parsed.ok || parsed.address === null) {
      return `contains ${JSON.stringify(item)}: each item must be HOST:PORT`;
    }
  }
  const twice = value.find((item, i) => value.indexOf(item) !== i);
  return twice === undefined ? undefined : `names ${twice} twice: each node stands there once`;
}

/** Without encryption whoever is on the way could say who may come in. */
function checkUrl(value: unknown): string | undefined {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  // They would never be sent, and stand wherever the URL is told.
  if (url !== undefined && url.username + url.password !== '') return 'must hold no user name and no password';
  if (url?.protocol === 'https:') return undefined;
  if (url?.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) return undefined;
  return 'must be a URL with https:, or with http: on this machine';
}

function checkClaims(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'must be a list of NAME=VALUE';
  for (const item of value) {
    if (typeof item !== 'string' || !/^[^=]+=.+$/.test(item)) {
      return `contains ${JSON.stringify(item)}: each item must be NAME=VALUE`;
    }
  }
  const names = value.map((item: string) => item.slice(0, item.indexOf('=')));
  return new Set(names).size === names.length ? undefined : 'names a claim twice';
}

function checkUsers(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'must be a list of {username, password}';
  const names = new Set<string>();
  for (const [i, item] of value.entries()) {
    if (typeof item !== 'object' || item === null) return `entry ${i + 1} must be {username, password}`;
    const { username, password, ...others } = item as Record<string, unknown>;
    if (typeof username !== 'string' || username === '')
      return `entry ${i + 1} needs a username (a text that is not empty)`;
    if (typeof password !== 'string' || password === '') {
      return `entry ${i + 1} (${JSON.stringify(username)}) needs a password (a text that is not empty; put digits in quotes)`;
    }
    const unknown = Object.keys(others)[0];
    if (unknown !== undefined)
      return `entry ${i + 1} has an unknown key "${unknown}": only username and password are allowed`;
    if (names.has(username)) return `names the user ${JSON.stringify(username)} twice`;
    names.add(username);
  }
  return undefined;
}

function anyOf(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}
