import { type OpenApiDocument, type Operation, resolveSchema } from './document-model.ts';

/** Replaced by the page's script with where the page came from. */
const EXAMPLE_ORIGIN = 'http://127.0.0.1:18083';

/** A command that works as it stands once KEY and SECRET are set. */
export function curlExample(document: OpenApiDocument, path: string, method: string, operation: Operation): string {
  const parameters = operation.parameters ?? [];
  const filled = path.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const example = parameters.find((parameter) => parameter.in === 'path' && parameter.name === name);
    return encodeURIComponent(String(example?.example ?? example?.schema?.example ?? name));
  });
  const words = ['curl'];
  // An empty list says that no key is needed; a missing one that the document's own rule holds.
  if (operation.security === undefined) words.push('-u "$KEY:$SECRET"');
  if (method !== 'get') words.push(`-X ${method.toUpperCase()}`);
  const lines = [`${words.join(' ')} ${EXAMPLE_ORIGIN}${filled}`];
  const body = resolveSchema(document, operation.requestBody?.content?.['application/json']?.schema);
  if (body !== undefined) {
    lines.push("  -H 'content-type: application/json'");
    lines.push(`  -d '${JSON.stringify(body.example ?? {}).replace(/'/g, "'\\''")}'`);
  }
  return lines.join(' \\\n');
}
