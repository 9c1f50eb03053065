import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Counter, Gauge, Histogram, type Labels, type Metrics } from '@sluice/common/metrics';
import { type QueueManagement, type Refusal, refuse } from '@sluice/rpc/contract/queue-management';
import type { Workload } from '../src/demand.ts';
import { ScalerListener, type ScalerTls } from '../src/scaler-listener.ts';

interface Answers {
  GetMetricSpec: { metricSpecs: { metricName: string; targetSize: number; targetSizeFloat: number }[] };
  GetMetrics: { metricValues: { metricName: string; metricValue: number; metricValueFloat: number }[] };
  IsActive: { result: boolean };
}

type Questions = {
  [method in keyof Answers]: (
    request: object,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, answer: Answers[method]) => void,
  ) => void;
};

interface ScalerClient extends grpc.Client, Questions {
  StreamIsActive(request: object): grpc.ClientReadableStream<Answers['IsActive']>;
}

/** KEDA's side, made from the published contract and not from our code for it. */
const { externalscaler } = grpc.loadPackageDefinition(
  loadSync(new URL('../../../proto/keda/external-scaler.proto', import.meta.url).pathname, { longs: Number }),
) as unknown as {
  externalscaler: { ExternalScaler: new (address: string, credentials: grpc.ChannelCredentials) => ScalerClient };
};

class Queues {
  figures = new Map<string, Workload>([
    ['jobs', { lagMessages: 0, readyMessages: 0, inflightMessages: 0, consumers: 0, acceptedTotal: 0 }],
  ]);
  led = true;
  asked = 0;

  async get(name: string): Promise<{ ok: true; value: { name: string } } | Refusal> {
    return this.figures.has(name) ? { ok: true, value: { name } } : refuse('NOT_FOUND', `there is no queue ${name}`);
  }

  async statistics(names: readonly string[]) {
    this.asked++;
    const known = names.filter((name) => this.led && this.figures.has(name));
    return { ok: true, value: new Map(known.map((name) => [name, this.figures.get(name)])) };
  }

  set(figures: Partial<Workload>) {
    this.figures.set('jobs', { ...(this.figures.get('jobs') as Workload), ...figures });
  }
}

class Counted implements Metrics {
  readonly #counters = new Map<string, Counter>();
  readonly collected = new Map<string, () => Iterable<[Labels, number]>>();

