export interface RestAnswer {
  status: number;
  headers: Headers;
  /** Parsed when the answer is JSON, text otherwise; undefined when it is empty. */
  body: unknown;
}

/** The management API as its users call it: HTTP Basic with key and secret. */
export class RestClient {
  readonly #base: string;
  readonly #authorization: string | undefined;
  readonly #withinMs: number | undefined;

  /** `base` as `http://host:port`; without a key requests are anonymous; without `withinMs` an answer is waited for. */
  constructor(base: string, key?: string, secret?: string, withinMs?: number) {
    this.#base = base;
    this.#withinMs = withinMs;
    this.#authorization =
      key === undefined ? undefined : `Basic ${Buffer.from(`${key}:${secret ?? ''}`).toString('base64')}`;
  }

  async get(path: string): Promise<RestAnswer> {
    return await this.request('GET', path);
  }

  async post(path: string, body: unknown): Promise<RestAnswer> {
    return await this.request('POST', path, body);
  }

  async put(path: string, body: unknown): Promise<RestAnswer> {
    return await this.request('PUT', path, body);
  }

  async delete(path: string): Promise<RestAnswer> {
    return await this.request('DELETE', path);
  }

  async request(method: string, path: string, body?: unknown): Promise<RestAnswer> {
    const headers: Record<string, string> = {};
    if (this.#authorization !== undefined) headers.authorization = this.#authorization;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      ...(this.#withinMs === undefined ? {} : { signal: AbortSignal.timeout(this.#withinMs) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    const parsed: unknown = text === '' ? undefined : isJson ? JSON.parse(text) : text;
    return { status: response.status, headers: response.headers, body: parsed };
  }
}
