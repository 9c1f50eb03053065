import { join } from 'node:path';
import { afterEach, expect } from '@jest/globals';
import type { MqttClient } from 'mqtt';
import { testWith } from '../harness/left-out.ts';
import { mqttEvent } from '../harness/mqtt-event.ts';
import { ServerProcess } from '../harness/server-process.ts';
import { History } from './history.ts';
import { API, Consumer, connect, until } from './load.ts';
import { LOOP_DISK, LoopDisk } from './loop-disk.ts';
import { hashOf, makePayload } from './payload.ts';
import { checkHistory, isClean, type QueueFigures } from './queue-checker.ts';

const MB = 1024 * 1024;
const QUOTA_EXCEEDED = 0x97;
const AT_ONCE = 8;
const QUEUE = { name: 'full/+', isLastValue: false, takes: () => true };
const SMALL_SEGMENTS = ['--set', 'storage.segmentSize=4MB', '--set', 'mqtt.maximumPacketSize=1MB'];
/** What the issue allows for publishing to work again. */
const RECOVERY_MS_MAX = 10_000;
const WAIT_MS = 20_000;

let disk: LoopDisk | undefined;
let server: ServerProcess | undefined;
let clients: MqttClient[] = [];
let consumers: Consumer[] = [];

afterEach(async () => {
  for (const client of clients) client.end(true);
  for (const consumer of consumers) consumer.end();
  clients = [];
  consumers = [];
  await server?.dispose();
  disk?.dispose();
  server = undefined;
  disk = undefined;
});

/** A test whose failure shows what the broker said. */
function scenario(name: string, run: () => Promise<void>): void {
  const told = async () => {
    try {
      await run();
    } catch (cause) {
      throw new Error(`${String(cause)}\nthe end of the server's log:\n${server?.log.slice(-6_000)}`, { cause });
    }
  };
  testWith(LOOP_DISK, name, told, 120_000);
}

function client(version: 4 | 5): MqttClient {
  const made = connect(`publisher-${version}-${clients.length}`, version, (server as ServerProcess).mqtt);
  clients.push(made);
  return made;
}

class Scene {
  readonly history = new History([QUEUE]);
  #count = 0;

  /** The reason code of the answer, 0 for success. */
  async publish(from: MqttClient, qos: 1 | 2 = 1, sizeBytes = 200_000): Promise<number> {
    const id = `m${++this.#count}`;
    const payload = makePayload(id, sizeBytes);
    this.history.invoke(id, { topic: 'full/a', hash: hashOf(payload) });
    this.history.sent(id);
    return await new Promise((resolve) => {
      from.publish('full/a', payload, { qos }, (error) => {
        if (error) this.history.fail(id);
        else this.history.ok(id);
        resolve(error ? ((error as { code?: number }).code ?? -1) : 0);
      });
    });
  }

  async publishMany(from: MqttClient, count: number): Promise<void> {
    const codes = await Promise.all(Array.from({ length: count }, () => this.publish(from, 1, 50_000)));
    expect(new Set(codes)).toEqual(new Set([0]));
  }

  /** A consumer acknowledges so many, and leaves. */
  async consume(count: number): Promise<void> {
    const { mqtt } = server as ServerProcess;
    const consumer = new Consumer(`c${consumers.length}`, 5, QUEUE.name, mqtt, this.history, { acceptMax: count });
    consumers.push(consumer);
    await until(`${count} deliveries`, performance.now() + WAIT_MS, async () => consumer.accepted === count);
    const fromMs = performance.now();
    consumer.end();
    this.history.faults.push({ kind: 'consumer left', fromMs, toMs: performance.now() + 500 });
  }

  async figures(): Promise<QueueFigures> {
    const rest = (server as ServerProcess).rest();
    const { body } = await rest.get(`${API}/${encodeURIComponent(`/${QUEUE.name}`)}/stats`);
    return (body as { statistics: QueueFigures }).statistics;
  }

  /** What `sluice cluster status` says is wrong. */
  async problems(): Promise<string> {
    const { body } = await (server as ServerProcess).rest().get('/api/v5/cluster');
    return (body as { problems: { message: string }[] }).problems.map(({ message }) => message).join('\n');
  }

  async readiness(): Promise<{ status: number; text: string }> {
    const { status, body } = await (server as ServerProcess).rest().get('/readyz');
    return { status, text: JSON.stringify(body) };
  }

  /** Everything that is left is consumed, and judged. */
  async drainAndCheck(): Promise<void> {
    consumers.push(new Consumer('last', 4, QUEUE.name, (server as ServerProcess).mqtt, this.history));
    const figures = await until('an empty queue', performance.now() + WAIT_MS, async () => {
      const now = await this.figures();
      return now.depth_messages === 0 && now.inflight_messages === 0 ? now : undefined;
    });
    const verdict = checkHistory(this.history, new Map([[QUEUE.name, figures]]));
    expect({ ...verdict, clean: isClean(verdict) }).toMatchObject({ lost: [], invented: [], clean: true });
  }
}

