import type { Clock } from '@sluice/common/clock';
import { addressOf } from '@sluice/common/ip-address';
import type { Logger } from '@sluice/common/logger';
import {
  type AccessBan,
  type AccessManagement,
  BANNED_AS,
  type BannedAs,
} from '@sluice/rpc/contract/access-management';
import type { FastifyInstance } from 'fastify';
import { badRequest } from '../api-error.ts';
import { accept, type Field, objectSchema, reject, show } from '../field/field.ts';
import { choiceField, textField } from '../field/scalar-fields.ts';
import { granted } from '../outcome.ts';
import { answers } from '../route.ts';
import { ACCESS_PAGE_QUERY, addAccessRoute, pageOf, pageSchema, readBody } from './access-answers.ts';

const COLLECTION = '/api/v5/banned';
const FOREVER = 'infinity';

const FIELDS = {
  as: choiceField(BANNED_AS, { description: 'What is banned: a client id, a user name, or an IP address.' }),
  who: textField({ description: 'The client id, user name or address.', charactersMax: 1_024, example: 'lamp-7' }),
  by: textField({ description: 'Who did it.', charactersMax: 256 }),
  reason: textField({ description: 'Why.', charactersMax: 1_024 }),
  at: timeField('Since when, RFC 3339; now by default.'),
  until: timeField(`Until when, RFC 3339, or \`${FOREVER}\`, which is the default.`),
};

export const BAN_SCHEMA = {
  $id: 'Ban',
  title: 'Somebody who may not connect',
  type: 'object',
  required: ['as', 'who', 'by', 'reason', 'at', 'until'],
  additionalProperties: false,
  properties: {
    as: FIELDS.as.schema,
    who: { type: 'string' },
    by: { type: 'string' },
    reason: { type: 'string' },
    at: { type: 'string', description: 'RFC 3339.' },
    until: { type: 'string', description: `RFC 3339, or \`${FOREVER}\`.` },
  },
};
export const BAN_PAGE_SCHEMA = pageSchema('BanPage', 'A page of bans', 'Ban');

/** Who may not connect, under EMQX's paths: a client, a user or an address, for a while or for good. */
export function addBanRoutes(
  app: FastifyInstance,
  { access, logger, clock }: { access: AccessManagement; logger: Logger; clock: Clock },
): void {
  addAccessRoute(app, {
    method: 'GET',
    paths: [COLLECTION],
    access: 'read',
    schema: {
      operationId: 'listBans',
      summary: 'List who is banned',
      querystring: ACCESS_PAGE_QUERY,
      response: answers({ 200: { description: 'A page', $ref: 'BanPage#' } }, 400, 401, 403, 503),
    },
    handle: async ({ query }) => pageOf(granted(access.bans()), query, banView),
  });

  addAccessRoute(app, {
    method: 'POST',
    paths: [COLLECTION],
    access: 'write',
    schema: {
      operationId: 'createBan',
      summary: 'Ban a client, a user or an address',
      description: 'Its connections end, on every node; a ban of the same replaces the earlier one.',
      body: objectSchema(FIELDS, ['as', 'who'], { example: { as: 'clientid', who: 'lamp-7', reason: 'flickers' } }),
      response: answers({ 200: { description: 'The ban', $ref: 'Ban#' } }, 400, 401, 403, 503),
    },
    handle: async ({ body, identity }) => {
      const read = readBody(FIELDS, ['as', 'who'], body);
      const { as, who: written, by = identity?.key ?? '', reason = '', at = clock.nowMs(), until = 0 } = read;
      if (until !== 0 && until <= clock.nowMs()) throw badRequest('"until" must be in the future');
      const who = as === 'peerhost' ? addressOf(written) : written;
      if (who === undefined) throw badRequest(`"who" must be an IP address, not ${show(written)}`);
      const ban = granted(await access.ban({ as, who, by, reason, atMs: at, untilMs: until }));
      logger.info({ as, who, until: untilText(until), apiKey: identity?.key }, 'banned');
      return banView(ban);
    },
  });

  addAccessRoute(app, {
    method: 'DELETE',
    paths: [`${COLLECTION}/:as/:who`],
    access: 'write',
    schema: {
      operationId: 'deleteBan',
      summary: 'End a ban',
      params: {
        type: 'object',
        properties: {
          as: { type: 'string', description: `One of ${BANNED_AS.join(', ')}.` },
          who: { type: 'string', description: 'URL-encoded.' },
        },
      },
      response: answers({ 204: { description: 'Ended', type: 'null' } }, 400, 401, 403, 404, 503),
    },
    handle: async ({ params: { as = '', who = '' }, identity }, reply) => {
      if (!isBannedAs(as)) throw badRequest(`Bans are of ${BANNED_AS.join(', ')}, not of ${show(as)}`);
      const known = as === 'peerhost' ? (addressOf(who) ?? who) : who;
      const ended = await access.unban(as, known);
      // Earlier releases kept what was written.
      granted(ended.ok || known === who ? ended : await access.unban(as, who));
      logger.info({ as, who, apiKey: identity?.key }, 'ban ended');
      return reply.code(204).send();
    },
  });
}

function banView({ as, who, by, reason, atMs, untilMs }: AccessBan): Record<string, unknown> {
  return { as, who, by, reason, at: new Date(atMs).toISOString(), until: untilText(untilMs) };
}

function untilText(untilMs: number): string {
  return untilMs === 0 ? FOREVER : new Date(untilMs).toISOString();
}

function isBannedAs(text: string): text is BannedAs {
  return BANNED_AS.includes(text as BannedAs);
}

/** Milliseconds inside, 0 for ever. EMQX's console sends seconds as a number. */
function timeField(description: string): Field<number> {
  return {
    schema: { description, oneOf: [{ type: 'string' }, { type: 'integer', description: 'Seconds since 1970.' }] },
    read: (value) => {
      if (value === FOREVER) return accept(0);
      const ms = typeof value === 'number' ? value * 1000 : typeof value === 'string' ? Date.parse(value) : Number.NaN;
      if (Number.isSafeInteger(ms) && ms > 0 && ms < TIME_MS_MAX) return accept(ms);
      return reject(`must be a time such as "2030-01-31T12:00:00Z", not ${show(value)}`);
    },
  };
}

/** The last one that a date can hold. */
const TIME_MS_MAX = 8.64e15;
