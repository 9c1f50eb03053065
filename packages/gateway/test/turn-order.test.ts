import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { RawClient } from './doubles/raw-client.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

let gateway: TestGateway;
let publisher: RawClient;
let worker: RawClient;
beforeEach(async () => {
  gateway = await TestGateway.start();
  gateway.durable.filters = ['jobs'];
  [publisher, worker] = [await gateway.raw(), await gateway.raw()];
  await publisher.hello('publisher');
  await worker.hello('worker');
  worker.send({
    type: PacketType.SUBSCRIBE,
    packetId: 1,
    subscriptions: [{ filter: '$queue/jobs', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
  });
  await worker.next();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await gateway.stop();
});

const PUBLISH: PublishPacket = {
  type: PacketType.PUBLISH,
  topic: 'jobs',
  payload: new Uint8Array(1),
  qos: 1,
  retain: false,
  dup: false,
  packetId: 7,
};

/** To whom the gateway wrote, in order. */
function writes(): number[] {
  const ports: number[] = [];
  const { write } = Socket.prototype;
  jest.spyOn(Socket.prototype, 'write').mockImplementation(function (this: Socket, ...all: unknown[]) {
    if (this.localPort === gateway.port && this.remotePort !== undefined) ports.push(this.remotePort);
    return Reflect.apply(write, this, all) as boolean;
  });
  return ports;
}

test('of one turn a delivery leaves before an acknowledgement that was decided earlier', async () => {
  publisher.send(PUBLISH);
  const [stored] = await until(
    () => gateway.durable.stored,
    (found) => found.length === 1,
  );
  const ports = writes();
  stored?.pending.complete(ReasonCode.SUCCESS);
  gateway.queues.last.deliver({ topic: 'jobs' });
  expect((await publisher.next()).type).toBe(PacketType.PUBACK);
  expect((await worker.next()).type).toBe(PacketType.PUBLISH);
  expect(ports).toEqual([worker.socket.localPort, publisher.socket.localPort]);
});

test('who has both is written to once, with the deliveries', async () => {
  worker.send(PUBLISH);
  publisher.send(PUBLISH);
  const stored = await until(
    () => gateway.durable.stored,
    (found) => found.length === 2,
  );
  const ports = writes();
  // The publisher's first.
  for (const { pending, publisher: by } of stored) {
    if (by.clientId === 'publisher') pending.complete(ReasonCode.SUCCESS);
  }
  for (const { pending, publisher: by } of stored) {
    if (by.clientId === 'worker') pending.complete(ReasonCode.SUCCESS);
  }
  gateway.queues.last.deliver({ topic: 'jobs' });
  expect((await publisher.next()).type).toBe(PacketType.PUBACK);
  expect([(await worker.next()).type, (await worker.next()).type]).toEqual([PacketType.PUBACK, PacketType.PUBLISH]);
  expect(ports).toEqual([worker.socket.localPort, publisher.socket.localPort]);
});
