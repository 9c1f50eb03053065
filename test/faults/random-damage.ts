import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { SeededPrng } from '@sluice/common/prng';
import { ServerProcess } from '../harness/server-process.ts';
import { History } from './history.ts';
import { API, Consumer, connect, until } from './load.ts';
import { drawSize, hashOf, makePayload } from './payload.ts';
import { checkHistory, formatVerdict, isClean } from './queue-checker.ts';

const QUEUE = { name: 'kept/+', isLastValue: false, takes: () => true };
const FLAGS = ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=512KB'];
const MESSAGES = 300;
/** Enough that whole segments are settled, an image is written, and their space is given back. */
const CONSUMED = 200;
const PAGE_BYTES = 4096;
/** In each fourth trial images and log must be enough. */
const STATE_GONE_EVERY = 4;
const WAIT_MS = 20_000;
/** Long enough for a queue that stands still to be told from one that is slow. */
const STILL_MS = 3_000;

export interface DamageOptions {
  trials: number;
  seed: number;
  onTrial(trial: number, what: string, outcome: Outcome): void;
}

/**
 * - complete: every message that was left came, and nothing else
 * - refused: the broker did not start, and said which file is damaged, or why its state cannot be made again
 * - told: the broker runs, does not deliver everything, and its readiness says why
 * - silent: anything else; a fault of the broker
 */
export type Outcome = { kind: 'complete' | 'refused' | 'told'; text: string } | { kind: 'silent'; text: string };

/**
 * Random damage to random files of a stopped broker's data: a byte, a zeroed page, an end cut off. Whatever it hits,
 * messages may be refused but must not be missing or wrong without a word.
 */
export async function randomDamage(options: DamageOptions): Promise<Map<Outcome['kind'], number>> {
  const prng = new SeededPrng(options.seed);
  const counts = new Map<Outcome['kind'], number>();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-damage-'));
  try {
    const original = join(folder, 'original');
    const history = await writeBacklog(original, prng);
    for (let trial = 1; trial <= options.trials; trial++) {
      const data = join(folder, `copy-${trial}`);
      await cp(original, data, { recursive: true });
      const isStateGone = trial % STATE_GONE_EVERY === 0;
      if (isStateGone) await rm(join(data, 'state'), { recursive: true });
      const what = `${await damage(data, prng)}${isStateGone ? ', and the state is gone' : ''}`;
      const outcome = await judge(data, history);
      counts.set(outcome.kind, (counts.get(outcome.kind) ?? 0) + 1);
      options.onTrial(trial, what, outcome);
      await rm(data, { recursive: true });
    }
    return counts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Some messages are consumed, most are not; images were written, segments given back. */
async function writeBacklog(dataDir: string, prng: SeededPrng): Promise<History> {
  const history = new History([QUEUE]);
  const server = await ServerProcess.start({ dataDir, flags: FLAGS });
  try {
    await server.rest().post(API, { topic_filter: QUEUE.name, is_lastvalue: false });
    const publisher = connect('publisher', 5, server.mqtt);
    for (let n = 0; n < MESSAGES; n++) {
      const payload = makePayload(`m${n}`, drawSize(prng));
      history.invoke(`m${n}`, { topic: 'kept/a', hash: hashOf(payload) });
      history.sent(`m${n}`);
      await publisher.publishAsync('kept/a', payload, { qos: 1 });
      history.ok(`m${n}`);
    }
    publisher.end(true);
    const consumer = new Consumer('first', 5, QUEUE.name, server.mqtt, history, { acceptMax: CONSUMED });
    await until('consumption', performance.now() + WAIT_MS, async () => consumer.accepted === CONSUMED);
    consumer.end();
    // What it held and did not accept comes again.
    history.faults.push({ kind: 'consumer left', fromMs: performance.now(), toMs: performance.now() + WAIT_MS });
    await until('space given back', performance.now() + WAIT_MS, async () => {
      return !(await readdir(join(dataDir, 'log'))).includes('0000000000000001.log');
    });
    await server.stop();
    await server.restart();
    await server.stop();
    return history;
  } finally {
    await server.dispose();
  }
}

async function damage(data: string, prng: SeededPrng): Promise<string> {
  const files: string[] = [];
  for (const folder of ['log', 'state', 'images']) {
    for (const name of await readdir(join(data, folder)).catch(() => [])) {
      if (!/^(LOCK|LOG|reserve)/.test(name)) files.push(join(data, folder, name));
    }
  }
  for (;;) {
    const path = files[prng.below(files.length)] as string;
    const bytes = await readFile(path);
    if (bytes.length === 0) continue;
    const at = prng.below(bytes.length);
    const name = relative(data, path);
    switch (prng.below(4)) {
      case 0:
        await truncate(path, at);
        return `${name} cut at ${at} of ${bytes.length}`;
      case 1:
        bytes.fill(0, at, Math.min(bytes.length, at + PAGE_BYTES));
        await writeFile(path, bytes);
        return `${name} zeroed from ${at} of ${bytes.length}`;
      default:
        bytes[at] = (bytes[at] as number) ^ (1 << prng.below(8));
        await writeFile(path, bytes);
        return `${name} one bit at ${at} of ${bytes.length}`;
    }
  }
}

async function judge(dataDir: string, before: History): Promise<Outcome> {
  let server: ServerProcess;
  try {
    server = await ServerProcess.start({ dataDir, flags: FLAGS });
  } catch (cause) {
    const said = /^sluice: .*$/m.exec(String(cause))?.[0];
    if (said !== undefined && /\(ENTRY_LOG_DAMAGED\)|\(STATE_UNRECOVERABLE\)/.test(said))
      return { kind: 'refused', text: said };
    if (!String(cause).includes('before it was ready')) throw cause;
    return { kind: 'silent', text: String(cause).slice(0, 2_000) };
  }
  try {
    const first = await deliver(server, before);
    if (first.kind !== 'told') return first;
    // Derived state that was found damaged is made again by a restart.
    if (!/the state in .* is damaged/.test(first.text)) return first;
    await server.restart();
    return await deliver(server, before);
  } catch (cause) {
    return { kind: 'silent', text: String(cause).slice(0, 2_000) };
  } finally {
    await server.dispose();
  }
}

async function deliver(server: ServerProcess, before: History): Promise<Outcome> {
  const history = new History([QUEUE]);
  for (const [id, published] of before.published) history.published.set(id, published);
  history.deliveries.push(...before.deliveries);
  history.faults.push(...before.faults);
  const consumer = new Consumer('second', 5, QUEUE.name, server.mqtt, history);
  try {
    let seen = -1;
    for (let stillSinceMs = performance.now(); performance.now() - stillSinceMs < STILL_MS; ) {
      if (history.deliveries.length !== seen) stillSinceMs = performance.now();
      seen = history.deliveries.length;
      if (checkHistory(history, new Map()).lost.length === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const verdict = checkHistory(history, new Map());
    if (isClean(verdict)) return { kind: 'complete', text: '' };
    const { status, body } = await server.rest('anonymous').get('/readyz');
    const isOnlyMissing = isClean({ ...verdict, lost: [] });
    if (status === 503 && isOnlyMissing) return { kind: 'told', text: JSON.stringify(body) };
    return { kind: 'silent', text: `${formatVerdict(verdict)}; ready: ${JSON.stringify(body)}` };
  } finally {
    consumer.end();
  }
}
