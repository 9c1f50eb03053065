import { type Connection, callApi } from '../rest-client.ts';

/** The answers of the API as far as the commands read them. */
export interface QueueAnswer {
  name: string;
  topic_filter: string;
  is_lastvalue: boolean;
  key_expression?: string;
  data_retention_period: number;
  dispatch_strategy: string;
  limits: { max_message_count: number | 'infinity'; max_message_bytes: number | 'infinity'; overflow: string };
  local_max_inflight: number;
  redispatch_interval: number;
  /** Milliseconds; "default" when the queue has none of its own. A server of an earlier version does not say it. */
  lag_objective?: number | 'default';
  partitions: number;
  created_at: string;
}

export interface StatisticsAnswer {
  name: string;
  statistics: {
    depth_messages: number;
    depth_bytes: number;
    ready_messages: number;
    inflight_messages: number;
    lag_messages: number;
    lag_seconds: number;
    oldest_message_age_seconds: number;
    /** A server of an earlier version does not say it. */
    lag_objective_seconds?: number;
    consumers: number;
    status: string;
    published_per_second: number | null;
    settled_per_second: number | null;
    drain_seconds: number | null;
    delivered_total: number;
    redelivered_total: number;
    keys: number;
    published_total: number;
    accepted_total: number;
    returned_total: number;
    refused_total: number;
    expired_total: number;
    overwritten_total: number;
    dropped_total: number;
    purged_total: number;
    partitions: {
      partition: number;
      head_offset: number;
      tail_offset: number;
      depth_messages: number;
      leader: string | null;
    }[];
  } | null;
}

export interface MessageAnswer {
  partition: number;
  offset: number;
  topic: string;
  publisher: string;
  qos: number;
  published_at: string;
  expires_at: string | null;
  delivery_count: number;
  state: string;
  key: string | null;
  properties: { content_type?: string; user_properties: { name: string; value: string }[] };
  payload: string;
  payload_text: string | null;
  payload_size: number;
  truncated: boolean;
}

export interface MessagePageAnswer {
  data: MessageAnswer[];
  meta: { next: number | null };
}

interface Page<T> {
  data: T[];
  meta: { hasnext: boolean; cursor?: string };
}

export const QUEUES = '/api/v5/message_queues/queues';
/** Rows a page; the server allows as many for statistics. */
const PAGE_LIMIT = 1_000;

export function queuePath(name: string, rest = ''): string {
  return `${QUEUES}/${encodeURIComponent(name)}${rest}`;
}

export async function getAllQueues(connection: Connection): Promise<QueueAnswer[]> {
  return getAllPages<QueueAnswer>(connection, QUEUES);
}

export async function getAllStatistics(connection: Connection): Promise<StatisticsAnswer[]> {
  return getAllPages<StatisticsAnswer>(connection, '/api/v5/message_queues/stats');
}

async function getAllPages<T>(connection: Connection, path: string): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page = (await callApi(connection, 'GET', `${path}?limit=${PAGE_LIMIT}${query}`)) as Page<T>;
    all.push(...page.data);
    cursor = page.meta.hasnext ? page.meta.cursor : undefined;
  } while (cursor !== undefined);
  return all;
}

export async function getQueue(connection: Connection, name: string): Promise<QueueAnswer> {
  return (await callApi(connection, 'GET', queuePath(name))) as QueueAnswer;
}

/** null when no leader answers: unknown, not zero. */
export async function getStatistics(connection: Connection, name: string): Promise<StatisticsAnswer['statistics']> {
  try {
    return ((await callApi(connection, 'GET', queuePath(name, '/stats'))) as StatisticsAnswer).statistics;
  } catch (error) {
    if (error instanceof Error && /figures are not known/.test(error.message)) return null;
    throw error;
  }
}
