// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ConnectPacket, type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';
import type { RawClient } from './raw-client.ts';

/** Whoever tries to reach by a name, a prefix, an alias or an old session what the rules do not let them have. */
const NAMES = [
  '+',
  '+/#',
  'a/b',
  'ann/#',
  '.*',
  'a-z',
  '[a-z]*',
  '(a*)*$',
  '^',
  'ann|admin',
  '${username}',
  '%u',
  '$SYS',
];
const RULES = [
  '- { permission: allow, users: [admin], topics: ["#", "$SYS/#"] }',
  '- { permission: deny, topics: ["secret/#"] }',
  '- { permission: allow, topics: ["own/${username}/#", "device/${clientid}"] }',
  '- { permission: allow, topics: ["open/#"] }',
].join('\n');
const NOT_AUTHORIZED = 0x87;

let folder = '';
let broker: BrokerUnderAttack;
const as = (username: string): Partial<ConnectPacket> => ({ username, password: Buffer.from('pw') });
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-hostile-'));
  await writeFile(path('passwords'), ['admin', 'ann', ...NAMES].map((name) => `${name}:pw\n`).join(''));
  await writeFile(path('rules'), RULES);
  const settings = [`auth.passwordFile=${path('passwords')}`, `authorization.rulesFile=${path('rules')}`];
  broker = await BrokerUnderAttack.start({ flags: settings.flatMap((one) => ['--set', one]) }, as('admin'));
  await broker.createQueue({ name: 'secrets', topic_filter: 'secret/jobs' });
  await broker.createQueue({ name: 'mixed', topic_filter: '+/jobs' });
  const root = await broker.client();
  root.send(publishing('secret/kept', { qos: 1, packetId: 1, retain: true, payload: Buffer.from('planted') }));
  expect(await root.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0 });
});
afterEach(async () => {
  broker.hangUp();
  await broker.stillServes();
});
afterAll(async () => {
  await broker?.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function connect(username: string, clientId: string, more: Partial<ConnectPacket> = {}): Promise<RawClient> {
  const client = await broker.open();
  expect(await client.hello(clientId, 5, { ...as(username), ...more })).toMatchObject({ reasonCode: 0 });
  return client;
}

async function ask(client: RawClient, packet: Packet): Promise<Packet> {
  client.send(packet);
  return await client.next();
}

let packetId = 0;
async function publishCode(client: RawClient, topic: string): Promise<number> {
  packetId = (packetId % 60_000) + 1;
  const answer = await ask(client, publishing(topic, { qos: 1, packetId }));
  return answer.type === PacketType.PUBACK && answer.reasonCode !== 0x10 ? answer.reasonCode : 0;
}

async function subscribeCode(client: RawClient, filter: string): Promise<number | undefined> {
  const answer = await ask(client, subscribing([filter]));
  return answer.type === PacketType.SUBACK ? answer.reasonCodes[0] : -1;
}

describe('B20: a name that means something in a pattern is a name', () => {
  const OTHERS = ['own/ann/x', 'own/admin/x', 'own/a/b/x', 'device/ann', 'device/lamp'];

  test.each(NAMES)('the user %s reaches nobody else’s topics', async (name) => {
    const client = await connect(name, 'plain-id');
    for (const topic of OTHERS) {
      expect([topic, await publishCode(client, topic)]).toEqual([topic, NOT_AUTHORIZED]);
      expect([topic, await subscribeCode(client, topic)]).toEqual([topic, NOT_AUTHORIZED]);
    }
    for (const filter of ['own/#', 'own/+/x', 'device/+', '#']) {
      expect([filter, await subscribeCode(client, filter)]).toEqual([filter, NOT_AUTHORIZED]);
    }
  });

  test.each(NAMES)('nor does the client id %s', async (name) => {
    const client = await connect('ann', name);
    for (const topic of ['device/ann', 'device/lamp', 'device/a/b'].filter((each) => each !== `device/${name}`)) {
      expect([topic, await publishCode(client, topic)]).toEqual([topic, NOT_AUTHORIZED]);
    }
    for (const filter of ['device/+', 'device/#', '#']) {
      expect([filter, await subscribeCode(client, filter)]).toEqual([filter, NOT_AUTHORIZED]);
    }
  });

  test('one that looks like an expression has what is its own', async () => {
    for (const name of ['.*', 'a-z', '(a*)*$']) {
      const client = await connect(name, `id-of-${name}`);
      expect(await publishCode(client, `own/${name}/x`)).toBe(0);
      expect(await publishCode(client, `device/id-of-${name}`)).toBe(0);
    }
  });

  test('names, topics and filters of 65,000 bytes that would keep an expression busy are answered', async () => {
    const long = 'a'.repeat(65_000);
    const client = await connect('(a*)*$', 'long');
    expect(await publishCode(client, `own/${long}!`)).toBe(NOT_AUTHORIZED);
    expect(await subscribeCode(client, `own/${long}!`)).toBe(NOT_AUTHORIZED);
  });
});

describe('B25: no prefix and no wildcard reaches a topic that is denied', () => {
  test.each([
    'secret/kept',
    'secret/#',
    '#',
    '+/kept',
    '+/+',
    '$share/g/secret/kept',
    '$share/g/#',
    '$share/secret/+/kept',
    '$q/secret/jobs',
    '$q/+/jobs',
    '$queue/secrets',
    '$queue/secrets/secret/jobs',
    '$queue/mixed',
    '$queue/mixed/+/jobs',
    '$SYS/#',
    '$SYS/broker/uptime',
  ])('SUBSCRIBE %s', async (filter) => {
    const client = await connect('ann', 'reader');
    expect(await subscribeCode(client, filter)).toBe(NOT_AUTHORIZED);
    expect(await subscribeCode(client, 'open/#')).toBe(1);
    expect(client.packets).toEqual([]);
  });

  test.each(['$share/g/$q/secret/jobs', '$q/$share/g/secret/kept', '$queue/secrets/$q/secret/jobs'])(
    'SUBSCRIBE %s: a prefix within a prefix is no filter',
    async (filter) => {
      const client = await connect('ann', 'nested');
      client.send(subscribing([filter]));
      await client.until('an answer', () => client.closed || client.packets.length > 0);
      const answer = client.packets[0];
      expect(answer?.type === PacketType.SUBACK ? answer.reasonCodes[0] : 0x8f).toBeGreaterThanOrEqual(0x80);
    },
  );

  test.each(['secret/kept', 'secret/jobs', 'secret'])('PUBLISH to %s, and as a will', async (topic) => {
    const client = await connect('ann', 'writer');
    expect(await publishCode(client, topic)).toBe(NOT_AUTHORIZED);
    const will = { topic, payload: Buffer.from('x'), qos: 0 as const, retain: true, properties: undefined };
    const other = await broker.open();
    expect(await other.hello('heir', 5, { ...as('ann'), will: will as never })).toMatchObject({
      reasonCode: NOT_AUTHORIZED,
    });
  });
});

describe('B26: what is asked for is what is checked', () => {
  test('a topic alias is no other topic: refused where it is set, and where it is used', async () => {
    const client = await connect('ann', 'alias');
    const properties = { topicAlias: 1 };
    const publish = (topic: string, id: number): Promise<Packet> =>
      ask(client, publishing(topic, { qos: 1, packetId: id, properties }));
    expect(await publish('open/x', 1)).toMatchObject({ type: PacketType.PUBACK });
    expect(await publish('secret/kept', 2)).toMatchObject({ reasonCode: NOT_AUTHORIZED });
    expect(await publish('', 3)).toMatchObject({ reasonCode: NOT_AUTHORIZED });
    const root = await broker.client();
    expect(await ask(root, subscribing(['secret/kept'], { qos: 0 }))).toMatchObject({ reasonCodes: [0] });
    expect(await root.next()).toMatchObject({ payload: Buffer.from('planted'), retain: true });
  });

  test('a response topic is nobody’s permission: whoever answers is asked', async () => {
    const client = await connect('ann', 'asker');
    const properties = { responseTopic: 'secret/kept' };
    expect(await ask(client, publishing('open/x', { qos: 1, packetId: 1, properties }))).toMatchObject({
      type: PacketType.PUBACK,
    });
    expect(await publishCode(client, 'secret/kept')).toBe(NOT_AUTHORIZED);
  });

  test('a queue whose filter is changed after somebody subscribed to it by name', async () => {
    const name = 'turned';
    await broker.createQueue({ name, topic_filter: 'open/turned' });
    const client = await connect('ann', 'turned');
    expect(await subscribeCode(client, `$queue/${name}`)).toBe(1);
    expect((await broker.rest.delete(`/api/v5/message_queues/queues/${name}`)).status).toBe(204);
    await broker.createQueue({ name, topic_filter: 'secret/turned' });
    const root = await broker.client();
    expect(await publishCode(root, 'secret/turned')).toBe(0);
    expect(await publishCode(client, 'open/other')).toBe(0);
    expect(client.packets).toEqual([]);
    expect((await broker.rest.delete(`/api/v5/message_queues/queues/${name}`)).status).toBe(204);
  });
});

describe('B24: rights that were taken away', () => {
  const KEPT = { cleanStart: false, properties: { sessionExpiryIntervalS: 600 } };
  const readAgain = (): number => broker.server.log.split('users and rules were read again').length;

  async function rules(text: string): Promise<void> {
    const before = readAgain();
    await writeFile(path('rules'), text);
    process.kill(broker.server.pid as number, 'SIGHUP');
    await broker.until('the rules are in force', async () => readAgain() > before);
  }
  const WITHOUT = RULES.replace('topics: ["open/#"]', 'topics: ["open/left/#"]');
  beforeEach(() => rules(RULES));
  afterAll(() => rules(RULES));

  test('while subscribed: nothing more comes, live, shared, retained or from a queue', async () => {
    await broker.createQueue({ name: 'held', topic_filter: 'open/held' });
    const client = await connect('ann', 'live');
    for (const filter of ['open/live', '$share/g/open/live', '$queue/held']) {
      expect(await subscribeCode(client, filter)).toBe(1);
    }
    await rules(WITHOUT);
    const root = await broker.client();
    for (const topic of ['open/live', 'open/held']) expect(await publishCode(root, topic)).toBe(0);
    expect(await subscribeCode(client, 'open/live')).toBe(NOT_AUTHORIZED);
    expect(await publishCode(client, 'open/left/x')).toBe(0);
    expect(client.packets).toEqual([]);
    expect((await broker.rest.delete('/api/v5/message_queues/queues/held')).status).toBe(204);
  });

  test('while away: what was stored for a session is not delivered to it, and its subscription is over', async () => {
    const before = await connect('ann', 'away', KEPT);
    expect(await subscribeCode(before, 'open/away')).toBe(1);
    before.send({ type: PacketType.DISCONNECT, reasonCode: 0 });
    await before.untilClosed();
    const root = await broker.client();
    root.send(publishing('open/away', { qos: 1, packetId: 1, retain: true, payload: Buffer.from('kept') }));
    expect(await root.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0 });
    await rules(WITHOUT);
    const after = await broker.open();
    expect(await after.hello('away', 5, { ...as('ann'), ...KEPT })).toMatchObject({ reasonCode: 0 });
    // Answered behind whatever the session had for its client.
    expect(await publishCode(after, 'open/left/x')).toBe(0);
    expect(await subscribeCode(after, 'open/left/y')).toBe(1);
    expect(after.packets).toEqual([]);
    await rules(RULES);
    expect(await publishCode(root, 'open/away')).toBe(0);
    expect(await publishCode(after, 'open/left/x')).toBe(0);
    expect(after.packets).toEqual([]);
  });

  test('between the two halves of a QoS 2 publish: what was accepted is done, the next is refused', async () => {
    const client = await connect('ann', 'halves');
    client.send(publishing('open/halves', { qos: 2, packetId: 7 }));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBREC });
    await rules(WITHOUT);
    client.send({ type: PacketType.PUBREL, packetId: 7, reasonCode: 0 });
    expect(await client.next()).toMatchObject({ type: PacketType.PUBCOMP, packetId: 7, reasonCode: 0 });
    client.send(publishing('open/halves', { qos: 2, packetId: 8 }));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBREC, reasonCode: NOT_AUTHORIZED });
  });
});
