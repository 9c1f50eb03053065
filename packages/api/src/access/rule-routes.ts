import type { Logger } from '@sluice/common/logger';
import type { AccessManagement, AccessRuleList, RuleOwner } from '@sluice/rpc/contract/access-management';
import type { FastifyInstance } from 'fastify';
import { objectSchema } from '../field/field.ts';
import { textField } from '../field/scalar-fields.ts';
import { granted } from '../outcome.ts';
import { answers } from '../route.ts';
import {
  ACCESS_PAGE_QUERY,
  type AccessRoute,
  addAccessRoute,
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
  { of: 'username', path: 'users', operation: 'User', what: 'user' },
  { of: 'clientid', path: 'clients', operation: 'Client', what: 'client id' },
] as const;
type Kind = (typeof KINDS)[number];

const ALL: RuleOwner = { kind: 'all' };
const PATHS_OF_ALL = [`${BASE}/all`] as const;
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

interface RuleRoutesOptions {
  access: AccessManagement;
  logger: Logger;
}

/**
 * What clients may publish and subscribe to, as EMQX's built-in database has it: a list for a client id, one for a
 * user, and one behind both for all.
 */
export function addRuleRoutes(app: FastifyInstance, options: RuleRoutesOptions): void {
  for (const kind of KINDS) {
    for (const route of [listRules, addRules, getRules, setRules, deleteRules])
      addAccessRoute(app, route(kind, options));
  }
  for (const route of [getRulesOfAll, setRulesOfAll, deleteRulesOfAll]) addAccessRoute(app, route(options));
}

function listRules(kind: Kind, { access }: RuleRoutesOptions): AccessRoute {
  return {
    method: 'GET',
    paths: [pathOf(kind)],
    access: 'read',
    schema: {
      operationId: `list${kind.operation}Rules`,
      summary: `List the rules of each ${kind.what}`,
      querystring: ACCESS_PAGE_QUERY,
      response: answers({ 200: { description: 'A page', $ref: 'RuleListPage#' } }, 400, 401, 403, 503),
    },
    handle: async ({ query }) =>
      pageOf(
        granted(access.ruleLists()).filter(({ of }) => of.kind === kind.of),
        query,
        listView,
      ),
  };
}

function addRules(kind: Kind, { access, logger }: RuleRoutesOptions): AccessRoute {
  const fields = fieldsOf(kind);
  return {
    method: 'POST',
    paths: [pathOf(kind)],
    access: 'write',
    schema: {
      operationId: `add${kind.operation}Rules`,
      summary: `Give rules to a ${kind.what} that has none`,
      description: 'One after the other: those before one that is refused stay.',
      body: { type: 'array', items: objectSchema(fields, [kind.of, 'rules'], {}) },
      response: answers({ 204: { description: 'Added', type: 'null' } }, 400, 401, 403, 409, 503),
    },
    handle: async ({ body, identity }, reply) => {
      const lists = readBodies<AccessRuleList>(body, LISTS_MAX, (item) => {
        const values = readBody(fields, [kind.of, 'rules'], item) as Record<string, unknown> &
          Pick<AccessRuleList, 'rules'>;
        return { of: { kind: kind.of, name: String(values[kind.of]) }, rules: values.rules };
      });
      for (const rules of lists) granted(await access.setRules(rules, { isNew: true }));
      logger.info({ [kind.of]: lists.map(({ of }) => nameOf(of)), apiKey: identity?.key }, 'rules added');
      return reply.code(204).send();
    },
  };
}

function getRules(kind: Kind, { access }: RuleRoutesOptions): AccessRoute {
  return {
    method: 'GET',
    paths: [`${pathOf(kind)}/:name`],
    access: 'read',
    schema: {
      operationId: `get${kind.operation}Rules`,
      summary: `Read the rules of a ${kind.what}`,
      params: nameParameter(kind),
      response: answers({ 200: { description: 'The rules', $ref: 'RuleList#' } }, 401, 403, 404, 503),
    },
    handle: async ({ params: { name = '' } }) => listView(granted(access.rules({ kind: kind.of, name }))),
  };
}

