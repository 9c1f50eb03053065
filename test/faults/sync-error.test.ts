import { afterEach, expect } from '@jest/globals';
import type { MqttClient } from 'mqtt';
import { testWith } from '../harness/left-out.ts';
import { mqttEvent } from '../harness/mqtt-event.ts';
import { ServerProcess } from '../harness/server-process.ts';
import { History } from './history.ts';
import { API, Consumer, connect, until } from './load.ts';
import { hashOf, makePayload } from './payload.ts';
import { checkHistory } from './queue-checker.ts';
import { failSyncs, STRACE } from './sync-faults.ts';

const QUEUE = { name: 'synced', isLastValue: false, takes: () => true };
const WAIT_MS = 20_000;

let server: ServerProcess | undefined;
let clients: { end(force?: boolean): void }[] = [];

afterEach(async () => {
  for (const client of clients) client.end(true);
  clients = [];
  await server?.dispose();
});

testWith(
  STRACE,
  'after a failed fdatasync nothing is acknowledged any more, the node says why and lives; a restart has what was',
  async () => {
    server = await ServerProcess.start();
    const broker = server;
    await broker.rest().post(API, { topic_filter: QUEUE.name, is_lastvalue: false });
    const history = new History([QUEUE]);
    let count = 0;
    const publish = async (client: MqttClient): Promise<boolean> => {
      const id = `m${++count}`;
      const payload = makePayload(id, 500);
      history.invoke(id, { topic: QUEUE.name, hash: hashOf(payload) });
      history.sent(id);
      return await new Promise((resolve) => {
        const close = () => resolve(false);
        client.once('close', close);
        client.publish(QUEUE.name, payload, { qos: 1 }, (error) => {
          client.off('close', close);
          if (error) history.fail(id);
          else history.ok(id);
          resolve(!error);
        });
      });
    };
    const client = async (version: 4 | 5) => {
      const made = connect(`p${version}-${clients.length}`, version, broker.mqtt);
      clients.push(made);
      await mqttEvent(made, 'connect');
      return made;
    };
    const publisher = await client(5);
    for (let n = 0; n < 20; n++) expect(await publish(publisher)).toBe(true);

    const stopFailing = await failSyncs(broker.pid as number);
    expect(await publish(publisher)).toBe(false);
    const says = await until('readiness to fail', performance.now() + WAIT_MS, async () => {
      const { status, body } = await broker.rest('anonymous').get('/readyz');
      return status === 503 && JSON.stringify(body);
    });
    expect(says).toMatch(
      /the storage failed: the entry log takes no writes since one failed: EIO.*restart the process/,
    );

    const problems = await until('the cluster to say so', performance.now() + WAIT_MS, async () => {
      const { body } = await broker.rest().get('/api/v5/cluster');
      const messages = (body as { problems: { message: string }[] }).problems.map(({ message }) => message);
      return messages.some((message) => message.startsWith('The disk of')) && messages;
    });
    expect(problems).toContainEqual(
      expect.stringMatching(/^The disk of .* failed: it acknowledges nothing more until it is started again\.$/),
    );

    // The disk seems well again, which proves nothing: what failed may have been dropped.
    await stopFailing();
    for (let n = 0; n < 5; n++) expect(await publish(publisher)).toBe(false);
    const old = await client(4);
    expect(await publish(old)).toBe(false);
    old.end(true);
    const metrics = String((await broker.rest().get('/metrics')).body);
    expect(metrics).toMatch(/^sluice_raft_fenced 1$/m);
    expect(metrics).toMatch(/^sluice_storage_fsync_errors_total 1$/m);
    const { pid } = broker;
    expect(() => process.kill(pid as number, 0)).not.toThrow();

    publisher.end(true);
    const fromMs = performance.now();
    // A fenced node still stops when it is told to.
    await broker.stop();
    await broker.restart();
    history.faults.push({ kind: 'restart', fromMs, toMs: performance.now() });
    const consumer = new Consumer('c', 5, QUEUE.name, broker.mqtt, history);
    clients.push(consumer);
    await until('what was acknowledged', performance.now() + WAIT_MS, async () => history.deliveries.length >= 20);
    expect(checkHistory(history, new Map())).toMatchObject({ acknowledged: 20, lost: [], invented: [], repeated: [] });
  },
  90_000,
);
