import { request } from 'node:http';
import { afterAll } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { ApiListener } from '../src/api-listener.ts';
import type { ApiKeyRecord } from '../src/auth/api-key-file.ts';
import { createApiKeyStore } from '../src/auth/api-key-store.ts';
import type { ApiOptions } from '../src/create-api.ts';
import { MemoryAccessManagement } from './memory-access-management.ts';
import { MemoryBackupManagement } from './memory-backup-management.ts';
import { MemoryClusterManagement } from './memory-cluster-management.ts';
import { MemoryConnectionBalance } from './memory-connection-balance.ts';
import { MemoryQueueManagement } from './memory-queue-management.ts';
import { MemoryRetainedManagement } from './memory-retained-management.ts';

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers whose shape is what they check.
  body: any;
  headers: Record<string, unknown>;
  text: string;
}

export interface ApiFixture {
  api: ApiListener;
  queues: MemoryQueueManagement;
  call(method: string, url: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export const NOW_MS = 1_800_000_000_000;

export function createFixture(
  options: Partial<ApiOptions> & { keys?: ApiKeyRecord[]; isServing?: boolean } = {},
): ApiFixture {
  const { keys = [], isServing = true, ...rest } = options;
  const queues = (rest.queues as MemoryQueueManagement | undefined) ?? new MemoryQueueManagement();
  const check = { name: 'partitions', ok: true, reason: '', sinceMs: NOW_MS };
  const served: ApiOptions = {
    queues,
    cluster: new MemoryClusterManagement(),
    connections: new MemoryConnectionBalance(),
    retained: new MemoryRetainedManagement(),
    access: new MemoryAccessManagement(),
    backup: new MemoryBackupManagement(),
    validateKeyExpression: (source) =>
      source.includes('(') && !source.includes(')')
        ? { ok: false, message: 'a parenthesis is not closed at 1:4', hint: 'Add a )' }
        : { ok: true },
    apiKeys: createApiKeyStore(keys),
    anonymous: keys.length === 0,
    health: { live: () => ({ ok: true, checks: [check] }), ready: () => ({ ok: true, checks: [check] }) },
    nodes: () => [
      {
        name: 'sluice@n1',
        roles: ['gateway'],
        status: 'running',
        version: '1.2.3',
        startedAtMs: NOW_MS - 5_000,
        connections: 7,
      },
    ],
    nodeName: 'sluice@n1',
    version: '1.2.3',
    logger: silentLogger,
    clock: { nowMs: () => NOW_MS, monotonicMs: () => 0 },
    metricsText: async () => '# HELP sluice_up 1 while it runs\nsluice_up 1\n',
    ...rest,
    ...(rest.queues === undefined ? { queues } : {}),
  };
  const metricsText = served.metricsText ?? (async () => '');
  const api = new ApiListener({ ...served, metricsText });
  if (isServing) api.serve(served);
  let port: Promise<number> | undefined;
  return {
    api,
    queues,
    async call(method, url, body, headers = {}) {
      port ??= listen(api);
      const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
      return exchange(await port, method, url, payload, { ...type, ...headers });
    },
  };
}

const opened: ApiListener[] = [];

export async function listen(api: ApiListener): Promise<number> {
  opened.push(api);
  return (await api.listen({ host: '127.0.0.1', port: 0 })).port;
}

afterAll(async () => {
  for (const api of opened.splice(0)) await api.close();
});

/** One request over a socket of its own: headers go out exactly as given. */
function exchange(
  port: number,
  method: string,
  path: string,
  payload: string | undefined,
  headers: Record<string, string>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) };
    const outgoing = request(
      { host: '127.0.0.1', port, method, path, agent: false, headers: { ...length, ...headers } },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const isJson = String(incoming.headers['content-type']).startsWith('application/json');
          resolve({
            status: incoming.statusCode ?? 0,
            body: isJson && text !== '' ? JSON.parse(text) : text,
            headers: incoming.headers,
            text,
          });
        });
        incoming.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}
