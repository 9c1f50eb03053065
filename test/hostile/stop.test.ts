import { connect, type Socket } from 'node:net';
import { test } from '@jest/globals';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';

test('B30: a stop is held up by nobody: half requests, silent sockets, unfinished CONNECTs, readers that do not read', async () => {
  const broker = await BrokerUnderAttack.start();
  const sockets: Socket[] = [];
  try {
    const open = (listener: 'mqtt' | 'ws' | 'http', bytes: string | Uint8Array): Socket => {
      const { host, port } = broker.server.address(listener);
      const socket = connect(port, host);
      socket.on('error', () => {});
      socket.write(bytes);
      sockets.push(socket);
      return socket;
    };
    await broker.rest.get('/healthz');
    const head = 'POST /api/v5/message_queues/queues HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n';
    const body = open(
      'http',
      `${head}content-type: application/json\r\nauthorization: Basic ${btoa('harness:harness-secret')}\r\n\r\n{`,
    );
    const timer = setInterval(() => body.write(' '), 50);
    open('http', head);
    open('http', '');
    open('ws', '');
    open('ws', 'GET /mqtt HTTP/1.1\r\n');
    open('mqtt', '');
    open('mqtt', Uint8Array.of(0x10, 0x20));
    const stuck = await broker.client();
    stuck.send(subscribing(['flood'], { qos: 1 }));
    await stuck.next();
    stuck.stopReading();
    const publisher = await broker.client();
    for (let packetId = 1; packetId <= 100; packetId++) {
      publisher.send(publishing('flood', { qos: 1, packetId, payload: Buffer.alloc(100_000) }));
      await publisher.next();
    }
    // Throws unless it ends with 0, before it is killed.
    await broker.server.stop();
    clearInterval(timer);
    broker.expectNoBug();
  } finally {
    for (const socket of sockets) socket.destroy();
    await broker.dispose();
  }
}, 40_000);
