// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { type ApiFixture, createFixture, NOW_MS } from '../api-fixture.ts';
import { MemoryAccessManagement } from '../memory-access-management.ts';

const USERS = '/api/v5/authentication/password_based%3Abuilt_in_database/users';
const RULES = '/api/v5/authorization/sources/built_in_database/rules';
const BANNED = '/api/v5/banned';

let access: MemoryAccessManagement;
let call: ApiFixture['call'];
beforeEach(() => {
  access = new MemoryAccessManagement();
  call = createFixture({ access }).call;
});

describe('the name that rules are for', () => {
  it.each(['users', 'clients'])('of %s is judged alike in a body and in a path', async (kind) => {
    const field = kind === 'users' ? 'username' : 'clientid';
    for (const name of ['a'.repeat(1_024), 'a'.repeat(1_025)]) {
      const added = await call('POST', `${RULES}/${kind}`, [{ [field]: name, rules: [] }]);
      const put = await call('PUT', `${RULES}/${kind}/${encodeURIComponent(name)}`, { [field]: name, rules: [] });
      expect(put.status).toBe(added.status);
      expect(put.status).toBe(name.length === 1_024 ? 204 : 400);
    }
  });
});

describe('users', () => {
  it('are added, read, changed and removed as in EMQX', async () => {
    const created = await call('POST', USERS, { user_id: 'ann', password: 'lovelace', is_superuser: true });
    expect([created.status, created.body]).toEqual([201, { user_id: 'ann', is_superuser: true }]);
    expect((await call('POST', USERS, { user_id: 'ann', password: 'x' })).status).toBe(409);
    await call('POST', USERS, { user_id: 'a/b:c', password: 'x' });
    expect((await call('GET', `${USERS}?limit=1`)).body).toEqual({
      data: [{ user_id: 'ann', is_superuser: true }],
      meta: { page: 1, limit: 1, count: 2, hasnext: true },
    });
    expect((await call('GET', `${USERS}?limit=1&page=2`)).body.data).toEqual([
      { user_id: 'a/b:c', is_superuser: false },
    ]);
    expect((await call('PUT', `${USERS}/ann`, { password: 'new' })).body).toEqual({
      user_id: 'ann',
      is_superuser: true,
    });
    expect(access.passwords.get('ann')).toBe('new');
    expect((await call('GET', `${USERS}/a%2Fb%3Ac`)).status).toBe(200);
    expect((await call('DELETE', `${USERS}/ann`)).status).toBe(204);
    expect((await call('GET', `${USERS}/ann`)).body).toMatchObject({ code: 'NOT_FOUND', message: 'User not found' });
  });

  it.each([
    [{ password: 'x' }, /"user_id" must be given/],
    [{ user_id: 'ann' }, /"password" must be given/],
    [{ user_id: 'ann', password: '' }, /"password" must not be empty/],
    [{ user_id: 'ann', password: 'x', is_superuser: 'yes' }, /"is_superuser" must be true or false/],
    [{ user_id: 'a\0', password: 'x' }, /must not hold NUL/],
    [{ user_id: 'ann', password: 'x\0' }, /must not end in NUL/],
    [{ user_id: 'ann', password: 'x', role: 'admin' }, /"role" is not a known field/],
    [[], /must be a JSON object/],
  ])('%j is refused', async (body, message) => {
    const answer = await call('POST', USERS, body);
    expect([answer.status, answer.body.message]).toEqual([400, expect.stringMatching(message)]);
    expect(JSON.stringify(answer.body)).not.toContain('"x');
  });

  it('live in one authenticator', async () => {
    expect((await call('GET', '/api/v5/authentication/jwt/users')).status).toBe(400);
  });
});

describe('rules', () => {
  const rule = { topic: 'home/${username}/#', permission: 'allow', action: 'publish', qos: [0, 1], retain: 'all' };

  it('are kept by user, by client id and for all', async () => {
    expect((await call('POST', `${RULES}/users`, [{ username: 'ann', rules: [rule] }])).status).toBe(204);
    expect((await call('POST', `${RULES}/users`, [{ username: 'ann', rules: [] }])).status).toBe(409);
    expect((await call('GET', `${RULES}/users/ann`)).body).toEqual({ username: 'ann', rules: [rule] });
    await call('PUT', `${RULES}/clients/lamp`, { clientid: 'lamp', rules: [{ ...rule, qos: ['2'], retain: 'true' }] });
    expect((await call('GET', `${RULES}/clients`)).body.data).toEqual([
      { clientid: 'lamp', rules: [{ ...rule, qos: [2], retain: true }] },
    ]);
    expect((await call('GET', `${RULES}/all`)).body).toEqual({ rules: [] });
    await call('POST', `${RULES}/all`, { rules: [{ topic: 'eq #', permission: 'deny', action: 'consume' }] });
    expect((await call('GET', `${RULES}/all`)).body).toEqual({
      rules: [{ topic: 'eq #', permission: 'deny', action: 'consume', qos: [0, 1, 2], retain: 'all' }],
    });
    for (const path of ['users/ann', 'clients/lamp', 'all']) {
      expect((await call('DELETE', `${RULES}/${path}`)).status).toBe(204);
      expect((await call('DELETE', `${RULES}/${path}`)).status).toBe(404);
    }
  });

  it.each([
    [[{ ...rule, topic: 'a/#/b' }], /"rules.0.topic" is not a topic filter/],
    [[rule, { ...rule, topic: '$q/jobs' }], /"rules.1.topic" names a way of reading/],
    [[{ ...rule, action: 'read' }], /"rules.0.action" must be one of/],
    [[{ ...rule, qos: [3] }], /"rules.0.qos" must be a list of 0, 1 and 2/],
    [[{ topic: 'a' }], /"rules.0" needs topic, permission and action/],
    [[{ ...rule, __proto__x: 1 }], /is not a known field/],
    ['all', /"rules" must be a list/],
    [Array.from({ length: 101 }, () => rule), /has more than 100 rules/],
  ])('%j are refused', async (rules, message) => {
    const answer = await call('POST', `${RULES}/all`, { rules });
    expect([answer.status, answer.body.message]).toEqual([400, expect.stringMatching(message)]);
  });

  it('of several users are read whole or not at all', async () => {
    const lists = [{ username: 'ann', rules: [rule] }, { username: 'bob' }];
    const answer = await call('POST', `${RULES}/users`, lists);
    expect([answer.status, answer.body.message]).toEqual([400, 'Entry 2: "rules" must be given']);
    expect((await call('GET', `${RULES}/users`)).body.data).toEqual([]);
  });
});

