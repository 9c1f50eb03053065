import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { TestGateway, until } from './doubles/test-gateway.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await TestGateway.start();
});
afterEach(() => gateway.stop());

const gauge = (name: string, labels?: Record<string, string>): number =>
  gateway.metrics.gauge(`sluice_gateway_${name}`, '', labels).value;

test('a connection is counted from CONNECT to its end, with what it did', async () => {
  gateway.durable.filters = ['jobs'];
  gateway.durable.autoCommit = 0;
  const client = await gateway.connect({ clientId: 'x' });
  await client.subscribeAsync(['t', '$share/g/t', '$queue/jobs'], { qos: 1 });
  await client.publishAsync('jobs', 'x', { qos: 1 });
  await client.publishAsync('jobs', 'x', { qos: 2 });
  const open = { protocol: '5', transport: 'tcp' };
  expect([gauge('connections', open), gauge('sessions', { state: 'connected' })]).toEqual([1, 1]);
  const kinds = ['plain', 'shared', 'queue'];
  expect(kinds.map((kind) => gauge('subscriptions', { kind }))).toEqual([1, 1, 1]);
  expect(gateway.counter('connects_total', { result: 'success' })).toBe(1);
  expect(gateway.counter('packets_total', { type: 'publish', direction: 'in' })).toBe(2);
  expect(gateway.counter('packets_total', { type: 'puback', direction: 'out' })).toBe(1);
  expect(gateway.counter('packets_total', { type: 'pubcomp', direction: 'out' })).toBe(1);
  expect(gateway.counter('bytes_total', { direction: 'in' })).toBeGreaterThan(50);
  for (const qos of ['1', '2']) {
    expect(gateway.metrics.histogram('sluice_gateway_publish_ack_seconds', '', [], { qos }).count).toBe(1);
  }
  await client.endAsync();
  await until(
    () => gauge('connections', open),
    (n) => n === 0,
  );
  expect(gauge('sessions', { state: 'connected' })).toBe(0);
  expect(kinds.map((kind) => gauge('subscriptions', { kind }))).toEqual([0, 0, 0]);
  expect(gateway.counter('disconnects_total', { reason: 'client_disconnect' })).toBe(1);
});

test('why connections are refused and ended', async () => {
  const refused = await gateway.raw();
  await refused.hello('', { cleanStart: false, protocolVersion: 4 });
  const bad = await gateway.raw();
  await bad.hello('bad');
  bad.send({ type: PacketType.PINGRESP });
  await bad.untilClosed();
  const taken = await gateway.raw();
  await taken.hello('x');
  await (await gateway.raw()).hello('x');
  await taken.untilClosed();
  const reasons = { reason: 'session_taken_over' };
  await until(
    () => gateway.counter('disconnects_total', reasons),
    (n) => n === 1,
  );
  expect(gateway.counter('connects_total', { result: 'client_identifier_not_valid' })).toBe(1);
  expect(gateway.counter('protocol_errors_total', { kind: 'protocol_error' })).toBe(1);
  expect(gateway.counter('disconnects_total', { reason: 'protocol_error' })).toBe(1);
});
