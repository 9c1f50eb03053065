import { spawn } from 'node:child_process';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import type { ServerProcess } from '../harness/server-process.ts';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');

/** MQTT.js clients that come with a password, ended together. */
export class Clients {
  readonly #server: () => ServerProcess;
  readonly #open: MqttClient[] = [];

  constructor(server: () => ServerProcess) {
    this.#server = server;
  }

  async connect(username: string, password: string, more: IClientOptions = {}): Promise<MqttClient> {
    const { host, port } = this.#server().mqtt;
    const options: IClientOptions = { username, password, reconnectPeriod: 0, protocolVersion: 5, ...more };
    const client = await mqtt.connectAsync(`mqtt://${host}:${port}`, options);
    client.on('error', () => {});
    this.#open.push(client);
    return client;
  }

  end(): void {
    for (const client of this.#open) client.end(true);
  }
}

/** The reason code with which the broker ends a connection. */
export function farewell(client: MqttClient): Promise<number | undefined> {
  return new Promise((resolve) => client.once('disconnect', ({ reasonCode }) => resolve(reasonCode)));
}

/** What was refused by a reason code: that; and what was not: 'done'. */
export function codeOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => 'done',
    (error: { code?: number }) => error.code,
  );
}

/** The command, with something on its standard input; `api` is the broker it speaks to. */
export async function sluice(
  words: readonly string[],
  input: string,
  api?: ServerProcess,
): Promise<{ code: number | null; out: string }> {
  const env = { ...process.env };
  if (api !== undefined) {
    const { host, port } = api.address('http');
    Object.assign(env, { SLUICE_URL: `http://${host}:${port}`, SLUICE_API_KEY: 'harness:harness-secret' });
  }
  const child = spawn(process.execPath, [BIN, ...words], { env });
  let out = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stdin.end(input);
  return await new Promise((resolve) => child.on('close', (code) => resolve({ code, out })));
}

/** The line of a password file that `sluice passwd` makes. */
export async function passwordLine(user: string, password: string): Promise<string> {
  const { code, out } = await sluice(['passwd', user], `${password}\n`);
  if (code !== 0) throw new Error(`exit code ${code}`);
  return out;
}

/** Settings as flags of `sluice server`. */
export function settingFlags(settings: readonly string[]): string[] {
  return settings.flatMap((one) => ['--set', one]);
}
