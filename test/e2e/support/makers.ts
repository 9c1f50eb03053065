import { spawn } from 'node:child_process';
import { MOSQUITTO, PAHO, type Tool } from '../../harness/left-out.ts';
import { MosquittoSub } from '../../harness/mosquitto.ts';
import { PahoClient } from '../../harness/paho.ts';
import { Client } from './client.ts';
import { until } from './until.ts';

interface Address {
  host: string;
  port: number;
}

export interface Worker {
  /** Of the messages so far, in order of arrival. */
  readonly texts: string[];
  readonly sizes: number[];
  readonly qos: number[];
  leave(): Promise<void>;
  /** As a machine that loses its power. */
  kill(): Promise<void>;
}

export interface Job {
  text: string;
  /** MQTT 5 only: the user property `key`. */
  key?: string;
  sizeBytes?: number;
}

/** A client library or program that nobody here wrote, in one version of the protocol. */
export interface Maker {
  name: string;
  version: 4 | 5;
  needs: Tool[];
  /** Can take its time for a message, and does not acknowledge it before. */
  works: boolean;
  /** Subscribes as its users do, at QoS 0 unless they say otherwise. */
  subscribe(address: Address, filter: string, workSeconds?: number): Promise<Worker>;
  /** At QoS 1; resolves when all are acknowledged and the producer has left. */
  publish(address: Address, topic: string, jobs: readonly Job[]): Promise<void>;
}

let clients = 0;
const running = new Set<Worker>();

/** So that a test that fails leaves no client behind. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map((worker) => worker.kill()));
  running.clear();
}

function started(worker: Worker): Worker {
  running.add(worker);
  return worker;
}

function mqttJs(version: 4 | 5): Maker {
  return {
    name: `MQTT.js, version ${version}`,
    version,
    needs: [],
    works: true,
    async subscribe(address, filter, workSeconds = 0) {
      const client = await Client.connect(address, { version, workMs: workSeconds * 1000 });
      await client.subscribe(filter);
      return started({
        get texts() {
          return client.texts;
        },
        get sizes() {
          return client.received.map(({ size }) => size);
        },
        get qos() {
          return client.received.map(({ qos }) => qos);
        },
        leave: () => client.close(),
        kill: async () => client.destroy(),
      });
    },
    async publish(address, topic, jobs) {
      const client = await Client.connect(address, { version });
      const send = ({ text, key, sizeBytes = 0 }: Job) => {
        const payload = Buffer.alloc(Math.max(sizeBytes, Buffer.byteLength(text)));
        payload.write(text);
        return client.publish(topic, payload, key === undefined ? {} : { userProperties: { key } });
      };
      await Promise.all(jobs.map(send));
      await client.close();
    },
  };
}

function paho(version: 4 | 5): Maker {
  return {
    name: `paho, version ${version}`,
    version,
    needs: [PAHO],
    works: true,
    async subscribe(address, filter, workSeconds = 0) {
      const client = await PahoClient.connect({ ...address, clientId: `worker-${++clients}`, version });
      client.work(workSeconds);
      await client.subscribe(filter, 0);
      return started({
        get texts() {
          return client.messages.map(({ text }) => text);
        },
        get sizes() {
          return client.messages.map(({ size }) => size);
        },
        get qos() {
          return client.messages.map(({ qos }) => qos);
        },
        leave: () => client.close(),
        kill: () => client.kill(),
      });
    },
    async publish(address, topic, jobs) {
      const client = await PahoClient.connect({ ...address, clientId: `producer-${++clients}`, version });
      for (const { text, key, sizeBytes } of jobs) {
        client.publishLater(topic, text, {
          qos: 1,
          ...(sizeBytes === undefined ? {} : { size: sizeBytes }),
          ...(key === undefined ? {} : { userProperties: [['key', key]] }),
        });
      }
      await client.published(jobs.length, 30_000);
      await client.close();
    },
  };
}

function mosquitto(version: 4 | 5): Maker {
  const protocol = ['-V', version === 5 ? '5' : '311'];
  return {
    name: `mosquitto_pub and mosquitto_sub, version ${version}`,
    version,
    needs: [MOSQUITTO],
    works: false,
    async subscribe(address, filter) {
      const sub = await MosquittoSub.start(address, filter, protocol);
      return started({
        get texts() {
          return sub.messages.map(({ payload }) => payload);
        },
        get sizes() {
          return sub.messages.map(({ payload }) => payload.length);
        },
        get qos() {
          return sub.messages.map(({ qos }) => qos);
        },
        leave: () => sub.stop(),
        kill: () => sub.stop('SIGKILL'),
      });
    },
    async publish(address, topic, jobs) {
      const where = ['-h', address.host, '-p', String(address.port), '-t', topic, '-q', '1', ...protocol];
      // With -l every line of its input is a message, all with the same properties.
      for (const key of new Set(jobs.map((job) => job.key))) {
        const property = key === undefined ? [] : ['-D', 'publish', 'user-property', 'key', key];
        const child = spawn('mosquitto_pub', ['-l', ...where, ...property], { stdio: ['pipe', 'ignore', 'inherit'] });
        for (const job of jobs) if (job.key === key) child.stdin.write(`${job.text}\n`);
        child.stdin.end();
        const code = await new Promise((resolve) => child.once('close', resolve));
        if (code !== 0) throw new Error(`mosquitto_pub ended with ${code}`);
      }
    },
  };
}

export const MAKERS: readonly Maker[] = [paho(4), paho(5), mqttJs(4), mqttJs(5), mosquitto(4), mosquitto(5)];

/** Waits until the workers have `count` messages together, and returns them. */
export async function together(workers: readonly Worker[], count: number, withinMs = 20_000): Promise<string[]> {
  const texts = (): string[] => workers.flatMap((worker) => worker.texts);
  const what = (): string => `${count} messages, there are ${texts().length}`;
  await until(() => texts().length >= count, what, withinMs);
  return texts();
}
