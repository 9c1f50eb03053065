/**
 * A JSON schema as it stands in the document. Plain objects: a schema builder gave the same objects for a fifth of a
 * second and twenty megabytes of every start.
 */
export type JsonSchema = Readonly<Record<string, unknown>>;
