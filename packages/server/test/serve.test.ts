import { afterEach, expect, jest, test } from '@jest/globals';
import type { ServerConfig } from '../src/config/config.ts';

class Left extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`left with ${exitCode}`);
    this.exitCode = exitCode;
  }
}

const logged: unknown[] = [];
const log = (fields: { err?: unknown }) => void logged.push(fields.err);
const logger = { debug: log, info: log, warn: log, error: log, flush: () => {} };
const node = {
  lost: Promise.resolve(new Error('removed')),
  gateway: undefined,
  drain: () => new Promise(() => {}),
  begin: async () => {
    await node.lost;
    throw new Error('its listeners are closed');
  },
};
class LastWords {
  leave(exitCode: number): never {
    throw new Left(exitCode);
  }
}

jest.unstable_mockModule('@sluice/telemetry/json-logger', () => ({ JsonLogger: { open: () => logger } }));
jest.unstable_mockModule('../src/last-words.ts', () => ({ LastWords }));
jest.unstable_mockModule('../src/roles/api-role.ts', () => ({ openApi: async () => undefined }));
jest.unstable_mockModule('../src/roles/scaler-role.ts', () => ({ openScaler: async () => undefined }));
jest.unstable_mockModule('../src/node/running-node.ts', () => ({ RunningNode: { open: async () => node } }));

const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
afterEach(() => {
  jest.useRealTimers();
  for (const signal of signals) process.removeAllListeners(signal);
});

test('a start that fails because the cluster went on without this node ends as that does, and says both', async () => {
  jest.useFakeTimers();
  const { serve } = await import('../src/serve.ts');
  const config = { log: { level: 'info', format: 'json' }, node: { drainTimeoutMs: 1_000 } } as ServerConfig;
  await expect(serve(config, [])).rejects.toMatchObject({ exitCode: 1 });
  expect(logged).toContainEqual(new Error('removed'));
  expect(logged).toContainEqual(new Error('its listeners are closed'));
});
