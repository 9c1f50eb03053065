/** The REST API as its users call it, with a key when there is one. */
export class Rest {
  #base;
  #headers;

  /** `apiKey` is `key:secret`. */
  constructor(address, apiKey) {
    this.#base = `http://${address.replace(/^https?:\/\//, '')}`;
    this.#headers = apiKey === undefined ? {} : { authorization: `Basic ${Buffer.from(apiKey).toString('base64')}` };
  }

  async get(path) {
    return await this.#request('GET', path);
  }

  async createQueue(definition) {
    return await this.#request('POST', '/api/v5/message_queues/queues', definition);
  }

  async removeQueue(name) {
    await this.#request('DELETE', `/api/v5/message_queues/queues/${encodeURIComponent(name)}`);
  }

  /** The node that leads the partition of a queue; undefined while nobody is known to. */
  async leaderOf(queue) {
    const { statistics } = await this.get(`/api/v5/message_queues/queues/${encodeURIComponent(queue)}/stats`);
    return statistics?.partitions[0]?.leader ?? undefined;
  }

  async #request(method, path, body) {
    const response = await fetch(this.#base + path, {
      method,
      headers: body === undefined ? this.#headers : { 'content-type': 'application/json', ...this.#headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : await response.json();
  }
}

const REQUEST_MS_MAX = 20_000;

export function hostAndPort(address) {
  const at = address.lastIndexOf(':');
  return [address.slice(0, at).replace(/^.*\/\/|[[\]]/g, ''), Number(address.slice(at + 1))];
}