  get counts(): Map<string, number> {
    return new Map([...this.#counters].map(([asked, { value }]) => [asked, value]));
  }
  collect(name: string, _help: string, _type: string, read: () => Iterable<[Labels, number]>): void {
    this.collected.set(name, read);
  }
  counter(_name: string, _help: string, { method, outcome }: Labels = {}): Counter {
    const asked = `${method} ${outcome}`;
    const counter = this.#counters.get(asked) ?? new Counter();
    this.#counters.set(asked, counter);
    return counter;
  }
  gauge(): Gauge {
    return new Gauge();
  }
  histogram(_name: string, _help: string, bounds: readonly number[]): Histogram {
    return new Histogram(bounds);
  }
  collectHistograms(): void {}
}

let opened: { listener: Pick<ScalerListener, 'close'>; client: ScalerClient }[] = [];

async function open(tls?: ScalerTls, credentials = grpc.credentials.createInsecure()) {
  const queues = new Queues();
  const metrics = new Counted();
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const management = queues as unknown as QueueManagement;
  const listener = new ScalerListener({ queues: management, clock, metrics, tls });
  const port = await listener.listen('127.0.0.1', 0);
  const client = new externalscaler.ExternalScaler(`localhost:${port}`, credentials);
  opened.push({ listener, client });
  const questions: Questions = client;
  const call = <Method extends keyof Answers>(method: Method, request: object): Promise<Answers[Method]> =>
    new Promise((resolve, reject) => {
      questions[method](request, { deadline: Date.now() + 10_000 }, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });
  return { queues, metrics, listener, client, call, advance: (ms: number) => (nowMs += ms) };
}

const ref = (scalerMetadata: Record<string, string>) => ({ name: 'workers', namespace: 'default', scalerMetadata });

afterEach(async () => {
  for (const { listener, client } of opened) {
    client.close();
    await listener.close();
  }
  opened = [];
});

describe('the port of the autoscaler', () => {
  test('says how much there is and what one worker’s share is', async () => {
    const { queues, call, metrics, advance } = await open();
    queues.set({ lagMessages: 47, readyMessages: 40, inflightMessages: 7, consumers: 2 });
    const trigger = ref({ queue: 'jobs', target: '5' });
    expect(await call('GetMetricSpec', trigger)).toEqual({
      metricSpecs: [{ metricName: 'messages', targetSize: 5, targetSizeFloat: 5 }],
    });
    expect(await call('GetMetrics', { scaledObjectRef: trigger, metricName: 'messages' })).toEqual({
      metricValues: [{ metricName: 'messages', metricValue: 47, metricValueFloat: 47 }],
    });
    expect(await call('IsActive', trigger)).toEqual({ result: true });
    const wanted = () => metrics.collected.get('sluice_scaler_wanted_workers')?.();
    expect(wanted()).toEqual([[{ queue: 'jobs' }, 10]]);
    advance(120_001);
    expect(wanted()).toEqual([]);
    queues.set({ lagMessages: 0, readyMessages: 0, inflightMessages: 0 });
    expect(await call('IsActive', trigger)).toMatchObject({ result: false });
    expect(metrics.counts).toEqual(
      new Map([
        ['GetMetricSpec ok', 1],
        ['GetMetrics ok', 1],
        ['IsActive ok', 2],
      ]),
    );
  });

  test('counts workers by the time their jobs take', async () => {
    const { queues, call, advance } = await open();
    const request = { scaledObjectRef: ref({ queue: 'jobs', targetLagSeconds: '60' }), metricName: 'workers' };
    const asked = async () => (await call('GetMetrics', request)).metricValues[0]?.metricValueFloat;
    queues.set({ lagMessages: 104, readyMessages: 100, inflightMessages: 4, consumers: 4 });
    expect(await asked()).toBe(4);
    for (let round = 1; round <= 8; round++) {
      advance(15_000);
      queues.set({ acceptedTotal: round * 6 });
      await asked();
    }
    // Each does one in ten seconds: six a minute.
    expect(await asked()).toBe(18);
  });

  test('a queue that is not there, and one nobody knows of, are no zeros', async () => {
    const { queues, call, metrics } = await open();
    const request = (queue: string) => ({ scaledObjectRef: ref({ queue }), metricName: 'messages' });
    await expect(call('GetMetrics', request('jbos'))).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    await expect(call('IsActive', ref({ queue: 'jbos' }))).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    queues.led = false;
    await expect(call('GetMetrics', request('jobs'))).rejects.toMatchObject({ code: grpc.status.UNAVAILABLE });
    await expect(call('GetMetrics', { metricName: 'messages' })).rejects.toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      details: expect.stringContaining('queue is missing'),
    });
    expect(metrics.counts.get('GetMetrics not_found')).toBe(1);
  });

  test('names of strangers touch no object', async () => {
    const { call } = await open();
    const metadata = JSON.parse('{"queue":"jobs","__proto__":"x","constructor":"y"}');
    await expect(call('IsActive', ref(metadata))).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  });

  test('who waits for the first message hears of it, and of the last', async () => {
    const { queues, client } = await open();
    const heard: boolean[] = [];
    const stream = client.StreamIsActive(ref({ queue: 'jobs' }));
    let wake = () => {};
    stream.on('data', ({ result }) => {
      heard.push(result);
      wake();
    });
    stream.on('error', () => {});
    const hears = async (count: number) => {
      while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve));
    };
    await hears(1);
    queues.set({ lagMessages: 1, readyMessages: 1 });
    await hears(2);
    // Nobody leads: neither empty nor full.
    queues.led = false;
    const { asked } = queues;
    while (queues.asked < asked + 2) await new Promise((resolve) => setImmediate(resolve));
    queues.led = true;
    queues.set({ lagMessages: 0, readyMessages: 0 });
    await hears(3);
    expect(heard).toEqual([false, true, false]);
    stream.cancel();
  });

  test('over TLS, with renewed certificates for new connections', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-scaler-'));
    try {
      const make = (name: string) => {
        const path = (kind: string) => join(folder, `${name}.${kind}`);
        execFileSync(
          'openssl',
          [
            'req',
            '-x509',
            '-newkey',
            'ec',
            '-pkeyopt',
            'ec_paramgen_curve:prime256v1',
            '-nodes',
            '-keyout',
            path('key'),
            '-out',
            path('pem'),
            '-subj',
            `/CN=${name}`,
            '-addext',
            'subjectAltName=DNS:localhost',
            '-days',
            '2',
          ],
          { stdio: 'ignore' },
        );
        return { cert: readFileSync(path('pem')), key: readFileSync(path('key')) };
      };
      const first = make('first');
      const second = make('second');
      const { listener, client, call } = await open(first, grpc.credentials.createSsl(first.cert));
      expect(await call('IsActive', ref({ queue: 'jobs' }))).toMatchObject({ result: false });
      listener.setTls(second);
      const port = client.getChannel().getTarget().split(':').at(-1);
      const again = new externalscaler.ExternalScaler(`localhost:${port}`, grpc.credentials.createSsl(second.cert));
      opened.push({ client: again, listener: { close: async () => {} } });
      const answer = await new Promise((resolve, reject) => {
        again.IsActive(ref({ queue: 'jobs' }), { deadline: Date.now() + 10_000 }, (error, value) =>
          error ? reject(error) : resolve(value),
        );
      });
      expect(answer).toMatchObject({ result: false });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
