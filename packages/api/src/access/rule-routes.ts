import type { Logger } from '@sluice/common/logger';
import type { AccessManagement, AccessRuleList, RuleOwner } from '@sluice/rpc/contract/access-management';
import type { FastifyInstance } from 'fastify';
import { objectSchema } from '../field/field.ts';
import { textField } from '../field/scalar-fields.ts';
import { answers } from '../route.ts';
import {
  ACCESS_PAGE_QUERY,
  addAccessRoute,
  granted,
  pageOf,
  pageSchema,
  readBodies,
  readBody,
} from './access-answers.ts';
import { rulesField, ruleView } from './rule-fields.ts';

const BASE = '/api/v5/authorization/sources/built_in_database/rules';
const LISTS_MAX = 100;

/** The same routes for users and for clients, as in EMQX. */
const KINDS = [
  { kind: 'username', path: 'users', operation: 'User', what: 'user' },
  { kind: 'clientid', path: 'clients', operation: 'Client', what: 'client id' },
] as const;

const ALL_FIELDS = { rules: rulesField };

const rulesProperty = { type: 'array', items: { $ref: 'Rule#' } };
export const RULE_LIST_SCHEMA = {
  $id: 'RuleList',
  title: 'The rules of a user, of a client id, or of all',
  type: 'object',
  required: ['rules'],
  additionalProperties: false,
  properties: { username: { type: 'string' }, clientid: { type: 'string' }, rules: rulesProperty },
};
export const RULE_PAGE_SCHEMA = pageSchema('RuleListPage', 'A page of lists of rules', 'RuleList');

export function addRuleRoutes(
  app: FastifyInstance,
  { access, logger }: { access: AccessManagement; logger: Logger },
): void {
  for (const one of KINDS) addKind(app, one, access, logger);
  addAll(app, access, logger);
}

function addKind(
  app: FastifyInstance,
  { kind, path, operation, what }: (typeof KINDS)[number],
  access: AccessManagement,
  logger: Logger,
): void {
  const nameField = textField({ description: `The ${what} that the rules concern.`, charactersMax: 1_024 });
  const fields = { [kind]: nameField, rules: rulesField };
  const one = `${BASE}/${path}/:name`;
  const params = { type: 'object', properties: { name: { type: 'string', description: `The ${what}, URL-encoded.` } } };
  const list = (name: string, rules: AccessRuleList['rules']): AccessRuleList => ({ of: { kind, name }, rules });

  addAccessRoute(app, {
    method: 'GET',
    paths: [`${BASE}/${path}`],
    access: 'read',
    schema: {
      operationId: `list${operation}Rules`,
      summary: `List the rules of each ${what}`,
      querystring: ACCESS_PAGE_QUERY,
      response: answers({ 200: { description: 'A page', $ref: 'RuleListPage#' } }, 400, 401, 403, 503),
    },
    handle: async ({ query }) =>
      pageOf(
        granted(access.ruleLists()).filter(({ of }) => of.kind === kind),
        query,
        listView,
      ),
  });

  addAccessRoute(app, {
    method: 'POST',
    paths: [`${BASE}/${path}`],
    access: 'write',
    schema: {
      operationId: `add${operation}Rules`,
      summary: `Give rules to a ${what} that has none`,
      description: 'One after the other: those before one that is refused stay.',
      body: { type: 'array', items: objectSchema(fields, [kind, 'rules'], {}) },
      response: answers({ 204: { description: 'Added', type: 'null' } }, 400, 401, 403, 409, 503),
    },
    handle: async ({ body, identity }, reply) => {
      const lists = readBodies(body, LISTS_MAX, (item) => {
        const values = readBody(fields, [kind, 'rules'], item) as { [kind]: string; rules: AccessRuleList['rules'] };
        return list(String((values as Record<string, unknown>)[kind]), values.rules);
      });
      for (const rules of lists) granted(await access.setRules(rules, { isNew: true }));
      logger.info({ [kind]: lists.map(({ of }) => nameOf(of)), apiKey: identity?.key }, 'rules added');
      return reply.code(204).send();
    },
  });

  addAccessRoute(app, {
    method: 'GET',
    paths: [one],
    access: 'read',
    schema: {
      operationId: `get${operation}Rules`,
      summary: `Read the rules of a ${what}`,
      params,
      response: answers({ 200: { description: 'The rules', $ref: 'RuleList#' } }, 401, 403, 404, 503),
    },
    handle: async ({ params: { name = '' } }) => listView(granted(access.rules({ kind, name }))),
  });

  addAccessRoute(app, {
    method: 'PUT',
    paths: [one],
    access: 'write',
    schema: {
      operationId: `set${operation}Rules`,
      summary: `Replace the rules of a ${what}`,
      description: 'Subscriptions that are not allowed any more end.',
      params,
      body: objectSchema(fields, ['rules'], {}),
      response: answers({ 204: { description: 'Replaced', type: 'null' } }, 400, 401, 403, 503),
    },
    handle: async ({ params: { name = '' }, body, identity }, reply) => {
      const { rules } = readBody(fields, ['rules'], body) as { rules: AccessRuleList['rules'] };
      granted(await access.setRules(list(name, rules), { isNew: false }));
      logger.info({ [kind]: name, apiKey: identity?.key }, 'rules replaced');
      return reply.code(204).send();
    },
  });

  addAccessRoute(app, {
    method: 'DELETE',
    paths: [one],
    access: 'write',
    schema: {
      operationId: `delete${operation}Rules`,
      summary: `Remove the rules of a ${what}`,
      params,
      response: answers({ 204: { description: 'Removed', type: 'null' } }, 401, 403, 404, 503),
    },
    handle: async ({ params: { name = '' }, identity }, reply) => {
      granted(await access.removeRules({ kind, name }));
      logger.info({ [kind]: name, apiKey: identity?.key }, 'rules removed');
      return reply.code(204).send();
    },
  });
}

