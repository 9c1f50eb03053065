import type { IncomingMessage, ServerResponse } from 'node:http';
import { EXPOSITION_CONTENT_TYPE } from '@sluice/telemetry/exposition-text';
import { type HealthSource, healthView } from './health-view.ts';

/** What a node can tell before it is anybody: whether it lives, what it waits for, and its figures. */
export interface StartingNode {
  health: HealthSource;
  metricsText: () => Promise<string>;
}

/**
 * A node may wait for others as long as these take, and a probe that gets no connection meanwhile kills it. So health and
 * metrics are answered from the first moment on, by this alone; everything else is told to come back.
 */
export async function answerWhileStarting(
  { health, metricsText }: StartingNode,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?')[0];
  if (path === '/metrics') {
    const page = await metricsText();
    response.writeHead(200, { 'content-type': EXPOSITION_CONTENT_TYPE }).end(page);
    return;
  }
  const report = path === '/healthz' || path === '/livez' ? health.live() : health.ready();
  if (path === '/healthz' || path === '/livez' || path === '/readyz') {
    send(response, report.ok ? 200 : 503, healthView(report));
    return;
  }
  const reasons = report.checks.filter(({ ok }) => !ok).map(({ reason }) => reason);
  const message = ['This node has no place in a cluster yet', ...reasons].join(': ');
  send(response, 503, { code: 'SERVICE_UNAVAILABLE', message, hint: 'see /readyz, and try again' });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}
