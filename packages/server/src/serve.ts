import { systemClock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import { JsonLogger, type JsonLoggerOptions } from '@sluice/telemetry/json-logger';
import { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { formatAddress } from './config/address.ts';
import type { ServerConfig } from './config/config.ts';
import { LastWords } from './last-words.ts';
import { NodeHealth } from './node/node-health.ts';
import { RunningNode } from './node/running-node.ts';
import { type ApiRole, openApi } from './roles/api-role.ts';
import { openScaler, type ScalerRole } from './roles/scaler-role.ts';

const EXIT_FAILED = 1;
/** After the time for draining: closing what is open. Together below the 30 seconds after which process managers kill. */
const CLOSE_MS_MAX = 4_000;
/** For a stop before there is a node: nothing was accepted that would have to be finished. */
const NO_NODE_STOP_MS_MAX = 1_000;

/** Runs a node in this process until a signal ends it: everything that `sluice server` needs and no other command does. */
export async function serve(config: ServerConfig, warnings: readonly string[]): Promise<void> {
  const options: JsonLoggerOptions = {
    level: config.log.level,
    ...(config.log.format === 'text' ? { pretty: true } : {}),
  };
  const logger = JsonLogger.open(options);
  const lastWords: LastWords = new LastWords(logger, JsonLogger.open({ ...options, sync: true }));
  for (const warning of warnings) logger.warn({}, warning);
  let node: RunningNode | undefined;
  let api: ApiRole | undefined;
  let scaler: ScalerRole | undefined;
  let stopping = false;
  /** Of the stop: whatever fails because of it does not make another end of it. */
  let stopCode = 0;
  const stop = async (signal: string, exitCode = 0): Promise<void> => {
    if (stopping) return;
    stopping = true;
    stopCode = exitCode;
    const { drainTimeoutMs } = config.node;
    // Whoever waits for a place in a cluster looks at `stopping`; what it asked may take as long as a call.
    const limitMs = node === undefined ? NO_NODE_STOP_MS_MAX : drainTimeoutMs + CLOSE_MS_MAX;
    setTimeout(() => {
      logger.warn({ limitMs }, 'stopping takes too long: left as after a crash, what was acknowledged is on the disk');
      lastWords.leave(exitCode);
    }, limitMs);
    if (node === undefined) {
      logger.info({ signal }, 'stopping before there is a node');
      return;
    }
    logger.info({ signal }, 'draining');
    try {
      await node.drain(drainTimeoutMs);
      // Its health page says that it is stopping until then.
      await api?.stop();
      await scaler?.stop();
      await node.close();
      logger.info({}, 'stopped');
      lastWords.leave(exitCode);
    } catch (cause) {
      logger.error({ err: cause }, 'stopping failed; what was acknowledged is on the disk');
      lastWords.leave(EXIT_FAILED);
    }
  };
  process.on('SIGTERM', () => void stop('SIGTERM'));
  process.on('SIGINT', () => void stop('SIGINT'));
  process.on('SIGHUP', () => {
    node?.gateway?.readFilesAgain();
    api?.readFilesAgain();
  });
  const metrics = new PrometheusMetrics();
  const health = new NodeHealth(systemClock, logger);
  const metricsText = (): Promise<string> => (node === undefined ? metrics.page() : node.metrics.page());
  try {
    // Before anything that may take its time: a probe finds the process alive, and its health page says what it waits for.
    api = await openApi(config, { health, metrics, metricsText, logger });
    node = await RunningNode.open(config, { logger, metrics, health }, () => stopping);
    if (stopping) {
      await node.close();
      lastWords.leave(stopCode);
    }
    void node.lost.then((cause) => {
      logger.error({ err: cause }, cause.message);
      void stop('no place in the cluster', EXIT_FAILED);
    });
    api?.serve(node);
    await node.begin(config, logger);
    scaler = await openScaler(config, { queues: node.queues, metrics, logger });
  } catch (cause) {
    if (stopping) {
      logger.warn({ err: cause }, 'the start was not finished: this node was to stop');
      lastWords.leave(stopCode);
    }
    logger.flush();
    process.stderr.write(`${startFailure(cause, config.listeners)}\n`);
    lastWords.leave(EXIT_FAILED);
  }
  if (stopping) return;
  process.stdout.write(`ready ${JSON.stringify(addresses(node, api, scaler))}\n`);
}

/** Where the listeners are bound; a listener that is off is left out. */
function addresses(
  node: RunningNode,
  api: ApiRole | undefined,
  scaler: ScalerRole | undefined,
): Record<string, string> {
  const bound: Record<string, string> = {};
  const { gateway, grpc } = node;
  for (const name of ['mqtt', 'mqtts', 'ws', 'wss'] as const) {
    const address = gateway?.[name] ?? null;
    if (address !== null) bound[name] = formatAddress(address);
  }
  if (grpc !== null) bound.grpc = formatAddress(grpc);
  if (api !== undefined) bound.http = formatAddress(api.address);
  if (scaler !== undefined) bound.scaler = formatAddress(scaler.address);
  return bound;
}

/** For people: what went wrong and what to do. The stack is for bugs only. */
function startFailure(failure: unknown, listeners: ServerConfig['listeners']): string {
  const cause = failure instanceof SluiceError && isPortTaken(failure.cause) ? failure.cause : failure;
  if (cause instanceof SluiceError) {
    return `sluice: ${cause.message} (${cause.code})${cause.hint === '' ? '' : `\n  ${cause.hint}`}`;
  }
  if (isPortTaken(cause)) {
    const { port } = cause;
    const [name, address] = Object.entries(listeners).find(([, listener]) => listener?.port === port) ?? ['mqtt', null];
    const other = `--${name} ${address?.host ?? '127.0.0.1'}:${(port % 64_000) + 1_000}`;
    return `sluice: ${cause.message}\n  another program listens there: stop it, or choose another address, for example ${other}`;
  }
  const error = cause as NodeJS.ErrnoException;
  if (error.code === 'EACCES' || error.code === 'EPERM') return `sluice: ${error.message}\n  this user may not do that`;
  return `sluice: ${error.stack ?? String(cause)}`;
}

function isPortTaken(cause: unknown): cause is NodeJS.ErrnoException & { port: number } {
  return (cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE';
}