function addAll(app: FastifyInstance, access: AccessManagement, logger: Logger): void {
  const of: RuleOwner = { kind: 'all' };
  const paths = [`${BASE}/all`] as const;

  addAccessRoute(app, {
    method: 'GET',
    paths,
    access: 'read',
    schema: {
      operationId: 'getRulesOfAll',
      summary: 'Read the rules that concern everybody',
      description: 'They are read behind those of the client id and of the user.',
      response: answers({ 200: { description: 'The rules', $ref: 'RuleList#' } }, 401, 403, 503),
    },
    handle: async () => {
      const found = access.rules(of);
      return !found.ok && found.code === 'NOT_FOUND' ? { rules: [] } : listView(granted(found));
    },
  });

  addAccessRoute(app, {
    method: 'POST',
    paths,
    access: 'write',
    schema: {
      operationId: 'setRulesOfAll',
      summary: 'Replace the rules that concern everybody',
      body: objectSchema(ALL_FIELDS, ['rules'], {
        example: { rules: [{ topic: 'news/#', permission: 'allow', action: 'subscribe' }] },
      }),
      response: answers({ 204: { description: 'Replaced', type: 'null' } }, 400, 401, 403, 503),
    },
    handle: async ({ body, identity }, reply) => {
      const { rules } = readBody(ALL_FIELDS, ['rules'], body);
      granted(await access.setRules({ of, rules }, { isNew: false }));
      logger.info({ rules: rules.length, apiKey: identity?.key }, 'rules of all replaced');
      return reply.code(204).send();
    },
  });

  addAccessRoute(app, {
    method: 'DELETE',
    paths,
    access: 'write',
    schema: {
      operationId: 'deleteRulesOfAll',
      summary: 'Remove the rules that concern everybody',
      response: answers({ 204: { description: 'Removed', type: 'null' } }, 401, 403, 404, 503),
    },
    handle: async ({ identity }, reply) => {
      granted(await access.removeRules(of));
      logger.info({ apiKey: identity?.key }, 'rules of all removed');
      return reply.code(204).send();
    },
  });
}

function listView({ of, rules }: AccessRuleList): Record<string, unknown> {
  return { ...(of.kind === 'all' ? {} : { [of.kind]: of.name }), rules: rules.map(ruleView) };
}

function nameOf(of: RuleOwner): string {
  return of.kind === 'all' ? '' : of.name;
}
