// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { AccessRule } from '@sluice/meta/access/access-rule';
import { type Packet, PacketType, type SubackPacket } from '@sluice/mqtt/codec/packet';
import { AuthenticationChain } from '../src/auth/authentication-chain.ts';
import { PasswordGate } from '../src/auth/password-gate.ts';
import { type KnownUser, PasswordMethod } from '../src/auth/password-method.ts';
import { RuleAuthorizer } from '../src/auth/rule-authorizer.ts';
import type { GatewayLimits } from '../src/gateway-limits.ts';
import { passwordsOf } from './doubles/passwords.ts';
import type { RawClient } from './doubles/raw-client.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

/** Who is told what when rules refuse: in both versions, for every way of publishing and reading. */
let gateway: TestGateway;
let rules: AccessRule[];
let authorizer: RuleAuthorizer;
afterEach(() => gateway.stop());

async function start(texts: readonly string[], limits: Partial<GatewayLimits> = {}): Promise<void> {
  rules = texts.map((text) => {
    const [permission, action, topic = ''] = text.split(' ') as [
      AccessRule['permission'],
      AccessRule['action'],
      string,
    ];
    return { permission, action, topic };
  });
  authorizer = new RuleAuthorizer({ sources: [{ rulesFor: () => rules }], noMatch: 'deny' });
  const users = passwordsOf(new Map([['ann', 'a']]));
  gateway = await TestGateway.start(limits, users, undefined, authorizer);
}

async function ann(version: 4 | 5 = 5, more: object = {}): Promise<{ client: RawClient; connack: Packet }> {
  const client = await gateway.raw();
  const connack = await client.hello('c1', {
    protocolVersion: version,
    username: 'ann',
    password: Buffer.from('a'),
    ...more,
  });
  return { client, connack };
}

const publish = (topic: string, qos: 0 | 1 | 2, packetId = 1): Packet => ({
  type: PacketType.PUBLISH,
  topic,
  payload: Buffer.from('x'),
  qos,
  retain: false,
  dup: false,
  packetId: qos === 0 ? 0 : packetId,
});

async function subscribe(client: RawClient, ...filters: string[]): Promise<number[]> {
  client.send({
    type: PacketType.SUBSCRIBE,
    packetId: 9,
    subscriptions: filters.map((filter) => ({
      filter,
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    })),
  });
  return [...((await client.next()) as SubackPacket).reasonCodes];
}

describe('PUBLISH', () => {
  test('MQTT 5: PUBACK and PUBREC say 0x87, and the connection goes on', async () => {
    await start(['allow publish open']);
    const { client } = await ann();
    client.send(publish('shut', 1, 1));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0x87 });
    client.send(publish('shut', 2, 2));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBREC, reasonCode: 0x87 });
    client.send(publish('open', 1, 3));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 3, reasonCode: 0x10 });
    expect(gateway.counter('denied_total', { action: 'publish' })).toBe(2);
  });

  test('where it cannot be told, the connection ends', async () => {
    await start(['allow publish open']);
    const five = (await ann(5)).client;
    five.send(publish('shut', 0));
    expect(await five.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x87 });
    const four = (await ann(4)).client;
    four.send(publish('shut', 1));
    await four.untilClosed();
    expect(four.packets).toEqual([]);
  });

  test('or it is answered as if nothing had happened, when the configuration says so', async () => {
    await start(['allow publish open', 'allow subscribe #'], { denyAction: 'ignore' });
    const { client } = await ann(4);
    expect(await subscribe(client, 'shut')).toEqual([1]);
    client.send(publish('shut', 0));
    client.send(publish('shut', 1, 5));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 5 });
    client.send({ type: PacketType.PINGREQ });
    expect(await client.next()).toMatchObject({ type: PacketType.PINGRESP });
  });
});

describe('SUBSCRIBE', () => {
  const FILTERS = [
    'jobs',
    '$share/g/jobs',
    '$q/jobs',
    '$queue/n/jobs',
    '$queue/known',
    '#',
    'other',
    '$share/g/#',
    '$q/#',
  ];

  test('each filter has its own answer, and a rule on a topic governs every way to read it', async () => {
    await start(['allow subscribe jobs']);
    gateway.queues.filters.set('known', 'jobs');
    const granted = [1, 1, 1, 1, 1];
    expect(await subscribe((await ann()).client, ...FILTERS)).toEqual([...granted, 0x87, 0x87, 0x87, 0x87]);
    expect(await subscribe((await ann(4)).client, ...FILTERS)).toEqual([...granted, 0x80, 0x80, 0x80, 0x80]);
  });

  test('a denial on a topic governs them, too', async () => {
    await start(['deny subscribe jobs', 'allow subscribe #']);
    gateway.queues.filters.set('known', 'jobs');
    expect(await subscribe((await ann()).client, ...FILTERS)).toEqual([
      0x87, 0x87, 0x87, 0x87, 0x87, 0x87, 1, 0x87, 0x87,
    ]);
  });

  test('to consume may be all that is allowed', async () => {
    await start(['allow consume jobs']);
    expect(await subscribe((await ann()).client, 'jobs', '$share/g/jobs', '$q/jobs', '$queue/n/jobs')).toEqual([
      0x87, 0x87, 1, 1,
    ]);
  });
});

