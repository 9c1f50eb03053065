import { CliFailure, EXIT } from './cli-failure.ts';

export interface Connection {
  /** Without a slash at the end. */
  url: string;
  /** `key:secret`; undefined: none is sent. */
  apiKey: string | undefined;
}

export const DEFAULT_URL = 'http://127.0.0.1:18083';
/** Longer than any call takes that succeeds. */
const TIMEOUT_MS = 30_000;

/** Options win over variables. @throws CliFailure when they cannot be used. */
export function connectionFrom(
  options: { url?: string; apiKey?: string },
  env: Readonly<Record<string, string | undefined>>,
): Connection {
  const text = options.url ?? (env.SLUICE_URL || DEFAULT_URL);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new CliFailure(EXIT.usage, `"${text}" is not a URL`, `Write it like ${DEFAULT_URL} (--url or SLUICE_URL)`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new CliFailure(
      EXIT.usage,
      `"${text}" is not an HTTP URL`,
      'The REST API is meant, customarily on port 18083, not the MQTT listener',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new CliFailure(EXIT.usage, 'The URL must not hold credentials', 'Give the key as SLUICE_API_KEY=key:secret');
  }
  const apiKey = options.apiKey ?? (env.SLUICE_API_KEY || undefined);
  if (apiKey !== undefined && !/^[^:]+:.+$/.test(apiKey)) {
    throw new CliFailure(
      EXIT.usage,
      'The API key must be key:secret',
      'It is a line of the key file, without role (--api-key or SLUICE_API_KEY)',
    );
  }
  return { url: `${url.origin}${url.pathname}`.replace(/\/+$/, ''), apiKey };
}

/** One request. @throws CliFailure with the exit code that fits. */
export async function callApi(connection: Connection, method: string, path: string, body?: unknown): Promise<unknown> {
  const headers = headersOf(connection, 'application/json');
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${connection.url}${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      // A key must not follow where it was not sent.
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch (error) {
    throw unreachable(connection, error);
  }
  const answer = parseAnswer(text, response, connection);
  if (!response.ok) throw failureOf(response.status, answer, connection);
  return answer;
}

/** An answer of any length, as fast as it is taken. One that breaks off ends with a `CliFailure` that may pass. */
export async function streamApi(connection: Connection, path: string): Promise<AsyncIterable<Uint8Array>> {
  let response: Response;
  let text: string;
  try {
    const headers = headersOf(connection, 'application/octet-stream');
    response = await fetch(`${connection.url}${path}`, { headers, redirect: 'error' });
    const { body } = response;
    if (response.ok && body !== null) return chunksOf(connection, body);
    text = await response.text();
  } catch (error) {
    throw unreachable(connection, error);
  }
  throw failureOf(response.status, parseAnswer(text, response, connection), connection);
}

async function* chunksOf(connection: Connection, body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw new CliFailure(EXIT.unreachable, `The answer of ${connection.url} broke off: ${reasonOf(error)}`);
  } finally {
    // Nobody reads the rest of it.
    await reader.cancel().catch(() => {});
  }
}

function headersOf({ apiKey }: Connection, accept: string): Record<string, string> {
  const headers: Record<string, string> = { accept };
  if (apiKey !== undefined) headers.authorization = `Basic ${Buffer.from(apiKey).toString('base64')}`;
  return headers;
}

function unreachable({ url }: Connection, error: unknown): CliFailure {
  return new CliFailure(
    EXIT.unreachable,
    `No answer from ${url}: ${reasonOf(error)}`,
    'Is the server running, and is this its HTTP listener? Choose another with --url or SLUICE_URL',
  );
}

function parseAnswer(text: string, response: Response, connection: Connection): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new CliFailure(
      EXIT.failure,
      `${connection.url} answered ${response.status} with something that is not JSON`,
      'Is this the REST API of a Sluice server?',
      isAway(response.status),
    );
  }
}

function failureOf(status: number, answer: unknown, connection: Connection): CliFailure {
  const { message, hint, code } = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<
    string,
    unknown
  >;
  const text = typeof message === 'string' ? message : `The server answered ${status}`;
  const advice = typeof hint === 'string' ? hint : '';
  if (status === 401) {
    const missing = connection.apiKey === undefined;
    return new CliFailure(
      EXIT.unauthorised,
      missing ? 'The server asks for an API key' : text,
      missing
        ? 'Give one as SLUICE_API_KEY=key:secret or with --api-key'
        : 'Check the key and its secret; --api-key wins over SLUICE_API_KEY',
    );
  }
  if (status === 403) return new CliFailure(EXIT.unauthorised, text, advice);
  if (status === 404 && code === 'NOT_FOUND') return new CliFailure(EXIT.notFound, text, advice);
  return new CliFailure(EXIT.failure, text, advice, isAway(status));
}

/** The server says so, or a proxy that does not reach it, in its own words. */
function isAway(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}

function reasonOf(error: unknown): string {
  const { name, cause, message } = error as {
    name?: string;
    message?: string;
    cause?: { code?: string; message?: string };
  };
  if (name === 'TimeoutError') return `nothing within ${TIMEOUT_MS / 1_000} seconds`;
  if (cause?.code === 'ECONNREFUSED') return 'connection refused';
  if (cause?.code === 'ENOTFOUND') return 'unknown host';
  // OpenSSL's own words for it are a line of its source.
  if (/wrong version number|packet length too long/.test(cause?.message ?? ''))
    return 'it speaks plain HTTP, so write http://';
  return cause?.message || cause?.code || message || 'unknown error';
}
