import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { LocalCluster } from '../../deploy/local-cluster.mjs';

test('a node that cannot start says why where the cluster is started, not in its log alone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-local-cluster-'));
  try {
    const cluster = new LocalCluster({ directory, flags: ['--set', 'queues.partitons=16'] });
    await expect(cluster.start([{ name: 'node', roles: 'coordinator', count: 1 }])).rejects.toThrow(
      /node-1 ended before it was ready .*node\.log\n.*queues\.partitons/,
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
