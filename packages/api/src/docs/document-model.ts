/** The parts of an OpenAPI 3.0 document that the page reads. Whatever is missing is simply not shown. */
export interface OpenApiDocument {
  info?: { title?: string; version?: string; description?: string };
  tags?: { name: string; description?: string }[];
  paths?: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, Schema> };
}

export interface Operation {
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses?: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>;
  security?: unknown[];
}

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
  example?: unknown;
}

export interface Schema {
  $ref?: string;
  title?: string;
  type?: string;
  format?: string;
  description?: string;
  default?: unknown;
  example?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  nullable?: boolean;
  readOnly?: boolean;
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  oneOf?: Schema[];
}

const SCHEMA_PREFIX = '#/components/schemas/';

/** The name a reference gives, or undefined for a schema written in place. */
export function schemaName(schema: Schema | undefined): string | undefined {
  return schema?.$ref?.startsWith(SCHEMA_PREFIX) ? schema.$ref.slice(SCHEMA_PREFIX.length) : undefined;
}

export function resolveSchema(document: OpenApiDocument, schema: Schema | undefined): Schema | undefined {
  const name = schemaName(schema);
  return name === undefined ? schema : document.components?.schemas?.[name];
}

/** `integer or string`, `array of Queue`, `"random" | "round_robin"`. */
export function typeText(schema: Schema): string {
  const name = schemaName(schema);
  if (name !== undefined) return name;
  const suffix = schema.nullable ? ' or null' : '';
  if (schema.oneOf !== undefined) return schema.oneOf.map(typeText).join(' or ') + suffix;
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ') + suffix;
  if (schema.type === 'array')
    return `array of ${schema.items === undefined ? 'anything' : typeText(schema.items)}${suffix}`;
  return (schema.format === undefined ? (schema.type ?? 'any') : `${schema.type} (${schema.format})`) + suffix;
}

/** `1 … 65535`, `≥ 1`, or nothing. */
export function rangeText(schema: Schema): string {
  if (schema.minimum !== undefined && schema.maximum !== undefined) return `${schema.minimum} … ${schema.maximum}`;
  if (schema.minimum !== undefined && schema.minimum !== 0) return `≥ ${schema.minimum}`;
  return '';
}

export interface FieldRow {
  /** `limits.overflow`, `data[].name` */
  path: string;
  schema: Schema;
  required: boolean;
}

/** Fields of an object, those of objects inside it below them. References are left to the reader's click. */
export function fieldRows(schema: Schema, prefix = '', depth = 0): FieldRow[] {
  if (depth > NESTING_MAX) return [];
  const rows: FieldRow[] = [];
  const inner = schema.type === 'array' ? schema.items : undefined;
  if (inner?.properties !== undefined && prefix === '') return fieldRows(inner, '[].', depth + 1);
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const path = `${prefix}${name}`;
    rows.push({ path, schema: field, required: schema.required?.includes(name) ?? false });
    const elements = field.type === 'array' ? field.items : undefined;
    if (field.properties !== undefined) rows.push(...fieldRows(field, `${path}.`, depth + 1));
    if (elements?.properties !== undefined) rows.push(...fieldRows(elements, `${path}[].`, depth + 1));
  }
  return rows;
}

const NESTING_MAX = 4;
