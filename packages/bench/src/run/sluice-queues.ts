import { SluiceError } from '@sluice/common/errors';
import type { ChannelNeed } from './peer.ts';

/** Queues by the REST API, as anybody declares them. */
export interface Rest {
  /** Without a slash at the end. */
  url: string;
  /** `key:secret`. */
  apiKey?: string | undefined;
}

/** A topic a key. */
const KEY_EXPRESSION = 'message.topic';
const PATIENCE_MS = 30_000;
const RETRY_MS = 100;
const ASKED_AT_ONCE_MAX = 16;

/** Of queues, or what is subscribed to plainly. */
function filtersOf(need: ChannelNeed): string[] {
  return need.kind === 'last-value' ? [`bench/${need.name}/+`] : topicsOf(need);
}

export function topicsOf(need: ChannelNeed): string[] {
  if (need.kind !== 'last-value' && need.kind !== 'queues') return [`bench/${need.name}`];
  return Array.from({ length: need.keys }, (_, key) => `bench/${need.name}/${key}`);
}

export function sourcesOf(need: ChannelNeed): string[] {
  return need.kind === 'fan-out' ? filtersOf(need) : filtersOf(need).map((filter) => `$q/${filter}`);
}

/** None for a fan-out. */
export async function createQueues(rest: Rest, need: ChannelNeed): Promise<void> {
  if (need.kind !== 'fan-out') await eachOf(filtersOf(need), (filter) => createQueue(rest, need, filter));
}

export async function deleteQueues(rest: Rest, need: ChannelNeed): Promise<void> {
  if (need.kind === 'fan-out') return;
  await eachOf(filtersOf(need), async (filter) => {
    await request(rest, 'DELETE', `/api/v5/message_queues/queues/${encodeURIComponent(filter)}`);
  });
}

async function eachOf(filters: readonly string[], act: (filter: string) => Promise<void>): Promise<void> {
  let next = 0;
  const lanes = Array.from({ length: Math.min(ASKED_AT_ONCE_MAX, filters.length) }, async () => {
    while (next < filters.length) await act(filters[next++] as string);
  });
  await Promise.all(lanes);
}

async function createQueue(rest: Rest, need: ChannelNeed, filter: string): Promise<void> {
  const isLastValue = need.kind === 'last-value';
  const body = {
    topic_filter: filter,
    is_lastvalue: isLastValue,
    ...(isLastValue ? { key_expression: KEY_EXPRESSION } : {}),
    dispatch_strategy: 'round_robin',
    local_max_inflight: need.prefetch,
  };
  const endMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const response = await request(rest, 'POST', '/api/v5/message_queues/queues', body);
    if (response.ok) return;
    const text = await response.text();
    // A cluster that has just begun may not have elected all its leaders; stored, it takes effect by itself.
    if (response.status === 503 && text.includes('is stored')) return;
    if (response.status !== 503 || performance.now() > endMs) {
      throw new SluiceError('BENCH_QUEUE_REFUSED', `the queue was refused: ${response.status} ${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/**
 * A gateway is ready when it knows who leads every partition: before that, a cluster is measured while it forms. Asked of
 * the probe, like an orchestrator does, since the first call of the API makes a node larger.
 */
export async function isReady(url: string): Promise<boolean> {
  try {
    const response = await request({ url }, 'GET', '/readyz');
    await response.text();
    return response.ok;
  } catch {
    return false;
  }
}

async function request(rest: Rest, method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (rest.apiKey !== undefined) headers.authorization = `Basic ${Buffer.from(rest.apiKey).toString('base64')}`;
  try {
    return await fetch(`${rest.url}${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch (error) {
    const { cause } = error as { cause?: { message?: string } };
    throw new SluiceError(
      'BENCH_NO_REST',
      `no answer from ${rest.url}: ${cause?.message ?? (error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