/** Full means refused, and told so: near the edge the broker guesses on the safe side. */
async function publishUntilFull(scene: Scene, publisher: MqttClient): Promise<number> {
  for (let stored = 0; ; ) {
    const codes = await Promise.all(Array.from({ length: AT_ONCE }, () => scene.publish(publisher)));
    stored += codes.filter((code) => code === 0).length;
    expect(codes.filter((code) => code !== 0 && code !== QUOTA_EXCEEDED)).toEqual([]);
    if (!codes.includes(0) && (await scene.readiness()).text.includes('almost full')) return stored;
  }
}

async function begin(): Promise<Scene> {
  disk = new LoopDisk(96 * MB);
  server = await ServerProcess.start({ dataDir: join(disk.mountPoint, 'data'), flags: SMALL_SEGMENTS });
  const { status } = await server.rest().post(API, { topic_filter: QUEUE.name, is_lastvalue: false });
  expect(status).toBeLessThan(300);
  return new Scene();
}

scenario('a full disk refuses publishes, keeps what it has, and recovers when consumers free space', async () => {
  const scene = await begin();
  const publisher = client(5);
  expect(await publishUntilFull(scene, publisher)).toBeGreaterThan(100);
  expect(await scene.publish(publisher, 2)).toBe(QUOTA_EXCEEDED);
  // It stays so until there is clearly more space than before: no coming and going at the edge.
  expect(await scene.publish(publisher, 1, 100)).toBe(QUOTA_EXCEEDED);

  // MQTT 3.1.1 has no such code: no acknowledgement, and the connection ends.
  const old = client(4);
  await mqttEvent(old, 'connect');
  const closed = mqttEvent(old, 'close').then(() => 'closed');
  expect(await Promise.race([closed, scene.publish(old)])).toBe('closed');
  old.end(true);

  expect((await scene.readiness()).text).toMatch(/disk is almost full/);
  await until('the cluster to say so', performance.now() + WAIT_MS, async () =>
    /^The disk of .* is almost full: it refuses publishes/m.test(await scene.problems()),
  );
  const before = (await scene.figures()).depth_messages;
  await scene.consume(100);
  await until('the space of what was consumed', performance.now() + RECOVERY_MS_MAX, async () => {
    return (await scene.publish(publisher)) === 0;
  });
  expect((await scene.figures()).depth_messages).toBeLessThan(before);
  await scene.drainAndCheck();
});

scenario(
  'a disk filled to its last byte by something else: no crash, deliveries go on, and it recovers within 10 s',
  async () => {
    const scene = await begin();
    const publisher = client(5);
    await scene.publishMany(publisher, 150);
    const { pid } = server as ServerProcess;
    // Twice, so that the ballast which is given up goes too.
    (disk as LoopDisk).fill();
    await scene.consume(10);
    await until('the ballast', performance.now() + WAIT_MS, async () => server?.log.includes('ballast was given up'));
    (disk as LoopDisk).fill();
    await scene.consume(10);
    (disk as LoopDisk).fill();
    expect((disk as LoopDisk).freeBytes).toBe(0);
    // The disk is looked at once a second; what is laid out for the log already takes a little until then.
    await until('readiness to fail', performance.now() + WAIT_MS, async () => {
      return (await scene.readiness()).text.includes('disk is almost full');
    });
    expect(await scene.publish(publisher, 1, 100)).toBe(QUOTA_EXCEEDED);
    await scene.consume(20);
    expect((server as ServerProcess).pid).toBe(pid);

    (disk as LoopDisk).removeFiller();
    await until('publishing works again', performance.now() + RECOVERY_MS_MAX, async () => {
      return (await scene.publish(publisher, 1, 100)) === 0;
    });
    expect((server as ServerProcess).pid).toBe(pid);
    await until('readiness', performance.now() + RECOVERY_MS_MAX, async () => {
      return (await scene.readiness()).status === 200;
    });
    await scene.drainAndCheck();
  },
);

scenario('a restart on a full disk serves what is there', async () => {
  const scene = await begin();
  const publisher = client(5);
  await scene.publishMany(publisher, 100);
  (disk as LoopDisk).fill();
  const fromMs = performance.now();
  await (server as ServerProcess).kill('SIGKILL');
  (disk as LoopDisk).fill();
  await (server as ServerProcess).restart();
  scene.history.faults.push({ kind: 'SIGKILL', fromMs, toMs: performance.now() });
  await until('a connection', performance.now() + WAIT_MS, async () => publisher.connected);
  expect(await scene.publish(publisher, 1, 100)).toBe(QUOTA_EXCEEDED);
  await scene.consume(50);
  (disk as LoopDisk).removeFiller();
  await until('publishing works again', performance.now() + RECOVERY_MS_MAX, async () => {
    return (await scene.publish(publisher, 1, 100)) === 0;
  });
  await scene.drainAndCheck();
});
