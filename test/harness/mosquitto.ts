import { spawn } from 'node:child_process';
import { JsonLinesProcess } from './json-lines-process.mjs';

export interface MosquittoTarget {
  host: string;
  port: number;
}

export interface MosquittoMessage {
  topic: string;
  payload: string;
  qos: number;
  retain: number;
  properties?: Record<string, unknown>;
}

/** Runs `mosquitto_pub` to its end. `more` is passed on as it is, e.g. `['-V', '5', '-D', 'publish', …]`. */
export async function mosquittoPub(
  target: MosquittoTarget,
  topic: string,
  payload: string,
  more: string[] = ['-q', '1'],
): Promise<{ code: number | null; errors: string }> {
  const args = ['-h', target.host, '-p', String(target.port), '-t', topic, '-m', payload, ...more];
  const child = spawn('mosquitto_pub', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, errors };
}

/** A `mosquitto_sub` that is running. Guard tests with `testWith(MOSQUITTO, …)`. */
export class MosquittoSub {
  readonly #process: JsonLinesProcess;

  private constructor(process: JsonLinesProcess) {
    this.#process = process;
  }

  /** Subscribed: its own debug output says so. */
  static async start(target: MosquittoTarget, filter: string, more: string[] = []): Promise<MosquittoSub> {
    const args = ['-h', target.host, '-p', String(target.port), '-t', filter, '-d', '-F', '%j', ...more];
    // Its output is buffered by the block when it goes to a pipe.
    const process = new JsonLinesProcess('stdbuf', ['-oL', 'mosquitto_sub', ...args]);
    await process.until('SUBACK', (events) => events.some((event) => /^Subscribed/.test(event.text)));
    return new MosquittoSub(process);
  }

  get messages(): MosquittoMessage[] {
    return this.#process.events.filter((event) => event.topic !== undefined) as MosquittoMessage[];
  }

  /** Waits until at least `count` messages came. */
  async received(count: number, withinMs?: number): Promise<MosquittoMessage[]> {
    await this.#process.until(`${count} messages`, () => this.messages.length >= count, withinMs);
    return this.messages;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#process.kill(signal);
  }
}
