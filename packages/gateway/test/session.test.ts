import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { passwordsOf } from './doubles/passwords.ts';
import { collect, type Received, TestGateway, until } from './doubles/test-gateway.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await TestGateway.start();
});
afterEach(() => gateway.stop());

describe('take-over', () => {
  test('the older connection is told and closed; a clean start begins anew', async () => {
    const first = await gateway.raw();
    await first.hello('x');
    const second = await gateway.raw();
    expect(await second.hello('x')).toMatchObject({ sessionPresent: false });
    expect(await first.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8e });
    await first.untilClosed();
    expect([...gateway.gateway.connections()].length).toBe(1);
  });

  test.each([4, 5] as const)('without a clean start the session goes on, MQTT %d', async (protocolVersion) => {
    const first = await gateway.connect({ clientId: 'x', clean: true, protocolVersion });
    await first.subscribeAsync(['t/#', '$share/g/s'], { qos: 1 });
    const second = await gateway.raw();
    expect(await second.hello('x', { cleanStart: false, protocolVersion })).toMatchObject({ sessionPresent: true });
    const publisher = await gateway.connect();
    await publisher.publishAsync('t/1', 'live', { qos: 1 });
    expect(await second.next()).toMatchObject({ topic: 't/1' });
    await publisher.publishAsync('s', 'shared', { qos: 1 });
    expect(await second.next()).toMatchObject({ topic: 's' });
    expect(gateway.gateway.counts()).toMatchObject({ sessions: 2, liveSubscriptions: 2 });
  });

  test('a session that is over is not found again', async () => {
    const first = await gateway.raw();
    await first.hello('x', { cleanStart: false, properties: { sessionExpiryIntervalS: 100 } });
    first.destroy();
    await until(
      () => gateway.gateway.counts().sessions,
      (n) => n === 0,
    );
    const second = await gateway.raw();
    const connack = await second.hello('x', { cleanStart: false, properties: { sessionExpiryIntervalS: 100 } });
    expect(connack).toMatchObject({ sessionPresent: false, properties: { sessionExpiryIntervalS: 0 } });
  });

  test('a storm of take-overs leaves one connection', async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => gateway.raw()));
    for (const client of clients) void client.hello('x').catch(() => {});
    await until(
      () => gateway.counter('connects_total', { result: 'success' }),
      (n) => n === 50,
    );
    await until(
      () => gateway.gateway.counts().connections,
      (n) => n === 1,
    );
    expect(gateway.gateway.counts().sessions).toBe(1);
  });

  test('another user does not get it', async () => {
    await gateway.stop();
    const passwords = new Map([
      ['ann', 'a'],
      ['bob', 'b'],
    ]);
    gateway = await TestGateway.start({}, passwordsOf(passwords));
    const ann = await gateway.raw();
    expect(await ann.hello('x', { username: 'ann', password: Buffer.from('a') })).toMatchObject({ reasonCode: 0 });
    const bob = await gateway.raw();
    expect(await bob.hello('x', { username: 'bob', password: Buffer.from('b') })).toMatchObject({ reasonCode: 0x87 });
    await bob.untilClosed();
    ann.send({ type: PacketType.PINGREQ });
    expect((await ann.next()).type).toBe(PacketType.PINGRESP);
    const again = await gateway.raw();
    expect(await again.hello('x', { username: 'ann', password: Buffer.from('a') })).toMatchObject({ reasonCode: 0 });
  });
});

describe('wills', () => {
  let seen: Received[];
  beforeEach(async () => {
    const watcher = await gateway.connect();
    seen = collect(watcher);
    await watcher.subscribeAsync('wills/#', { qos: 1 });
  });
  const will = { topic: 'wills/x', payload: Buffer.from('bye'), qos: 1 as const, retain: false };

  test('fire when the connection is cut, and are stored like any publish', async () => {
    gateway.durable.filters = ['wills/#'];
    const raw = await gateway.raw();
    await raw.hello('x', { will: { ...will, properties: { willDelayIntervalS: 300, userProperties: ['a', 'b'] } } });
    raw.destroy();
    await until(
      () => seen.length,
      (n) => n === 1,
    );
    expect(seen[0]?.packet.properties?.userProperties).toEqual({ a: 'b' });
    expect(gateway.durable.stored[0]?.publisher.clientId).toBe('x');
    expect(gateway.durable.stored[0]?.packet).toMatchObject({ topic: 'wills/x', qos: 1 });
  });

  test('do not fire after DISCONNECT 0x00, and do after 0x04', async () => {
    const quiet = await gateway.raw();
    await quiet.hello('quiet', { will: { ...will, topic: 'wills/quiet' } });
    quiet.send({ type: PacketType.DISCONNECT, reasonCode: 0 });
    await quiet.untilClosed();
    const loud = await gateway.raw();
    await loud.hello('loud', { will: { ...will, topic: 'wills/loud' } });
    loud.send({ type: PacketType.DISCONNECT, reasonCode: 4 });
    await until(
      () => seen.length,
      (n) => n === 1,
    );
    expect(seen[0]?.topic).toBe('wills/loud');
  });
});