describe('bans', () => {
  it('name a client, a user or an address, for a time or for ever', async () => {
    const made = await call('POST', BANNED, { as: 'clientid', who: 'lamp/7', reason: 'flickers' });
    const at = new Date(NOW_MS).toISOString();
    const ban = { as: 'clientid', who: 'lamp/7', by: 'anonymous', reason: 'flickers', at, until: 'infinity' };
    expect([made.status, made.body]).toEqual([200, ban]);
    const until = new Date(NOW_MS + 60_000).toISOString();
    await call('POST', BANNED, { as: 'peerhost', who: '10.0.0.1', until });
    expect((await call('GET', BANNED)).body.data).toEqual([ban, expect.objectContaining({ who: '10.0.0.1', until })]);
    expect((await call('DELETE', `${BANNED}/clientid/lamp%2F7`)).status).toBe(204);
    expect((await call('DELETE', `${BANNED}/clientid/lamp%2F7`)).status).toBe(404);
    expect((await call('DELETE', `${BANNED}/planet/mars`)).status).toBe(400);
  });

  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:0001', '10.0.0.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['fe80:0::1%eth0', 'fe80::1%eth0'],
  ])('of the address %s are of what gateways call it', async (written, who) => {
    expect((await call('POST', BANNED, { as: 'peerhost', who: written })).body).toMatchObject({ who });
    expect((await call('DELETE', `${BANNED}/peerhost/${encodeURIComponent(written)}`)).status).toBe(204);
    expect((await call('GET', BANNED)).body.data).toEqual([]);
  });

  it('of an address that was written in another way before end under that name', async () => {
    await access.ban({ as: 'peerhost', who: '2001:DB8::1', by: '', reason: '', atMs: NOW_MS, untilMs: 0 });
    expect((await call('DELETE', `${BANNED}/peerhost/2001:DB8::1`)).status).toBe(204);
  });

  it.each([
    [{ as: 'planet', who: 'x' }, /"as" must be one of/],
    [{ as: 'peerhost', who: '10.0.0.0/8' }, /"who" must be an IP address/],
    [{ as: 'peerhost', who: 'example.com' }, /"who" must be an IP address/],
    [{ as: 'clientid' }, /"who" must be given/],
    [{ as: 'clientid', who: 'x', until: 'tomorrow' }, /"until" must be a time/],
    [{ as: 'clientid', who: 'x', until: '2001-01-01T00:00:00Z' }, /must be in the future/],
  ])('%j is refused', async (body, message) => {
    const answer = await call('POST', BANNED, body);
    expect([answer.status, answer.body.message]).toEqual([400, expect.stringMatching(message)]);
  });
});

it('a key for queues alone opens none of it, and a viewer changes nothing', async () => {
  const secret = 's';
  const { call: keyed } = createFixture({
    access,
    keys: [
      { key: 'queues', secret, role: 'administrator', scopes: ['connections'] },
      { key: 'access', secret, role: 'administrator', scopes: ['access_control'] },
      { key: 'viewer', secret, role: 'viewer', scopes: null },
    ],
  });
  const as = (key: string) => ({ authorization: `Basic ${Buffer.from(`${key}:${secret}`).toString('base64')}` });
  const statuses: number[] = [];
  for (const key of ['queues', 'access', 'viewer']) {
    statuses.push((await keyed('GET', USERS, undefined, as(key))).status);
    statuses.push((await keyed('POST', BANNED, { as: 'clientid', who: key }, as(key))).status);
  }
  expect(statuses).toEqual([403, 403, 200, 200, 200, 403]);
});

it('answers are what the document says', async () => {
  const { body: document } = await call('GET', '/api/v5/openapi.json');
  const ajv = new Ajv({ strict: false, validateFormats: false });
  ajv.addSchema(document, 'api');
  await call('POST', USERS, { user_id: 'ann', password: 'x' });
  await call('POST', `${RULES}/users`, [
    { username: 'ann', rules: [{ topic: 'a', permission: 'deny', action: 'all' }] },
  ]);
  await call('POST', BANNED, { as: 'username', who: 'eve' });
  for (const [path, schema] of [
    [USERS, 'UserPage'],
    [`${USERS}/ann`, 'User'],
    [`${RULES}/users`, 'RuleListPage'],
    [`${RULES}/users/ann`, 'RuleList'],
    [BANNED, 'BanPage'],
  ] as const) {
    const validate = ajv.getSchema(`api#/components/schemas/${schema}`);
    const { body } = await call('GET', path);
    expect([path, validate?.(body), validate?.errors]).toEqual([path, true, null]);
  }
});
