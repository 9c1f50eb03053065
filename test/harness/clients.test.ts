import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MOSQUITTO, PAHO, testWith } from './left-out.ts';
import { MosquittoSub, mosquittoPub } from './mosquitto.ts';
import { PahoClient } from './paho.ts';
import { ServerProcess } from './server-process.ts';

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start();
});

afterAll(() => server?.dispose());

testWith([MOSQUITTO, PAHO], 'mosquitto hears what paho says, and the other way round', async () => {
  const paho = await PahoClient.connect({ ...server.mqtt, clientId: 'p', version: 5 });
  const mosquitto = await MosquittoSub.start(server.mqtt, 'to/mosquitto', ['-q', '0']);
  await paho.subscribe('to/paho', 0);
  await paho.publish('to/mosquitto', 'hello', { qos: 1, userProperties: [['a', 'b']] });
  expect((await mosquitto.received(1))[0]).toMatchObject({ topic: 'to/mosquitto', payload: 'hello' });
  expect(await mosquittoPub(server.mqtt, 'to/paho', 'and back')).toEqual({ code: 0, errors: '' });
  expect((await paho.received(1))[0]).toMatchObject({ topic: 'to/paho', text: 'and back', size: 8, retain: false });
  await mosquitto.stop();
  await paho.close();
});

testWith(PAHO, 'paho keeps the user properties, in order, and fills a payload up', async () => {
  const subscriber = await PahoClient.connect({ ...server.mqtt, clientId: 's', version: 5 });
  await subscriber.subscribe('t', 0);
  const publisher = await PahoClient.connect({ ...server.mqtt, clientId: 'p', version: 5 });
  const userProperties: [string, string][] = [
    ['k', '1'],
    ['k', '2'],
  ];
  await publisher.publish('t', 'x', { qos: 1, size: 5000, userProperties });
  expect((await subscriber.received(1))[0]).toMatchObject({ text: 'x', size: 5000, userProperties });
  await publisher.kill();
  await subscriber.close();
});

test('the management API asks for its key', async () => {
  const queue = { topic_filter: 'jobs', is_lastvalue: false };
  const path = '/api/v5/message_queues/queues';
  expect((await server.rest('anonymous').post(path, queue)).status).toBe(401);
  expect((await server.rest().post(path, queue)).status).toBeLessThan(300);
});

test('the server comes back on the same ports, and SIGTERM ends it well', async () => {
  const { port } = server.mqtt;
  await server.kill();
  await server.restart();
  expect(server.mqtt.port).toBe(port);
  await server.stop();
  await server.restart();
});