describe('keep-alive', () => {
  test('a silent client is told and closed, one that pings is not', async () => {
    const silent = await gateway.raw();
    await silent.hello('silent', { keepAliveS: 100 });
    const lively = await gateway.raw();
    await lively.hello('lively', { keepAliveS: 100 });
    const never = await gateway.raw();
    await never.hello('never', { keepAliveS: 0 });
    gateway.clock.shiftMs += 140_000;
    lively.send({ type: PacketType.PINGREQ });
    await lively.next();
    expect(silent.closed).toBe(false);
    gateway.clock.shiftMs += 20_000;
    expect(await silent.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8d });
    await silent.untilClosed();
    gateway.clock.shiftMs += 60_000;
    lively.send({ type: PacketType.PINGREQ });
    expect((await lively.next()).type).toBe(PacketType.PINGRESP);
    never.send({ type: PacketType.PINGREQ });
    expect((await never.next()).type).toBe(PacketType.PINGRESP);
  });

  test('an unfinished CONNECT is cut after its deadline, and so is nothing at all', async () => {
    const partial = await gateway.raw();
    partial.write(0x10, 0x20, 0x00, 0x04);
    const mute = await gateway.raw();
    await until(
      () => gateway.gateway.counts().connections,
      (n) => n === 2,
    );
    gateway.clock.shiftMs += 11_000;
    await Promise.all([partial.untilClosed(), mute.untilClosed()]);
    expect(partial.packets).toEqual([]);
  });

  test('a client that never closes its side is cut after the linger', async () => {
    const raw = await gateway.raw();
    raw.socket.allowHalfOpen = true;
    await raw.hello('x');
    raw.send({ type: PacketType.DISCONNECT, reasonCode: 0 });
    await until(
      () => gateway.gateway.counts().sessions,
      (n) => n === 0,
    );
    gateway.clock.shiftMs += 6_000;
    await until(
      () => gateway.gateway.counts().connections,
      (n) => n === 0,
    );
  });
});

describe('authentication', () => {
  const password = passwordsOf(new Map([['ann', 'secret']]));
  beforeEach(async () => {
    await gateway.stop();
    gateway = await TestGateway.start({}, password);
  });

  test.each([
    ['the right password', 'ann', 'secret', 0],
    ['a wrong one', 'ann', 'guess', 0x86],
    ['an unknown user', 'bob', 'secret', 0x86],
    ['a user name alone', 'ann', undefined, 0x86],
    ['an empty password', 'ann', '', 0x86],
    ['a password alone', undefined, 'secret', 0x86],
    ['nothing', undefined, undefined, 0x86],
    ['empty strings', '', '', 0x86],
    ['a password that begins right', 'ann', 'secret\u0000', 0x86],
    ['a name that is special elsewhere', '__proto__', 'x', 0x86],
  ] as const)('%s', async (_name, username, text, reasonCode) => {
    const raw = await gateway.raw();
    const bytes = text === undefined ? undefined : Buffer.from(text);
    expect(await raw.hello('x', { username, password: bytes })).toMatchObject({ reasonCode });
  });

  test('MQTT 3.1.1 is refused in its own words', async () => {
    const raw = await gateway.raw();
    const connack = await raw.hello('x', { protocolVersion: 4, username: 'ann', password: Buffer.from('no') });
    expect(connack).toMatchObject({ type: PacketType.CONNACK, reasonCode: 4 });
    await raw.untilClosed();
  });

  test('an authenticator that takes its time: packets wait; one that fails lets nobody in', async () => {
    await gateway.stop();
    let answer: (() => void) | undefined;
    gateway = await TestGateway.start(
      {},
      {
        method: 'slow',
        authenticate: (request) =>
          request.username === 'broken'
            ? Promise.reject(new Error('no connection to the directory'))
            : new Promise((resolve) => {
                answer = () => resolve({ reasonCode: 0, identity: request.username });
              }),
      },
    );
    const raw = await gateway.raw();
    const connack = raw.hello('x', { username: 'ann' });
    raw.send({ type: PacketType.PINGREQ });
    (await until(() => answer))?.();
    expect(await connack).toMatchObject({ reasonCode: 0 });
    expect((await raw.next()).type).toBe(PacketType.PINGRESP);
    const undecided = await gateway.raw();
    // One that says why would be the end for clients that never come again after a CONNACK that refuses.
    await expect(undecided.hello('y', { username: 'broken' })).rejects.toThrow('closed without another packet');
    expect(gateway.metrics.counter('sluice_gateway_connects_total', '', { result: 'server_unavailable' }).value).toBe(
      1,
    );
  });
});

