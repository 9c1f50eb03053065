import type { FastifyInstance, FastifyReply } from 'fastify';
import { DOCS_SCRIPT } from './docs-script.ts';
import { DOCS_STYLE } from './docs-style.ts';
import { renderDocs } from './render-docs.ts';

/** Nothing comes from elsewhere, and nothing that slipped through the escaping could run. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE_PATH = '/api/v5/docs/style.css';
const SCRIPT_PATH = '/api/v5/docs/script.js';

/** The document and its page. Both are built once, at the first request: the routes do not change afterwards. */
export function addDocsRoutes(app: FastifyInstance, readDocument: () => Record<string, unknown>): void {
  let json: string | undefined;
  let html: string | undefined;

  const get = (url: string, answer: (reply: FastifyReply) => FastifyReply) => {
    app.get(url, { config: { access: 'public' }, schema: { hide: true } }, (_request, reply) => {
      reply.header('content-security-policy', CONTENT_SECURITY_POLICY).header('referrer-policy', 'no-referrer');
      answer(reply);
    });
  };

  get('/api/v5/openapi.json', (reply) => {
    json ??= JSON.stringify(readDocument(), null, 2);
    return reply.type('application/json; charset=utf-8').send(json);
  });
  get('/api/v5/docs', (reply) => {
    html ??= renderDocs(readDocument(), { stylePath: STYLE_PATH, scriptPath: SCRIPT_PATH });
    return reply.type('text/html; charset=utf-8').send(html);
  });
  get(STYLE_PATH, (reply) => reply.type('text/css; charset=utf-8').send(DOCS_STYLE));
  get(SCRIPT_PATH, (reply) => reply.type('text/javascript; charset=utf-8').send(DOCS_SCRIPT));
  get('/', (reply) => reply.redirect('/api/v5/docs', 302));
}
