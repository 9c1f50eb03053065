import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

describe('$SYS', () => {
  test('is shown to a new subscription, as retained messages are, and said again every interval', async () => {
    const client = await wire().client();
    await client.subscribe('$SYS/broker/uptime', { qos: 0 });
    const first = await client.held();
    expect(first).toMatchObject({ topic: '$SYS/broker/uptime', qos: 0, retain: true });
    expect(first.payload).toMatch(/^\d+ seconds$/);
    const seconds = ({ payload }: { payload: string }): number => Number.parseInt(payload, 10);
    let later = await client.held();
    while (seconds(later) === seconds(first)) later = await client.held();
    expect(later).toMatchObject({ topic: '$SYS/broker/uptime', retain: false });
    expect(seconds(later)).toBeGreaterThan(seconds(first));
  });

  test('has the names of mosquitto and of EMQX', async () => {
    const client = await wire().client();
    await client.subscribe('$SYS/#', { qos: 0 });
    const said = new Map<string, string>();
    for (const packet of await client.settled(client)) {
      if (packet.type === PacketType.PUBLISH) said.set(packet.topic, Buffer.from(packet.payload).toString());
    }
    expect(said.get('$SYS/broker/version')).toMatch(/^sluice version \d+\.\d+\.\d+/);
    expect(Number(said.get('$SYS/broker/clients/connected'))).toBeGreaterThan(0);
    expect(Number(said.get('$SYS/broker/bytes/received'))).toBeGreaterThan(0);
    const nodes = said.get('$SYS/brokers')?.split(',') ?? [];
    expect(nodes.length).toBeGreaterThan(0);
    const [node] = nodes.filter((name) => said.has(`$SYS/brokers/${name}/version`));
    for (const name of ['sysdescr', 'uptime', 'datetime', 'stats/connections/count', 'metrics/messages/received']) {
      expect([name, said.get(`$SYS/brokers/${node}/${name}`)]).toEqual([name, expect.stringMatching(/./)]);
    }
  });

  test('every node says its own, to subscribers of every gateway', async () => {
    const client = await wire().client();
    await client.subscribe('$SYS/brokers', { qos: 0 });
    const nodes = (await client.held()).payload.split(',');
    await client.unsubscribe('$SYS/brokers');
    await client.subscribe('$SYS/brokers/+/uptime', { qos: 0, retainHandling: 2 });
    const heard = new Set<string>();
    while (heard.size < nodes.length) heard.add((await client.held()).topic);
    expect([...heard].sort()).toEqual(nodes.map((name) => `$SYS/brokers/${name}/uptime`).sort());
  });

  test('is not matched by wildcards at the beginning, and not written by clients', async () => {
    const [client, witness] = [await wire().client(), await wire().client()];
    await client.subscribe(['#', '+/broker/uptime'], { qos: 0, retainHandling: 2 });
    await witness.subscribe('$SYS/broker/uptime', { qos: 0, retainHandling: 2 });
    // It was said meanwhile.
    await witness.held();
    const seen = (await client.settled(client)).filter(
      (packet) => 'topic' in packet && packet.topic.startsWith('$SYS'),
    );
    expect(seen).toEqual([]);
    expect(await client.publish('$SYS/broker/uptime', 'mine', { qos: 1 })).toBe(0x87);
    expect(await client.publish('$SYS', 'mine', { qos: 2 })).toBe(0x87);
  });
});