describe('closing', () => {
  test('waits for publishes under way, tells MQTT 5 clients, and lets nobody in', async () => {
    gateway.durable.filters = ['jobs'];
    const v5 = await gateway.raw();
    await v5.hello('five');
    const v4 = await gateway.raw();
    await v4.hello('four', { protocolVersion: 4 });
    const payload = new Uint8Array(1);
    v5.send({ type: PacketType.PUBLISH, topic: 'jobs', payload, qos: 1, retain: false, dup: false, packetId: 1 });
    await until(
      () => gateway.durable.stored.length,
      (n) => n === 1,
    );
    const closed = gateway.gateway.close({ drainMs: 5_000 });
    await expect(gateway.raw()).rejects.toThrow();
    expect(v5.closed).toBe(false);
    gateway.durable.stored[0]?.pending.complete(0);
    expect(await v5.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 1 });
    expect(await v5.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8b });
    await closed;
    await Promise.all([v5.untilClosed(), v4.untilClosed()]);
    expect(v4.packets).toEqual([]);
    expect(gateway.gateway.counts()).toMatchObject({ connections: 0, sessions: 0 });
  });

  test('does not wait for ever', async () => {
    gateway.durable.filters = ['jobs'];
    const raw = await gateway.raw();
    await raw.hello('x');
    const payload = new Uint8Array(1);
    raw.send({ type: PacketType.PUBLISH, topic: 'jobs', payload, qos: 1, retain: false, dup: false, packetId: 1 });
    await until(
      () => gateway.durable.stored.length,
      (n) => n === 1,
    );
    await gateway.gateway.close({ drainMs: 50 });
    expect(await raw.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8b });
  });
});

test('a full gateway hangs up, and says so once until it has room again', async () => {
  await gateway.stop();
  gateway = await TestGateway.start({ connectionsMax: 2 });
  const first = await gateway.raw();
  await first.hello('a');
  const second = await gateway.raw();
  await second.hello('b');
  const third = await gateway.raw();
  await third.untilClosed();
  await (await gateway.raw()).untilClosed();
  expect(gateway.counter('connections_refused_total')).toBe(2);
  expect(gateway.warnings.filter((line) => /as many MQTT connections as it may/.test(line))).toHaveLength(1);
  first.destroy();
  await until(
    () => gateway.gateway.counts().connections,
    (n) => n === 1,
  );
  const fourth = await gateway.raw();
  expect(await fourth.hello('c')).toMatchObject({ reasonCode: 0 });
  await (await gateway.raw()).untilClosed();
  expect(gateway.warnings.filter((line) => /as many MQTT connections as it may/.test(line))).toHaveLength(2);
});

test('connections describe themselves, without secrets', async () => {
  const raw = await gateway.raw();
  await raw.hello('x', { username: 'ann', password: Buffer.from('secret'), keepAliveS: 7 });
  const [summary] = [...gateway.gateway.connections()];
  expect(summary).toMatchObject({
    clientId: 'x',
    username: 'ann',
    transport: 'tcp',
    protocolVersion: 5,
    keepAliveS: 7,
  });
  expect(JSON.stringify(summary)).not.toContain('secret');
});
