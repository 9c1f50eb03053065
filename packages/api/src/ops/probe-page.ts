import type { IncomingMessage, ServerResponse } from 'node:http';
import { EXPOSITION_CONTENT_TYPE } from '@sluice/telemetry/exposition-text';
import { type HealthSource, healthView } from './health-view.ts';

/** What a node can tell before it is anybody: whether it lives, what it waits for, and its figures. */
export interface ProbedNode {
  health: HealthSource;
  metricsText: () => Promise<string>;
}

/**
 * Health and metrics without the API. A node may wait for others as long as these take, and a probe that gets no
 * connection meanwhile kills it; later, probes and scrapers are often the only ones who ask a node anything, every few
 * seconds, and are no reason to load what answers operators. False when the request asks for something else.
 */
export async function answeredProbe(
  { health, metricsText }: ProbedNode,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  switch (request.url?.split('?')[0]) {
    case '/metrics': {
      const page = await metricsText();
      response.writeHead(200, { ...HEADERS, 'content-type': EXPOSITION_CONTENT_TYPE }).end(page);
      return true;
    }
    case '/healthz':
    case '/livez':
      sendHealth(response, health.live());
      return true;
    case '/readyz':
      sendHealth(response, health.ready());
      return true;
    default:
      return false;
  }
}

/** The answer to everything else while the node has nothing to serve. */
export function answerNotYet({ health }: ProbedNode, response: ServerResponse): void {
  const reasons = health
    .ready()
    .checks.filter(({ ok }) => !ok)
    .map(({ reason }) => reason);
  const message = ['This node has no place in a cluster yet', ...reasons].join(': ');
  send(response, 503, {
    code: 'SERVICE_UNAVAILABLE',
    message,
    hint: 'try again in a moment; sluice doctor on this machine, or GET /readyz, says what it waits for',
  });
}

const HEADERS = { 'x-content-type-options': 'nosniff' };

function sendHealth(response: ServerResponse, report: ReturnType<HealthSource['live']>): void {
  send(response, report.ok ? 200 : 503, healthView(report));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response
    .writeHead(status, { ...HEADERS, 'content-type': 'application/json; charset=utf-8' })
    .end(JSON.stringify(body));
}
