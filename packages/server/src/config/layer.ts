import type { SettingRule } from './setting.ts';

/**
 * Settings are gathered in layers: defaults, file, environment, command line. A later layer replaces a value as a
 * whole, and each value remembers where it came from, because an error that does not say which of four places to look
 * at costs its reader an hour.
 */
export interface GivenValue {
  value: unknown;
  /** `sluice.yaml:12`, `environment variable SLUICE_LOG__LEVEL`, `flag --mqtt`, `default`. */
  origin: string;
}

/** By `section.key`. Keys may be unknown: the validation says so. */
export type Layer = Map<string, GivenValue>;

export interface ConfigProblem {
  /** Empty when the problem is not about one key. */
  key: string;
  origin: string;
  message: string;
  /** What to do next; empty when the message says it already. */
  hint: string;
}

/** One line a problem: key, where it came from, what is wrong, what to do. */
export function formatProblem(problem: ConfigProblem): string {
  const where = problem.origin === '' ? '' : ` (${problem.origin})`;
  const what = problem.key === '' ? problem.message : `${problem.key} ${problem.message}`;
  return `${what}${where}${problem.hint === '' ? '' : `. ${problem.hint}`}`;
}

/** A value as it may be shown in a message. */
export function showValue(rule: SettingRule | undefined, value: unknown): string {
  if (rule?.secret) return '(hidden)';
  const whole = JSON.stringify(value) ?? String(value);
  const text = rule?.kind === 'url' ? whole.replace(/\/\/.*@/, '//(hidden)@') : whole;
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

const SHOWN_CHARACTERS_MAX = 80;

/**
 * Variables and flags are text. Where the text cannot be what the setting wants it is passed on as it is, and the
 * validation names it.
 */
export function valueFromText(rule: SettingRule, text: string): unknown {
  switch (rule.kind) {
    case 'integer':
      return /^-?\d+$/.test(text.trim()) ? Number(text) : text;
    case 'boolean':
    case 'tri-state':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'choices':
    case 'addresses':
    case 'claims':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'users':
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    default:
      return text;
  }
}
