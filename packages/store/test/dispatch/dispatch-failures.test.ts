import { expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { Topology } from '@sluice/meta/topology';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import { DispatchFailures } from '../../src/dispatch/dispatch-failures.ts';

test('a queue that goes on in one partition stands still in another until that goes on as well', () => {
  const logged: string[] = [];
  const failures = new DispatchFailures({
    host: { status: () => undefined, peerAlive: () => false, markImpaired: () => {} },
    topology: new Topology(),
    logger: { ...silentLogger, error: (_fields, message) => logged.push(message) },
  });
  const damage = new Error('damaged');
  failures.failed(1, RETAINED_QUEUE_ID, damage);
  failures.recovered(2, RETAINED_QUEUE_ID);
  failures.failed(1, RETAINED_QUEUE_ID, damage);
  failures.failed(3, RETAINED_QUEUE_ID, damage);
  expect(logged).toHaveLength(2);
  expect(failures.problems()).toEqual(['queue of retained messages: damaged']);
  failures.recovered(1, RETAINED_QUEUE_ID);
  expect(failures.problems()).toHaveLength(1);
  failures.recovered(3, RETAINED_QUEUE_ID);
  expect(failures.problems()).toEqual([]);
});
