import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '@sluice/rpc/address-book';
import { NodeTransport } from '@sluice/rpc/node-transport';
import { collect, type Received, TestGateway, until } from './doubles/test-gateway.ts';

/** Two gateways with a real connection between them. */
let transports: NodeTransport[];
let gateways: TestGateway[];
let addresses: AddressBook;

beforeEach(async () => {
  transports = [];
  gateways = [];
  addresses = new AddressBook();
  for (const nodeId of [1, 2]) {
    const transport = new NodeTransport({
      addresses,
      tls: undefined,
      logger: silentLogger,
      metrics: new PlainMetrics(),
      clock: systemClock,
    });
    transport.setIdentity({ clusterId: 'c', nodeId });
    addresses.set(nodeId, `127.0.0.1:${await transport.listen('127.0.0.1', 0)}`);
    transports.push(transport);
    gateways.push(await TestGateway.start({}, undefined, { nodeId, transport }));
  }
  for (const { gateway } of gateways) gateway.setPeers([1, 2]);
});
afterEach(async () => {
  for (const gateway of gateways) await gateway.stop();
  for (const transport of transports) await transport.shutdown();
});

test('subscribe at one, publish at the other, with everything a PUBLISH carries', async () => {
  const [first, second] = gateways as [TestGateway, TestGateway];
  const subscriber = await first.connect();
  const received = collect(subscriber);
  await subscriber.subscribeAsync(['t/#', '$share/g/t/+'], { qos: 2 });
  const publisher = await second.connect();
  const properties = {
    contentType: 'image/png',
    responseTopic: 'answers',
    correlationData: Buffer.from([0, 1, 2]),
    userProperties: { a: 'ä' },
  };
  const large = 'x'.repeat(3_000_000);
  await publisher.publishAsync('t/1', 'one', { qos: 2, properties });
  await publisher.publishAsync('t/2', large, { qos: 1 });
  await until(
    () => received.length,
    (n) => n === 4,
  );
  expect(received.map((each) => each.topic).sort()).toEqual(['t/1', 't/1', 't/2', 't/2']);
  expect((received[0] as Received).packet).toMatchObject({ qos: 2, properties });
  expect(received.filter((each) => each.payload === large).length).toBe(2);
});

test('what was published last is heard, although the gateway closes right after it', async () => {
  const [first, second] = gateways as [TestGateway, TestGateway];
  const watcher = await second.connect();
  const received = collect(watcher);
  await watcher.subscribeAsync('wills/+', { qos: 1 });
  const client = await first.raw();
  await client.hello('x', { will: { topic: 'wills/x', payload: Buffer.from('bye'), qos: 1, retain: false } });
  await first.gateway.drain({ drainMs: 1_000 });
  await first.gateway.close({ drainMs: 0 });
  await until(() => received.length === 1);
});
