import type { JsonSchema } from '../json-schema.ts';

/**
 * One field of a request body: how the document describes it and how it is read. A JSON-schema validator alone can say
 * that a value is wrong; it cannot say "7d" in a message about durations, convert it, or tell why a combination is
 * refused. So each field reads itself, and the schema beside it is what the document shows and the tests hold
 * every answer against.
 */
export interface Field<T> {
  readonly schema: JsonSchema;
  read(value: unknown): FieldResult<T>;
}

export type FieldResult<T> = { ok: true; value: T } | { ok: false; problems: FieldProblem[] };

export interface FieldProblem {
  /** Relative to the field: empty for itself, `max_message_count` for a part of it. */
  path: string;
  /** Read after the field's name: `must be …`. */
  message: string;
  hint: string;
  /** The message is a sentence of its own, known to clients word for word: no name is put before it. */
  standsAlone?: true;
}

export type FieldTable = Readonly<Record<string, Field<unknown>>>;
export type FieldValue<F> = F extends Field<infer T> ? T : never;
export type FieldValues<F extends FieldTable> = { [K in keyof F]?: FieldValue<F[K]> };

export function accept<T>(value: T): FieldResult<T> {
  return { ok: true, value };
}

export function reject<T>(message: string, hint = ''): FieldResult<T> {
  return { ok: false, problems: [{ path: '', message, hint }] };
}

/** The refused value, short enough for a message. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

const SHOWN_CHARACTERS_MAX = 60;

/** Reads a whole object. Unknown names are refused: a setting with a slip of the pen would otherwise be ignored silently. */
export function readFields<F extends FieldTable>(
  fields: F,
  body: unknown,
  suggest: (name: string, known: Iterable<string>) => string | undefined,
): { values: FieldValues<F>; problems: FieldProblem[] } {
  const values: Record<string, unknown> = {};
  const problems: FieldProblem[] = [];
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return {
      values: {},
      problems: [
        { path: '', message: `must be a JSON object, not ${body === undefined ? 'empty' : show(body)}`, hint: '' },
      ],
    };
  }
  for (const [name, value] of Object.entries(body)) {
    if (problems.length >= PROBLEMS_MAX) break;
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined) {
      const meant = suggest(name, Object.keys(fields));
      const hint =
        meant === undefined ? `Known fields are ${Object.keys(fields).join(', ')}` : `Did you mean "${meant}"?`;
      problems.push({ path: show(name).slice(1, -1), message: 'is not a known field', hint });
      continue;
    }
    const result = field.read(value);
    if (result.ok) values[name] = result.value;
    else for (const problem of result.problems) problems.push({ ...problem, path: joinPath(name, problem.path) });
  }
  return { values: values as FieldValues<F>, problems };
}

/** More than this at once helps nobody, and the body may be large. */
const PROBLEMS_MAX = 10;

function joinPath(outer: string, inner: string): string {
  return inner === '' ? outer : `${outer}.${inner}`;
}

/** The description of an object made of fields. */
export function objectSchema(
  fields: FieldTable,
  required: readonly string[],
  options: Record<string, unknown>,
): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const [name, field] of Object.entries(fields)) properties[name] = field.schema;
  const lists = required.length > 0 ? { required: [...required] } : {};
  return { type: 'object', additionalProperties: false, properties, ...lists, ...options };
}
