import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { DemoLoad } from './demo-load.ts';
import { METRIC_REFERENCE, metricFamilies, referenceText } from './metric-reference.ts';

// npm run metrics:reference
const WORK_MS = 10_000;

const cluster = await ClusterUnderTest.start({ layout: 'compact' });
const load = new DemoLoad(cluster);
try {
  await load.start();
  await new Promise((resolve) => setTimeout(resolve, WORK_MS));
  const families = await metricFamilies(cluster);
  mkdirSync(dirname(METRIC_REFERENCE), { recursive: true });
  writeFileSync(METRIC_REFERENCE, referenceText(families));
  console.log(`${families.length} families`);
} finally {
  await load.stop();
  await cluster.dispose();
}
process.exit(0);
