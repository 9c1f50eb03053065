import type { Logger } from '@sluice/common/logger';
import type { AccessManagement, AccessUser } from '@sluice/rpc/contract/access-management';
import type { FastifyInstance } from 'fastify';
import { badRequest } from '../api-error.ts';
import { objectSchema } from '../field/field.ts';
import { booleanField, textField } from '../field/scalar-fields.ts';
import { granted } from '../outcome.ts';
import { answers } from '../route.ts';
import { ACCESS_PAGE_QUERY, type AccessRoute, addAccessRoute, pageOf, pageSchema, readBody } from './access-answers.ts';

/** As EMQX calls it: users in its built-in database, known by user name. */
const AUTHENTICATOR = 'password_based:built_in_database';
const COLLECTION = '/api/v5/authentication/:id/users';
const ONE = `${COLLECTION}/:user_id`;

const FIELDS = {
  user_id: textField({ description: 'User name.', charactersMax: 1_024, example: 'ann' }),
  password: textField({ description: 'Kept as a hash; nobody can read it again.', charactersMax: 65_535 }),
  is_superuser: booleanField({ description: 'No rule applies to a superuser.', default: false }),
};
const { user_id: _name, ...CHANGE_FIELDS } = FIELDS;

const ID = { type: 'string', description: `\`${AUTHENTICATOR}\`, the only one with users of its own.` };
const USER_ID = { type: 'string', description: 'User name, URL-encoded.' };

export const USER_SCHEMA = {
  $id: 'User',
  title: 'An MQTT user of the cluster',
  type: 'object',
  required: ['user_id', 'is_superuser'],
  additionalProperties: false,
  properties: { user_id: FIELDS.user_id.schema, is_superuser: FIELDS.is_superuser.schema },
};
export const USER_PAGE_SCHEMA = pageSchema('UserPage', 'A page of users', 'User');

interface UserRoutesOptions {
  access: AccessManagement;
  logger: Logger;
}

/** The MQTT users that the cluster shares. A password goes in and never comes out. */
export function addUserRoutes(app: FastifyInstance, options: UserRoutesOptions): void {
  for (const route of [listUsers, createUser, getUser, updateUser, deleteUser]) addAccessRoute(app, route(options));
}

function listUsers({ access }: UserRoutesOptions): AccessRoute {
  return {
    method: 'GET',
    paths: [COLLECTION],
    access: 'read',
    schema: {
      operationId: 'listUsers',
      summary: 'List MQTT users',
      params: { type: 'object', properties: { id: ID } },
      querystring: ACCESS_PAGE_QUERY,
      response: answers({ 200: { description: 'A page', $ref: 'UserPage#' } }, 400, 401, 403, 404, 503),
    },
    handle: async ({ params, query }) => {
      requireAuthenticator(params.id);
      return pageOf(granted(access.users()), query, userView);
    },
  };
}

function createUser({ access, logger }: UserRoutesOptions): AccessRoute {
  return {
    method: 'POST',
    paths: [COLLECTION],
    access: 'write',
    schema: {
      operationId: 'createUser',
      summary: 'Add an MQTT user',
      description: 'Gateways with `auth.database` let it in from now on, on every node.',
      params: { type: 'object', properties: { id: ID } },
      body: objectSchema(FIELDS, ['user_id', 'password'], { example: { user_id: 'ann', password: 'lovelace' } }),
      response: answers({ 201: { description: 'The user', $ref: 'User#' } }, 400, 401, 403, 404, 409, 503),
    },
    handle: async ({ params, body, identity }, reply) => {
      requireAuthenticator(params.id);
      const {
        user_id: username,
        password,
        is_superuser: isSuperuser = false,
      } = readBody(FIELDS, ['user_id', 'password'], body);
      const user = granted(await access.addUser({ username: nameOf(username), isSuperuser }, passwordOf(password)));
      logger.info({ user: username, isSuperuser, apiKey: identity?.key }, 'MQTT user added');
      reply.code(201);
      return userView(user);
    },
  };
}

function getUser({ access }: UserRoutesOptions): AccessRoute {
  return {
    method: 'GET',
    paths: [ONE],
    access: 'read',
    schema: {
      operationId: 'getUser',
      summary: 'Read an MQTT user',
      params: { type: 'object', properties: { id: ID, user_id: USER_ID } },
      response: answers({ 200: { description: 'The user', $ref: 'User#' } }, 401, 403, 404, 503),
    },
    handle: async ({ params }) => {
      requireAuthenticator(params.id);
      return userView(granted(access.user(params.user_id ?? '')));
    },
  };
}

function updateUser({ access, logger }: UserRoutesOptions): AccessRoute {
  return {
    method: 'PUT',
    paths: [ONE],
    access: 'write',
    schema: {
      operationId: 'updateUser',
      summary: 'Change an MQTT user',
      description:
        'What is left out stays. Connections that are open go on, without the rights of a superuser where they are taken away.',
      params: { type: 'object', properties: { id: ID, user_id: USER_ID } },
      body: objectSchema(CHANGE_FIELDS, [], { example: { password: 'lovelace', is_superuser: false } }),
      response: answers({ 200: { description: 'The user', $ref: 'User#' } }, 400, 401, 403, 404, 503),
    },
    handle: async ({ params, body, identity }) => {
      requireAuthenticator(params.id);
      const { password, is_superuser: isSuperuser } = readBody(CHANGE_FIELDS, [], body);
      const change = {
        ...(password === undefined ? {} : { password: passwordOf(password) }),
        ...(isSuperuser === undefined ? {} : { isSuperuser }),
      };
      const user = granted(await access.changeUser(params.user_id ?? '', change));
      logger.info({ user: user.username, apiKey: identity?.key }, 'MQTT user changed');
      return userView(user);
    },
  };
}

function deleteUser({ access, logger }: UserRoutesOptions): AccessRoute {
  return {
    method: 'DELETE',
    paths: [ONE],
    access: 'write',
    schema: {
      operationId: 'deleteUser',
      summary: 'Remove an MQTT user',
      description: 'Its connections end.',
      params: { type: 'object', properties: { id: ID, user_id: USER_ID } },
      response: answers({ 204: { description: 'Removed', type: 'null' } }, 401, 403, 404, 503),
    },
    handle: async ({ params, identity }, reply) => {
      requireAuthenticator(params.id);
      granted(await access.removeUser(params.user_id ?? ''));
      logger.info({ user: params.user_id, apiKey: identity?.key }, 'MQTT user removed');
      return reply.code(204).send();
    },
  };
}

function userView({ username, isSuperuser }: AccessUser): Record<string, unknown> {
  return { user_id: username, is_superuser: isSuperuser };
}

function requireAuthenticator(id: string | undefined): void {
  if (id === AUTHENTICATOR) return;
  throw badRequest(`There is no authenticator of that name with users of its own`, `It is called ${AUTHENTICATOR}`);
}

/** No client can say it otherwise: MQTT carries no NUL. */
function nameOf(username: string): string {
  if (username.includes('\0')) throw badRequest('"user_id" must not hold NUL');
  return username;
}

function passwordOf(password: string): string {
  if (password.endsWith('\0')) throw badRequest('"password" must not end in NUL');
  return password;
}
