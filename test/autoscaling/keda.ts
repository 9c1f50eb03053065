import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { Address } from '../harness/server-process.ts';

const PROTO = new URL('../../proto/keda/external-scaler.proto', import.meta.url).pathname;
const CALL_MS_MAX = 10_000;

/**
 * KEDA and the autoscaler behind it, for one fleet of workers: what they ask an external scaler and what they make of
 * the answers, without a cluster around it. The contract is read from its file, not from our code for it.
 */
export class Keda {
  readonly #client: ScalerClient;
  readonly #trigger: { name: string; namespace: string; scalerMetadata: Record<string, string> };
  readonly #replicasMax: number;
  readonly #stream: grpc.ClientReadableStream<{ result: boolean }>;
  /** What was pushed, in its order. */
  readonly pushed: { active: boolean; atMs: number }[] = [];

  constructor(scaler: Address, metadata: Record<string, string>, replicasMax: number) {
    const { externalscaler } = grpc.loadPackageDefinition(loadSync(PROTO, { longs: Number })) as unknown as Contract;
    this.#client = new externalscaler.ExternalScaler(
      `${scaler.host}:${scaler.port}`,
      grpc.credentials.createInsecure(),
    );
    this.#trigger = { name: 'workers', namespace: 'default', scalerMetadata: metadata };
    this.#replicasMax = replicasMax;
    this.#stream = this.#client.StreamIsActive(this.#trigger);
    this.#stream.on('data', ({ result }: { result: boolean }) =>
      this.pushed.push({ active: result, atMs: performance.now() }),
    );
    this.#stream.on('error', () => {});
  }

  /** Between none and one KEDA decides, beyond that the autoscaler: total over a worker's share, rounded up. */
  async replicas(): Promise<number> {
    const { result } = await this.#call('IsActive', this.#trigger);
    if (!result) return 0;
    const [spec] = (await this.#call('GetMetricSpec', this.#trigger)).metricSpecs ?? [];
    const metricName = spec?.metricName;
    const [value] = (await this.#call('GetMetrics', { scaledObjectRef: this.#trigger, metricName })).metricValues ?? [];
    if (spec === undefined || value === undefined || value.metricName !== metricName) {
      throw new Error('no value of the metric it was told of');
    }
    const wanted = Math.ceil(value.metricValueFloat / spec.targetSizeFloat);
    return Math.min(this.#replicasMax, Math.max(1, wanted));
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #call(method: 'IsActive' | 'GetMetricSpec' | 'GetMetrics', request: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#client[method](request, { deadline: Date.now() + CALL_MS_MAX }, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(error);
      });
    });
  }
}

interface Answer {
  result?: boolean;
  metricSpecs?: { metricName: string; targetSizeFloat: number }[];
  metricValues?: { metricName: string; metricValueFloat: number }[];
}

type Ask = (request: object, options: object, answered: (error: Error | null, answer: Answer) => void) => void;

interface ScalerClient {
  IsActive: Ask;
  GetMetricSpec: Ask;
  GetMetrics: Ask;
  StreamIsActive(request: object): grpc.ClientReadableStream<{ result: boolean }>;
  close(): void;
}

interface Contract {
  externalscaler: { ExternalScaler: new (address: string, credentials: grpc.ChannelCredentials) => ScalerClient };
}