function setRules(kind: Kind, { access, logger }: RuleRoutesOptions): AccessRoute {
  const fields = fieldsOf(kind);
  const ofPath = { [kind.of]: nameField(kind) };
  return {
    method: 'PUT',
    paths: [`${pathOf(kind)}/:name`],
    access: 'write',
    schema: {
      operationId: `set${kind.operation}Rules`,
      summary: `Replace the rules of a ${kind.what}`,
      description: 'Subscriptions that are not allowed any more end.',
      params: nameParameter(kind),
      body: objectSchema(fields, ['rules'], {}),
      response: answers({ 204: { description: 'Replaced', type: 'null' } }, 400, 401, 403, 503),
    },
    handle: async ({ params: { name = '' }, body, identity }, reply) => {
      readBody(ofPath, [kind.of], { [kind.of]: name });
      const { rules } = readBody(fields, ['rules'], body) as Pick<AccessRuleList, 'rules'>;
      granted(await access.setRules({ of: { kind: kind.of, name }, rules }, { isNew: false }));
      logger.info({ [kind.of]: name, apiKey: identity?.key }, 'rules replaced');
      return reply.code(204).send();
    },
  };
}

function deleteRules(kind: Kind, { access, logger }: RuleRoutesOptions): AccessRoute {
  return {
    method: 'DELETE',
    paths: [`${pathOf(kind)}/:name`],
    access: 'write',
    schema: {
      operationId: `delete${kind.operation}Rules`,
      summary: `Remove the rules of a ${kind.what}`,
      params: nameParameter(kind),
      response: answers({ 204: { description: 'Removed', type: 'null' } }, 401, 403, 404, 503),
    },
    handle: async ({ params: { name = '' }, identity }, reply) => {
      granted(await access.removeRules({ kind: kind.of, name }));
      logger.info({ [kind.of]: name, apiKey: identity?.key }, 'rules removed');
      return reply.code(204).send();
    },
  };
}

function pathOf({ path }: Kind): string {
  return `${BASE}/${path}`;
}

function fieldsOf(kind: Kind) {
  return { [kind.of]: nameField(kind), rules: rulesField };
}

function nameField({ what }: Kind) {
  return textField({ description: `The ${what} that the rules concern.`, charactersMax: 1_024 });
}

function nameParameter({ what }: Kind): object {
  return { type: 'object', properties: { name: { type: 'string', description: `The ${what}, URL-encoded.` } } };
}

function getRulesOfAll({ access }: RuleRoutesOptions): AccessRoute {
  return {
    method: 'GET',
    paths: PATHS_OF_ALL,
    access: 'read',
    schema: {
      operationId: 'getRulesOfAll',
      summary: 'Read the rules that concern everybody',
      description: 'They are read behind those of the client id and of the user.',
      response: answers({ 200: { description: 'The rules', $ref: 'RuleList#' } }, 401, 403, 503),
    },
    handle: async () => {
      const found = access.rules(ALL);
      return !found.ok && found.code === 'NOT_FOUND' ? { rules: [] } : listView(granted(found));
    },
  };
}

function setRulesOfAll({ access, logger }: RuleRoutesOptions): AccessRoute {
  return {
    method: 'POST',
    paths: PATHS_OF_ALL,
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
      granted(await access.setRules({ of: ALL, rules }, { isNew: false }));
      logger.info({ rules: rules.length, apiKey: identity?.key }, 'rules of all replaced');
      return reply.code(204).send();
    },
  };
}

function deleteRulesOfAll({ access, logger }: RuleRoutesOptions): AccessRoute {
  return {
    method: 'DELETE',
    paths: PATHS_OF_ALL,
    access: 'write',
    schema: {
      operationId: 'deleteRulesOfAll',
      summary: 'Remove the rules that concern everybody',
      response: answers({ 204: { description: 'Removed', type: 'null' } }, 401, 403, 404, 503),
    },
    handle: async ({ identity }, reply) => {
      granted(await access.removeRules(ALL));
      logger.info({ apiKey: identity?.key }, 'rules of all removed');
      return reply.code(204).send();
    },
  };
}

function listView({ of, rules }: AccessRuleList): Record<string, unknown> {
  return { ...(of.kind === 'all' ? {} : { [of.kind]: of.name }), rules: rules.map(ruleView) };
}

function nameOf(of: RuleOwner): string {
  return of.kind === 'all' ? '' : of.name;
}
