import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { renderDocs } from '../../src/docs/render-docs.ts';
import { createFixture } from '../api-fixture.ts';

describe('the document', () => {
  it('is OpenAPI 3.0 and describes every field, error and parameter', async () => {
    const { body: document } = await createFixture().call('GET', '/api/v5/openapi.json');
    expect(document.openapi).toBe('3.0.3');
    const create = document.components.schemas.QueueCreate.properties;
    for (const [name, field] of Object.entries<{ description?: string }>(create))
      expect([name, typeof field.description]).toEqual([name, 'string']);
    expect(create.data_retention_period.default).toBe('7d');
    expect(create.limits.properties.overflow.enum).toEqual(['refuse', 'drop_oldest']);
    for (const [path, methods] of Object.entries<
      Record<string, { summary: string; operationId: string; parameters?: { description: string }[] }>
    >(document.paths)) {
      for (const operation of Object.values(methods)) {
        expect([path, operation.summary.length > 5, operation.operationId.length > 3]).toEqual([path, true, true]);
        for (const parameter of operation.parameters ?? []) expect(parameter.description.length).toBeGreaterThan(5);
      }
    }
  });

  it('is what the answers obey', async () => {
    const { call, queues } = createFixture();
    const { body: document } = await call('GET', '/api/v5/openapi.json');
    const ajv = new Ajv({ strict: false, validateFormats: false });
    ajv.addSchema(document, 'api');
    const check = async (method: string, url: string, body?: unknown, path = url.split('?')[0]) => {
      const answer = await call(method, url, body);
      const reference = `api#/paths/${String(path).replace(/~/g, '~0').replace(/\//g, '~1').replace(/[{}]/g, encodeURIComponent)}/${method.toLowerCase()}/responses/${answer.status}/content/application~1json/schema`;
      const validate = ajv.getSchema(reference);
      if (validate === undefined) throw new Error(`${reference} is not described`);
      expect([method, url, answer.status, validate(answer.body) ? null : validate.errors]).toEqual([
        method,
        url,
        answer.status,
        null,
      ]);
    };
    const queuesPath = '/api/v5/message_queues/queues';
    const one = `${queuesPath}/{name}`;
    await check('POST', queuesPath, { name: 'q', topic_filter: 't', is_lastvalue: false });
    await check('POST', queuesPath, { topic_filter: 'u', limits: { max_message_count: 5, overflow: 'drop_oldest' } });
    await check('POST', queuesPath, {});
    await check('GET', `${queuesPath}?limit=1`);
    await check('GET', `${queuesPath}/q`, undefined, one);
    await check('GET', `${queuesPath}/gone`, undefined, one);
    await check('PUT', `${queuesPath}/q`, { local_max_inflight: 3 }, one);
    queues.store('q', 'x');
    queues.store('q', new Uint8Array([0]), {
      expiresAtMs: 5,
      properties: { userProperties: [['a', 'b']], correlationData: new Uint8Array(1) },
    });
    await check('GET', `${queuesPath}/q/messages?limit=1`, undefined, `${one}/messages`);
    await check('GET', `${queuesPath}/q/messages`, undefined, `${one}/messages`);
    await check('GET', `${queuesPath}/q/stats`, undefined, `${one}/stats`);
    queues.silent.add('q');
    await check('GET', `${queuesPath}/q/stats`, undefined, `${one}/stats`);
    await check('GET', '/api/v5/message_queues/stats');
    await check('POST', `${queuesPath}/q/purge`, undefined, `${one}/purge`);
    await check('GET', '/api/v5/message_queues/config');
    await check('GET', '/api/v5/nodes');
    await check('GET', '/healthz');
    await check('GET', '/readyz');
  });
});

describe('the page', () => {
  it('shows every operation and needs nothing from elsewhere', async () => {
    const { call } = createFixture();
    expect(await call('GET', '/')).toMatchObject({ status: 302, headers: { location: '/api/v5/docs' } });
    const page = await call('GET', '/api/v5/docs');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    const { body: document } = await call('GET', '/api/v5/openapi.json');
    for (const methods of Object.values<Record<string, { operationId: string }>>(document.paths)) {
      for (const { operationId } of Object.values(methods)) expect(page.text).toContain(`<article id="${operationId}"`);
    }
    for (const name of Object.keys(document.components.schemas)) expect(page.text).toContain(`id="schema-${name}"`);
    // Every link within the page leads somewhere.
    const ids = new Set([...page.text.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]));
    for (const [, target] of page.text.matchAll(/href="#([^"]+)"/g))
      expect([target, ids.has(target)]).toEqual([target, true]);
    expect(page.text).not.toMatch(/\sstyle=|\son[a-z]+=|<script>|<style|(src|href)="(https?:)?\/\//);
    for (const [, path] of page.text.matchAll(/<(?:link|script)[^>]*(?:href|src)="([^"]+)"/g))
      expect((await call('GET', String(path))).status).toBe(200);
    expect(page.text).toContain('-d &#39;{&quot;name&quot;:&quot;orders&quot;');
  });

  it('escapes whatever the document says', () => {
    const evil = '"><script>alert(1)</script>`<img src=x>`\'';
    const page = renderDocs(
      {
        info: { title: evil, version: evil, description: evil },
        tags: [{ name: evil, description: evil }],
        paths: {
          '/x/{a}': {
            get: {
              summary: evil,
              description: evil,
              tags: [evil],
              parameters: [{ name: evil, in: evil, description: evil, schema: { type: evil, default: evil } }],
              responses: { '200': { description: evil } },
            },
          },
        },
        components: { schemas: { A: { title: evil, properties: { [evil]: { description: evil, enum: [evil] } } } } },
      },
      { stylePath: '/s', scriptPath: '/j' },
    );
    expect(page).not.toContain('<script>');
    expect(page).not.toContain('<img');
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  });
});
