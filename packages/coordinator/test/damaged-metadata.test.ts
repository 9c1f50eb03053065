import { expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import type { SluiceError } from '@sluice/common/errors';
import { type LogFields, silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { keyOfQueue } from '@sluice/meta/meta-rows';
import { Coordinator, type CoordinatorHost } from '../src/coordinator.ts';

test('metadata with a damaged row is logged, counted and not guessed at', async () => {
  const rows = [{ key: keyOfQueue(12), value: Buffer.from('{"queueId":') }];
  const metrics = new PlainMetrics();
  const logged: LogFields[] = [];
  const coordinator = new Coordinator({
    nodeId: 1,
    host: { addGroup: async ({ restore }) => restore(rows) } as Pick<CoordinatorHost, 'addGroup'> as CoordinatorHost,
    bootstrapVoters: undefined,
    formation: undefined,
    clock: systemClock,
    logger: { ...silentLogger, error: (fields) => logged.push(fields) },
    metrics,
  });
  await expect(coordinator.open()).rejects.toMatchObject({ code: 'META_ROW_DAMAGED' });
  expect(logged.map(({ err }) => (err as SluiceError).message)).toEqual(["the metadata's row of queue 12 is damaged"]);
  expect(metrics.counter('sluice_storage_corruptions_total', '', { file: 'metadata' }).value).toBe(1);
});
