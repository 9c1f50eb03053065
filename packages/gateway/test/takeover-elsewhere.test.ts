import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import type { LiveRequest, LiveResponse } from '@sluice/rpc/contract/live';
import { passwordsOf } from './doubles/passwords.ts';
import { TestCluster } from './doubles/test-cluster.ts';
import { collect, until } from './doubles/test-gateway.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start(2);
});
afterEach(() => cluster.stop());

const sessions = (nodeId: number): number => cluster.at(nodeId).gateway.counts().sessions;
const will = { topic: 'wills/x', payload: Buffer.from('bye'), qos: 1 as const, retain: false };

describe('a client that connects to another gateway', () => {
  test('is told there that its older connection is over, and its will fires', async () => {
    const watcher = await cluster.at(2).connect();
    const seen = collect(watcher);
    await watcher.subscribeAsync('wills/#', { qos: 1 });
    const first = await cluster.at(1).raw();
    await first.hello('x', { will });
    const second = await cluster.at(2).raw();
    expect(await second.hello('x')).toMatchObject({ reasonCode: 0, sessionPresent: false });
    expect(await first.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8e });
    await first.untilClosed();
    await until(
      () => seen.length,
      (n) => n === 1,
    );
    second.send({ type: PacketType.PINGREQ });
    expect((await second.next()).type).toBe(PacketType.PINGRESP);
    expect(cluster.at(1).counter('taken_over_elsewhere_total')).toBe(1);
  });

  test('with MQTT 3.1.1 it is closed there', async () => {
    const first = await cluster.at(1).raw();
    await first.hello('x', { protocolVersion: 4 });
    const second = await cluster.at(2).raw();
    await second.hello('x', { protocolVersion: 4 });
    await first.untilClosed();
    expect(first.packets).toEqual([]);
    expect([sessions(1), sessions(2)]).toEqual([0, 1]);
  });

  test('and back, and back: the last one stays', async () => {
    for (let round = 0; round < 10; round++) {
      const client = await cluster.at((round % 2) + 1).raw();
      await client.hello('x');
      await until(() => sessions(1) + sessions(2) === 1);
      client.send({ type: PacketType.PINGREQ });
      expect((await client.next()).type).toBe(PacketType.PINGRESP);
    }
  });

  test('a gateway whose clock is ahead lets an old connection go all the same', async () => {
    cluster.at(1).clock.shiftMs = 60_000;
    const first = await cluster.at(1).raw();
    await first.hello('x');
    cluster.at(1).clock.shiftMs += 3_000;
    const second = await cluster.at(2).raw();
    await second.hello('x');
    await first.untilClosed();
    expect([sessions(1), sessions(2)]).toEqual([0, 1]);
  });

  test('two at once: the newer by its stamp stays, and only that one', async () => {
    cluster.at(1).clock.shiftMs = 60_000;
    const ahead = await cluster.at(1).raw();
    await ahead.hello('x');
    const behind = await cluster.at(2).raw();
    await behind.hello('x');
    await behind.untilClosed();
    expect(ahead.closed).toBe(false);
    expect([sessions(1), sessions(2)]).toEqual([1, 0]);
  });

  test('ids that were assigned are nobody else’s: no other gateway is asked', async () => {
    const told: string[] = [];
    cluster.network.node(9).serveChannel<LiveRequest, LiveResponse>('live', (channel) => {
      channel.onMessage((message) => {
        if (message.type === 'client-connected') told.push(message.clientId);
      });
    });
    cluster.at(1).gateway.setPeers([1, 2, 9]);
    const nameless = await cluster.at(1).raw();
    await nameless.hello('');
    const named = await cluster.at(1).raw();
    await named.hello('x');
    await until(() => told.length > 0);
    expect(told).toEqual(['x']);
  });
});

test('another user’s client id closes nobody', async () => {
  await cluster.stop();
  const users = new Map([
    ['ann', 'a'],
    ['bob', 'b'],
  ]);
  cluster = await TestCluster.start(2, {}, passwordsOf(users));
  const ann = await cluster.at(1).raw();
  await ann.hello('x', { username: 'ann', password: Buffer.from('a') });
  const bob = await cluster.at(2).raw();
  await bob.hello('x', { username: 'bob', password: Buffer.from('b') });
  const again = await cluster.at(2).raw();
  await again.hello('y', { username: 'ann', password: Buffer.from('a') });
  const other = await cluster.at(1).raw();
  await other.hello('y', { username: 'ann', password: Buffer.from('a') });
  // By the same channel and later: what was said of `x` has arrived.
  await again.untilClosed();
  ann.send({ type: PacketType.PINGREQ });
  expect((await ann.next()).type).toBe(PacketType.PINGRESP);
  expect(sessions(1)).toBe(2);
});
