import { curlExample } from './curl-example.ts';
import {
  type FieldRow,
  fieldRows,
  type OpenApiDocument,
  type Operation,
  type Parameter,
  rangeText,
  resolveSchema,
  type Schema,
  schemaName,
  typeText,
} from './document-model.ts';
import { type Html, html, inlineProse, prose } from './html.ts';

/**
 * The document as a page to read, made here and not in the browser: it can be read, searched and printed without a
 * script, and a test can look at it. The script only adds the filter, the copy buttons and the page's own address.
 */
export function renderDocs(raw: Record<string, unknown>, assets: { stylePath: string; scriptPath: string }): string {
  const document = raw as OpenApiDocument;
  const groups = groupByTag(document);
  const schemas = Object.entries(document.components?.schemas ?? {});
  const title = document.info?.title ?? 'API';

  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="stylesheet" href="${assets.stylePath}">
<script src="${assets.scriptPath}" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<aside>
<div class="brand">${LOGO}<div><strong>${title}</strong><span class="version">${document.info?.version}</span></div></div>
<input type="search" id="filter" placeholder="Filter  ( / )" aria-label="Filter operations" autocomplete="off" spellcheck="false">
<nav aria-label="Operations">
${groups.map(
  ({ name, operations }) => html`<section><h2><a href="#${slug(name)}">${name}</a></h2><ul>
${operations.map(({ id, method, operation }) => html`<li data-search="${searchText(id, method, operation)}"><a href="#${id}">${badge(method)}<span>${operation.summary ?? id}</span></a></li>\n`)}</ul></section>
`,
)}<section><h2><a href="#schemas">Schemas</a></h2><ul>
${schemas.map(([name]) => html`<li data-search="${name.toLowerCase()}"><a href="#schema-${name}"><span>${name}</span></a></li>\n`)}</ul></section>
</nav>
</aside>
<main id="content">
<header class="intro">
<h1>${title}</h1>
<div class="lead">${prose(document.info?.description ?? '')}</div>
<p class="links"><a class="button" href="/api/v5/openapi.json">OpenAPI document</a></p>
</header>
${groups.map(
  ({ name, description, operations }) => html`<section class="group" id="${slug(name)}">
<h2>${name}</h2>
${description === undefined ? undefined : html`<p class="lead">${inlineProse(description)}</p>`}
${operations.map((row) => renderOperation(document, row))}
</section>
`,
)}
<section class="group" id="schemas">
<h2>Schemas</h2>
${schemas.map(([name, schema]) => renderSchema(name, schema))}
</section>
</main>
</body>
</html>
`.text;
}

const LOGO: Html = html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8"/><path d="M9 6v20M23 6v20" class="gate"/><path d="M5 14c3-2.5 5.5 2.5 8.5 0s5.5 2.5 8.5 0 3.5-1 5 0M5 20c3-2.5 5.5 2.5 8.5 0s5.5 2.5 8.5 0 3.5-1 5 0" class="water"/></svg>`;

interface OperationRow {
  id: string;
  path: string;
  method: string;
  operation: Operation;
}

const METHOD_ORDER = ['get', 'post', 'put', 'patch', 'delete'];

function groupByTag(
  document: OpenApiDocument,
): { name: string; description: string | undefined; operations: OperationRow[] }[] {
  const groups = new Map<string, { name: string; description: string | undefined; operations: OperationRow[] }>();
  for (const { name, description } of document.tags ?? []) groups.set(name, { name, description, operations: [] });
  for (const [path, methods] of Object.entries(document.paths ?? {})) {
    for (const method of METHOD_ORDER) {
      const operation = methods[method];
      if (operation === undefined) continue;
      const tag = operation.tags?.[0] ?? 'Other';
      const group = groups.get(tag) ?? { name: tag, description: undefined, operations: [] };
      groups.set(tag, group);
      group.operations.push({ id: operation.operationId ?? slug(`${method} ${path}`), path, method, operation });
    }
  }
  return [...groups.values()].filter(({ operations }) => operations.length > 0);
}

function renderOperation(document: OpenApiDocument, { id, path, method, operation }: OperationRow): Html {
  const body = operation.requestBody?.content?.['application/json']?.schema;
  const bodySchema = resolveSchema(document, body);
  return html`<article id="${id}" data-search="${searchText(id, method, operation)} ${path.toLowerCase()}">
<h3><a class="anchor" href="#${id}">${operation.summary ?? id}</a></h3>
<p class="endpoint">${badge(method)}<code>${pathText(path)}</code>${operation.security === undefined ? undefined : html`<span class="open">no key needed</span>`}</p>
${operation.description === undefined ? undefined : html`<div class="about">${prose(operation.description)}</div>`}
<div class="curl"><pre><code>${curlExample(document, path, method, operation)}</code></pre><button type="button" class="copy" hidden>Copy</button></div>
${renderParameters(operation.parameters ?? [])}
${bodySchema === undefined ? undefined : html`<h4>Body ${schemaLink(body)}</h4>${bodySchema.description === undefined ? undefined : prose(bodySchema.description)}${renderFields(fieldRows(bodySchema))}`}
${renderResponses(operation)}
</article>
`;
}

function renderParameters(parameters: readonly Parameter[]): Html | undefined {
  if (parameters.length === 0) return undefined;
  return html`<h4>Parameters</h4>${renderFields(
    parameters.map((parameter) => ({
      path: parameter.name,
      required: parameter.required ?? false,
      schema: { ...parameter.schema, description: parameter.description ?? parameter.schema?.description ?? '' },
      place: parameter.in,
    })),
  )}`;
}

function renderFields(rows: readonly (FieldRow & { place?: string })[]): Html | undefined {
  if (rows.length === 0) return undefined;
  return html`<div class="scroll"><table class="fields">
<thead><tr><th scope="col">Field</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>
<tbody>
${rows.map(
  ({
    path,
    schema,
    required,
    place,
  }) => html`<tr><td><code class="name">${path}</code>${place === undefined ? undefined : html`<span class="place">${place}</span>`}${required ? html`<span class="required">required</span>` : undefined}</td>
<td class="type">${typeCell(schema)}</td>
<td>${inlineProse(schema.description ?? '')}${schema.default === undefined ? undefined : html` <span class="default">Default <code>${JSON.stringify(schema.default)}</code></span>`}${schema.readOnly ? html` <span class="default">Read-only</span>` : undefined}</td></tr>
`,
)}</tbody></table></div>`;
}

function typeCell(schema: Schema): Html {
  const range = rangeText(schema);
  const name = schemaName(schema) ?? schemaName(schema.items);
  const text = typeText(schema);
  const shown = name === undefined ? html`${text}` : html`<a href="#schema-${name}">${text}</a>`;
  return range === '' ? shown : html`${shown}<span class="range">${range}</span>`;
}

function renderResponses(operation: Operation): Html {
  const rows = Object.entries(operation.responses ?? {});
  return html`<h4>Answers</h4><div class="scroll"><table class="answers"><tbody>
${rows.map(([status, { description, content }]) => {
  const schema = Object.values(content ?? {})[0]?.schema;
  return html`<tr><td><span class="status s${status[0]}">${status}</span></td><td>${inlineProse(description ?? '')} ${schemaLink(schema)}</td></tr>
`;
})}</tbody></table></div>`;
}

function renderSchema(name: string, schema: Schema): Html {
  return html`<article id="schema-${name}" data-search="${name.toLowerCase()} ${(schema.title ?? '').toLowerCase()}">
<h3><a class="anchor" href="#schema-${name}">${name}</a></h3>
<div class="about">${prose([schema.title, schema.description].filter((text) => text !== undefined).join('. '))}</div>
${renderFields(fieldRows(schema))}
</article>
`;
}

function schemaLink(schema: Schema | undefined): Html | undefined {
  const name = schemaName(schema);
  return name === undefined ? undefined : html`<a class="schema" href="#schema-${name}">${name}</a>`;
}

function badge(method: string): Html {
  return html`<span class="method ${method}">${method === 'delete' ? 'del' : method}</span>`;
}

/** Parameters of a path stand out. */
function pathText(path: string): Html {
  const pieces = path
    .split(/(\{\w+\})/)
    .map((piece) => (piece.startsWith('{') ? html`<em>${piece}</em>` : html`${piece}`));
  return html`${pieces}`;
}

function searchText(id: string, method: string, operation: Operation): string {
  return `${method} ${id} ${operation.summary ?? ''}`.toLowerCase();
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}
