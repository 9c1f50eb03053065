import { DURATION_FORM, formatDuration, parseDuration } from '@sluice/common/human-duration';
import { parseSize, SIZE_FORM } from '@sluice/common/human-size';
import { accept, type Field, type FieldResult, reject, show } from './field.ts';

interface Description {
  description: string;
  default?: unknown;
  example?: unknown;
  readOnly?: boolean;
}

interface Range {
  min: number;
  max: number;
}

/** What EMQX calls infinity: no limit, null inside. */
export const INFINITY = 'infinity';
/** No value of its own, null inside. */
export const DEFAULT = 'default';

export function textField(about: Description & { charactersMax: number }): Field<string> {
  const { charactersMax, ...description } = about;
  return {
    schema: { type: 'string', minLength: 1, maxLength: charactersMax, ...description },
    read: (value) => {
      if (typeof value !== 'string') return reject(`must be a text, not ${show(value)}`);
      if (value === '') return reject('must not be empty');
      if (value.length > charactersMax) return reject(`is longer than ${charactersMax} characters`);
      return accept(value);
    },
  };
}

/** A text that must also pass `problemOf`, which says what is wrong with it. */
export function checkedTextField(
  about: Description & { charactersMax: number },
  problemOf: (text: string) => { message: string; hint: string } | undefined,
): Field<string> {
  const text = textField(about);
  return {
    schema: text.schema,
    read: (value) => {
      const result = text.read(value);
      if (!result.ok) return result;
      const problem = problemOf(result.value);
      return problem === undefined ? result : reject(problem.message, problem.hint);
    },
  };
}

export function booleanField(about: Description): Field<boolean> {
  return {
    schema: { type: 'boolean', ...about },
    read: (value) => (typeof value === 'boolean' ? accept(value) : reject(`must be true or false, not ${show(value)}`)),
  };
}

export function choiceField<const T extends readonly string[]>(choices: T, about: Description): Field<T[number]> {
  const allowed = choices.map((choice) => `"${choice}"`).join(', ');
  return {
    schema: { type: 'string', enum: [...choices], ...about },
    read: (value) =>
      choices.includes(value as string)
        ? accept(value as T[number])
        : reject(`must be one of ${allowed}, not ${show(value)}`),
  };
}

export function integerField(about: Description & Range): Field<number> {
  const { min, max, ...description } = about;
  return {
    schema: { type: 'integer', minimum: min, maximum: max, ...description },
    read: (value) => {
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
        return reject(`must be a whole number between ${min} and ${max}, not ${show(value)}`);
      }
      return accept(value);
    },
  };
}

/** `"7d"`, `"10s"` or a whole number of milliseconds in; milliseconds inside and out. */
export function durationField(about: Description & { minMs: number; maxMs: number }): Field<number> {
  const { minMs, maxMs, ...description } = about;
  return {
    schema: {
      ...description,
      oneOf: [
        { type: 'integer', minimum: minMs, maximum: maxMs, description: 'Milliseconds' },
        { type: 'string', description: `A duration: ${DURATION_FORM}` },
      ],
    },
    read: (value) => {
      const result = readDurationMs(value);
      if (!result.ok) return result;
      if (result.value < minMs || result.value > maxMs) {
        return reject(`must be between ${formatDuration(minMs)} and ${formatDuration(maxMs)}, not ${show(value)}`);
      }
      return result;
    },
  };
}

/** The same, or `"default"` for what the broker's configuration says: null inside. */
export function ownDurationField(about: Description & { minMs: number; maxMs: number }): Field<number | null> {
  const field = durationField(about);
  return {
    schema: {
      ...field.schema,
      oneOf: [
        { type: 'integer', minimum: about.minMs, maximum: about.maxMs, description: 'Milliseconds' },
        { type: 'string', description: `A duration: ${DURATION_FORM}; or "${DEFAULT}"` },
      ],
    },
    read: (value) => (value === DEFAULT ? accept(null) : field.read(value)),
  };
}

function readDurationMs(value: unknown): FieldResult<number> {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0) return accept(value);
    return reject(`must be a whole number of milliseconds that is not negative, not ${show(value)}`);
  }
  if (typeof value !== 'string') return reject(`must be milliseconds or ${DURATION_FORM}, not ${show(value)}`);
  const parsed = parseDuration(value);
  return parsed.ok ? accept(parsed.ms) : reject(`${parsed.message} (got ${show(value)})`);
}

/** A positive whole number, or `"infinity"` for none. */
export function countLimitField(about: Description): Field<number | null> {
  return {
    schema: {
      ...about,
      oneOf: [
        { type: 'integer', minimum: 1 },
        { type: 'string', enum: [INFINITY] },
      ],
    },
    read: (value) => {
      if (value === INFINITY) return accept(null);
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return accept(value);
      return reject(`must be a whole number of at least 1, or "${INFINITY}", not ${show(value)}`);
    },
  };
}

/** Bytes as a whole number or `"100MB"`, or `"infinity"` for none. */
export function sizeLimitField(about: Description): Field<number | null> {
  return {
    schema: {
      ...about,
      oneOf: [
        { type: 'integer', minimum: 1, description: 'Bytes' },
        { type: 'string', description: `A size ("100MB", powers of 1024) or "${INFINITY}"` },
      ],
    },
    read: (value) => {
      if (value === INFINITY) return accept(null);
      const allowed = `must be at least one byte: ${SIZE_FORM}; or "${INFINITY}"`;
      if (typeof value === 'number') {
        return Number.isSafeInteger(value) && value >= 1 ? accept(value) : reject(`${allowed}, not ${show(value)}`);
      }
      if (typeof value !== 'string') return reject(`${allowed}, not ${show(value)}`);
      const parsed = parseSize(value);
      return parsed.ok && parsed.bytes >= 1 ? accept(parsed.bytes) : reject(`${allowed}, not ${show(value)}`);
    },
  };
}
