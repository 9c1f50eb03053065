import { SluiceError } from '@sluice/common/errors';
import { JsonLogger } from '@sluice/telemetry/json-logger';
import { formatAddress } from './config/address.ts';
import type { ServerConfig } from './config/config.ts';
import { type ApiRole, startApi } from './roles/api-role.ts';
import { RunningNode } from './running-node.ts';

const EXIT_FAILED = 1;

/** Runs a node in this process until a signal ends it: everything that `sluice server` needs and no other command does. */
export async function serve(config: ServerConfig, warnings: readonly string[]): Promise<void> {
  const logger = JsonLogger.open({
    level: config.log.level,
    ...(config.log.format === 'text' ? { pretty: true } : {}),
  });
  for (const warning of warnings) logger.warn({}, warning);
  let node: RunningNode | undefined;
  let api: ApiRole | undefined;
  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    // Not one yet: whoever waits for a place in a cluster looks at `stopping`.
    if (node === undefined) return;
    logger.info({ signal }, 'draining');
    try {
      await api?.stop();
      await node.stop(config.node.drainTimeoutMs);
      logger.info({}, 'stopped');
      logger.flush();
      process.exit(0);
    } catch (cause) {
      logger.error({ err: cause }, 'stopping failed; what was acknowledged is on the disk');
      logger.flush();
      process.exit(EXIT_FAILED);
    }
  };
  process.on('SIGTERM', () => void stop('SIGTERM'));
  process.on('SIGINT', () => void stop('SIGINT'));
  try {
    node = await RunningNode.open(config, logger, () => stopping);
    if (stopping) {
      await node.stop(0);
      process.exit(0);
    }
    // Before the node serves: what it waits for is told by its health page, and a probe finds it alive.
    api = await startApi(config, node, logger);
    await node.begin(config, logger);
  } catch (cause) {
    logger.flush();
    if (stopping) process.exit(0);
    process.stderr.write(`${startFailure(cause)}\n`);
    process.exit(EXIT_FAILED);
  }
  if (stopping) return;
  process.stdout.write(`ready ${JSON.stringify(addresses(node, api))}\n`);
}

/** Where the listeners are bound; a listener that is off is left out. */
function addresses(node: RunningNode, api: ApiRole | undefined): Record<string, string> {
  const bound: Record<string, string> = {};
  const { gateway, grpc } = node;
  if (gateway !== undefined && gateway.mqtt !== null) bound.mqtt = formatAddress(gateway.mqtt);
  if (gateway !== undefined && gateway.ws !== null) bound.ws = formatAddress(gateway.ws);
  if (grpc !== null) bound.grpc = formatAddress(grpc);
  if (api !== undefined) bound.http = formatAddress(api.address);
  return bound;
}

/** For people: what went wrong and what to do. The stack is for bugs only. */
function startFailure(cause: unknown): string {
  if (cause instanceof SluiceError) {
    return `sluice: ${cause.message} (${cause.code})${cause.hint === '' ? '' : `\n  ${cause.hint}`}`;
  }
  const error = cause as NodeJS.ErrnoException;
  if (error.code === 'EADDRINUSE') {
    return `sluice: ${error.message}\n  another program listens there: stop it, or choose another address, for example --mqtt 127.0.0.1:2883`;
  }
  if (error.code === 'EACCES' || error.code === 'EPERM') return `sluice: ${error.message}\n  this user may not do that`;
  return `sluice: ${error.stack ?? String(cause)}`;
}
