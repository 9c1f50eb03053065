import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { Departures } from '../src/departures.ts';
import { GatewayShedding } from '../src/gateway-shedding.ts';
import type { RawClient } from './doubles/raw-client.ts';
import { TestCluster } from './doubles/test-cluster.ts';
import { type TestGateway, until } from './doubles/test-gateway.ts';

let cluster: TestCluster;
let gateway: TestGateway;
beforeEach(async () => {
  cluster = await TestCluster.start(2);
  gateway = cluster.at(1);
  gateway.durable.filters = ['jobs'];
});
afterEach(async () => {
  jest.restoreAllMocks();
  await cluster.stop();
});

const REFERENCE = 'mqtt-2.example:1883';
const FAST = 10_000;

/** A name that comes twice would take the first one's place. */
let names = 0;

async function clients(count: number, protocolVersion: 4 | 5 = 5): Promise<RawClient[]> {
  const all: RawClient[] = [];
  for (let i = 0; i < count; i++) {
    const client = await gateway.raw();
    await client.hello(`c${names++}`, { protocolVersion });
    all.push(client);
  }
  return all;
}
const done = (): Promise<boolean> =>
  until(
    () => gateway.gateway.load().isShedding,
    (isShedding) => !isShedding,
  );
const here = (count: number): Promise<number> =>
  until(
    () => gateway.gateway.counts().sessions,
    (n) => n === count,
  );

describe('a gateway with too many connections', () => {
  test('sends the oldest away, tells MQTT 5 where to, and ends at the target by itself', async () => {
    const all = await clients(10);
    gateway.gateway.shed({ target: 4, perSecond: FAST, serverReference: REFERENCE });
    expect(gateway.gateway.load()).toMatchObject({ isShedding: true, target: 4 });
    await done();
    await here(4);
    for (const client of all.slice(0, 6)) {
      expect(await client.next()).toMatchObject({
        type: PacketType.DISCONNECT,
        reasonCode: 0x9c,
        properties: { serverReference: REFERENCE },
      });
    }
    expect(all.slice(6).every(({ closed }) => !closed)).toBe(true);
    expect(gateway.gateway.load()).toMatchObject({ isShedding: false, sent: 6 });
    await until(() => gateway.gateway.load().connections === 4);
  });

  test('lets clients in meanwhile; who came last goes last', async () => {
    const old = await clients(4);
    gateway.gateway.shed({ target: 3, perSecond: 1 });
    const [late] = await clients(1);
    await until(() => old.filter(({ closed }) => closed).length === 2);
    await done();
    expect(late?.closed).toBe(false);
  });

  test('goes no faster than it is told, and stops when it is told', async () => {
    await clients(6);
    const looks = jest.spyOn(Departures.prototype, 'advance').mock.calls;
    gateway.clock.stand();
    gateway.gateway.shed({ target: 1, perSecond: 25 });
    const sentBy: number[] = [];
    // Two looks later one of them has seen the time that it is.
    for (let passedMs = 0; passedMs <= 120; passedMs += 20) {
      const looked = looks.length;
      await until(() => looks.length >= looked + 2);
      sentBy.push(gateway.gateway.load().sent);
      gateway.clock.shiftMs += 20;
    }
    expect(sentBy).toEqual([0, 0, 1, 1, 2, 2, 3]);
    gateway.gateway.keep();
    const { sent } = gateway.gateway.load();
    await until(
      () => gateway.gateway.load().connections,
      (connections) => connections === 6 - sent,
    );
    expect(gateway.gateway.load()).toEqual({ connections: 6 - sent, isShedding: false, target: 6 - sent, sent });
  });

  test('answers what was accepted before it lets go, MQTT 3.1.1 too', async () => {
    const [client] = (await clients(1, 4)) as [RawClient];
    client.send({
      type: PacketType.PUBLISH,
      topic: 'jobs',
      payload: new Uint8Array(1),
      qos: 1,
      retain: false,
      dup: false,
      packetId: 1,
    });
    await until(() => gateway.durable.stored.length === 1);
    gateway.gateway.shed({ target: 0, perSecond: FAST });
    await until(() => [...gateway.gateway.connections()][0]?.readPaused === true);
    expect(client.closed).toBe(false);
    gateway.durable.stored[0]?.pending.complete(0);
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 1 });
    await client.untilClosed();
    await done();
  });

  test('ends where everybody is sent back to it', async () => {
    const open = await clients(3);
    // Slowly enough for who was sent away to be back before the target is met.
    gateway.gateway.shed({ target: 0, perSecond: 9 });
    const sendsMax = 3 * GatewayShedding.SENDS_PER_EXCESS_MAX;
    let back = 0;
    while (gateway.gateway.load().isShedding) {
      await until(() => open.some(({ closed }) => closed) || !gateway.gateway.load().isShedding);
      const gone = open.findIndex(({ closed }) => closed);
      if (gone === -1) break;
      open.splice(gone, 1, ...(await clients(1)));
      back++;
      expect(back).toBeLessThanOrEqual(sendsMax);
    }
    expect(gateway.gateway.load()).toMatchObject({ isShedding: false, sent: sendsMax });
  });

  test('does nothing while it drains, and nothing for a target that is met', async () => {
    await clients(2);
    gateway.gateway.shed({ target: 2, perSecond: FAST });
    expect(gateway.gateway.load().isShedding).toBe(false);
    void gateway.gateway.drain({ drainMs: 5_000 });
    gateway.gateway.shed({ target: 1, perSecond: FAST });
    expect(gateway.gateway.load().isShedding).toBe(false);
    await here(0);
  });
});
