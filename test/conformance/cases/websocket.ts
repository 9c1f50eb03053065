import { describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { bytesOf } from '../../../packages/mqtt/test/codec/packet-notation.ts';
import { frame, OPCODE, RawClient } from '../../hostile/raw-client.ts';
import { wire } from '../support/wire.ts';

describe('WebSocket', () => {
  test('packets in binary frames, of which one may hold several or a part (5.0: [MQTT-6.0.0-1] [MQTT-6.0.0-2]; 3.1.1: [MQTT-6.0.0-1] [MQTT-6.0.0-2])', async () => {
    const client = await wire().open(undefined, 'ws');
    client.raw.version = 5;
    const bytes = bytesOf('10 { <MQTT> 05 02 00 00 00 <> } c0 00 c0 00');
    for (const byte of bytes.subarray(0, -3)) client.raw.socket.write(frame(Uint8Array.of(byte)));
    client.raw.socket.write(frame(bytes.subarray(-3)));
    expect(await client.next()).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0 });
    expect(await client.next()).toMatchObject({ type: PacketType.PINGRESP });
    expect(await client.next()).toMatchObject({ type: PacketType.PINGRESP });
  });

  test('a text frame ends the connection (5.0: [MQTT-6.0.0-1]; 3.1.1: [MQTT-6.0.0-1])', async () => {
    const client = await wire().open(undefined, 'ws');
    await client.connect();
    client.raw.socket.write(frame(encode({ type: PacketType.PINGREQ }, 5), { opcode: OPCODE.text }));
    await client.raw.untilClosed();
    expect(client.raw.packets).not.toContainEqual({ type: PacketType.PINGRESP });
  });

  test('the sub-protocol is mqtt, and without it there is no connection (5.0: [MQTT-6.0.0-3] [MQTT-6.0.0-4]; 3.1.1: [MQTT-6.0.0-3] [MQTT-6.0.0-4])', async () => {
    const address = wire().broker.address('ws');
    const client = await RawClient.beforeUpgrade(address);
    client.upgrade('/mqtt', { 'sec-websocket-protocol': 'soap, mqtt' });
    await client.until('the answer', () => client.handshake.includes('\r\n\r\n'));
    expect(client.handshake).toMatch(/^HTTP\/1\.1 101 /);
    expect(client.handshake).toMatch(/sec-websocket-protocol: mqtt\r\n/i);
    client.destroy();
    const other = await RawClient.beforeUpgrade(address);
    other.upgrade('/mqtt', { 'sec-websocket-protocol': 'soap' });
    await other.untilClosed();
    expect(other.handshake).toMatch(/^HTTP\/1\.1 4\d\d /);
  });
});

describe('transports', () => {
  test('TCP and WebSocket carry bytes in order and without loss, both ways (5.0: [MQTT-4.2-1]; 3.1.1: [MQTT-7.1.1-1])', async () => {
    for (const transport of ['tcp', 'ws'] as const) {
      const client = await wire().open(undefined, transport);
      await client.connect();
      const topic = wire().name();
      await client.subscribe(topic, { qos: 1 });
      const payload = 'all of it, '.repeat(30_000);
      client.sendPublish(topic, payload, { qos: 1 });
      expect((await client.delivery()).payload).toBe(payload);
    }
  });

  test('a client that knows the specification and nothing else gets along (3.1.1: [MQTT-7.0.0-2])', async () => {
    const client = await wire().client({ version: 4 });
    const topic = wire().name();
    await client.subscribe(topic);
    await client.publish(topic, 'x', { qos: 2 });
    expect(await client.delivery()).toMatchObject({ topic, payload: 'x', qos: 2 });
    await client.bye();
  });
});