test('a SUBSCRIBE that is refused leaves the subscription that was there as it was', async () => {
  await start([]);
  rules = [{ permission: 'allow', action: 'all', topic: '#', qos: [0, 1] }];
  authorizer.changed();
  const { client } = await ann();
  const ask = async (qos: 1 | 2, identifier: number): Promise<readonly number[]> => {
    client.send({
      type: PacketType.SUBSCRIBE,
      packetId: 9,
      subscriptions: [{ filter: 'a', qos, noLocal: qos === 2, retainAsPublished: false, retainHandling: 2 }],
      properties: { subscriptionIdentifiers: [identifier] },
    });
    return ((await client.next()) as SubackPacket).reasonCodes;
  };
  expect(await ask(1, 5)).toEqual([1]);
  expect(await ask(2, 6)).toEqual([0x87]);
  // It was judged by what had been refused, and ended here.
  authorizer.changed();
  client.send(publish('a', 1));
  const delivered = [await client.next(), await client.next()].find(({ type }) => type === PacketType.PUBLISH);
  expect(delivered).toMatchObject({ qos: 1, properties: { subscriptionIdentifiers: [5] } });
});

describe('a will', () => {
  const will = { topic: 'last', payload: Buffer.from('words'), qos: 0 as const, retain: false };

  test('into a topic its client may not publish to refuses the CONNECT', async () => {
    await start(['allow publish open']);
    expect((await ann(5, { will })).connack).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0x87 });
    expect((await ann(4, { will })).connack).toMatchObject({ type: PacketType.CONNACK, reasonCode: 5 });
  });

  test('is not published when that is not allowed any more', async () => {
    await start(['allow publish last', 'allow subscribe #']);
    const { client } = await ann(5, { will });
    rules.splice(0, 1);
    authorizer.changed();
    client.destroy();
    await until(() => gateway.counter('denied_total', { action: 'will' }) === 1);
  });
});

describe('after a change', () => {
  test('subscriptions that are not allowed any more end, the others go on', async () => {
    await start(['allow all #']);
    const { client } = await ann();
    await subscribe(client, 'a', 'b', '$q/a', '$queue/n');
    rules.splice(
      0,
      1,
      { permission: 'deny', action: 'all', topic: 'a' },
      { permission: 'allow', action: 'all', topic: '#' },
    );
    authorizer.changed();
    expect(gateway.counter('denied_total', { action: 'subscription' })).toBe(2);
    expect(gateway.gateway.counts().liveSubscriptions).toBe(1);
    expect(gateway.queues.attachments.map(({ detached }) => detached)).toEqual([true, false]);
    client.send(publish('b', 0));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBLISH, topic: 'b' });
  });
});

test('who is no superuser any more has the rights of everybody else at once, and what it subscribed to beyond them ends', async () => {
  let user: KnownUser = { hash: undefined, plainSum: undefined, isSuperuser: true };
  const gate = new PasswordGate();
  const source = { hasHashes: false, find: () => ({ ...user, plainSum: gate.sum(Buffer.from('a')) }) };
  const chain = new AuthenticationChain([new PasswordMethod('database', source, gate)], { anonymous: false });
  rules = [{ permission: 'allow', action: 'all', topic: 'mine' }];
  authorizer = new RuleAuthorizer({ sources: [{ rulesFor: () => rules }], noMatch: 'deny' });
  gateway = await TestGateway.start({}, chain, undefined, authorizer);
  const { client } = await ann();
  expect(await subscribe(client, '#', 'mine')).toEqual([1, 1]);
  user = { isSuperuser: false };
  authorizer.changed();
  await until(() => gateway.gateway.counts().liveSubscriptions === 1);
  client.send(publish('others', 1));
  expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0x87 });
  client.send(publish('mine', 0));
  expect(await client.next()).toMatchObject({ type: PacketType.PUBLISH, topic: 'mine' });
});

test('a token that stands in the user name is told to nobody: its client is called what the token proves', async () => {
  const admitted = { reasonCode: 0, identity: 'ann', username: 'ann', method: 'jwt' };
  gateway = await TestGateway.start({}, { method: 'jwt', authenticate: () => admitted });
  const client = await gateway.raw();
  await client.hello('c1', { username: 'eyJhbGciOi.eyJzdWIi.c2VjcmV0' });
  expect([...gateway.gateway.connections()].map(({ username }) => username)).toEqual(['ann']);
});

test('a user name that nobody has checked has no rights', async () => {
  rules = [{ permission: 'allow', action: 'all', topic: 'home/${username}' }];
  authorizer = new RuleAuthorizer({ sources: [{ rulesFor: () => rules }], noMatch: 'deny' });
  gateway = await TestGateway.start({}, passwordsOf(new Map(), { anonymous: true }), undefined, authorizer);
  const { client } = await ann();
  client.send(publish('home/ann', 1));
  expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0x87 });
});
