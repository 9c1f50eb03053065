import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '@sluice/common/logger';
import { listenOn, UNACCEPTED_HINT } from '@sluice/rpc/listen-on';
import type { Api, ApiOptions } from './create-api.ts';
import { answeredProbe, answerNotYet, type ProbedNode } from './ops/probe-page.ts';

/** Connections of operators and scrapers: a thousand is a mistake, not a load. */
const CONNECTIONS_MAX = 1_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Longer than the idle time of common load balancers, so that they close first. */
const KEEP_ALIVE_MS = 72_000;
/** From the first byte, or from connecting without one, to the end of the headers. */
const HEADERS_TIMEOUT_MS = 10_000;
/** How often both deadlines are looked at; by default only every 30 seconds. */
const DEADLINES_LOOK_MS = 1_000;
/** While closing: how often connections that became idle are looked for. */
const CLOSE_LOOK_MS = 50;
/** While closing: how long requests that have begun may take. Nobody is to hold up a stop by not finishing his. */
const CLOSE_GRACE_MS = 2_000;

/** What there is of a node before it can serve. */
export interface ApiFront extends ProbedNode {
  logger: Logger;
  /** Whether calls without a key are an administrator's. */
  anonymous: boolean;
  connectionsMax?: number;
}

/**
 * The port of the API, open at once; what answers on it is loaded by the first request.
 *
 * A broker is started to move messages, often on a small device, and most are asked something over HTTP rarely or never.
 * The routes with their framework and their document are a third of all code of a node: a sixth of a second of each
 * start and twenty megabytes for as long as it runs. The first request waits for them, all others do not. Health and
 * metrics are answered without them: before the node has anything to serve, and until somebody asks for more.
 */
export class ApiListener {
  readonly #front: ApiFront;
  readonly #server: Server;
  #options: ApiOptions | undefined;
  #api: Promise<Api> | undefined;
  #isUnacceptedTold = false;

  constructor(front: ApiFront) {
    this.#front = front;
    this.#server = createServer(
      {
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: DEADLINES_LOOK_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
      },
      this.#first,
    );
    this.#server.maxConnections = front.connectionsMax ?? CONNECTIONS_MAX;
  }

  /** Resolves with where it listens: port 0 lets the system choose. */
  async listen({ host, port }: { host: string; port: number }): Promise<{ host: string; port: number }> {
    const bound = await listenOn(
      this.#server,
      { host, port },
      { purpose: 'for the REST API', unaccepted: this.#unaccepted },
    );
    if (this.#front.anonymous) {
      // Whoever allowed it beyond this machine was warned by the configuration.
      this.#front.logger.info({ ...bound }, 'the REST API answers without an API key');
    }
    return bound;
  }

  /** Somebody has asked for more than health and metrics. */
  get isLoaded(): boolean {
    return this.#api !== undefined;
  }

  /** From now on all of the API is answered. */
  serve(options: ApiOptions): void {
    this.#options = options;
  }

  /** Answers what has begun and is soon complete, then closes. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setInterval(() => this.#server.closeIdleConnections(), CLOSE_LOOK_MS);
    const grace = setTimeout(() => this.#server.closeAllConnections(), CLOSE_GRACE_MS);
    await closed;
    clearInterval(timer);
    clearTimeout(grace);
    await (await this.#api)?.close();
  }

  /** Told once: it is the same for every connection until the limit is raised. */
  readonly #unaccepted = (cause: Error): void => {
    if (this.#isUnacceptedTold) return;
    this.#isUnacceptedTold = true;
    this.#front.logger.warn(
      { err: cause, hint: UNACCEPTED_HINT },
      'a connection to the REST API could not be accepted',
    );
  };

  /** Answers until the framework has taken the server over; requests of that moment are handed on to it. */
  readonly #first = (request: IncomingMessage, response: ServerResponse): void => {
    this.#answerFirst(request, response).catch(() => response.destroy());
  };

  async #answerFirst(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (await answeredProbe(this.#front, request, response)) return;
    if (this.#options === undefined) {
      answerNotYet(this.#front, response);
      return;
    }
    this.#api ??= this.#load(this.#options);
    try {
      await this.#api;
    } catch (cause) {
      // Tried again by the next request.
      this.#api = undefined;
      this.#front.logger.error({ err: cause }, 'the REST API cannot be loaded');
      response.writeHead(500).end();
      return;
    }
    this.#server.emit('request', request, response);
  }

  async #load(options: ApiOptions): Promise<Api> {
    const { createApi } = await import('./create-api.ts');
    const api = createApi(options, (handler) => this.#server.on('request', handler));
    await api.ready();
    this.#server.off('request', this.#first);
    return api;
  }
}
