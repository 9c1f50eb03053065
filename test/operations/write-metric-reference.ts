import { writeFileSync } from 'node:fs';
import { METRIC_REFERENCE, metricReference } from './metric-reference.ts';

// node test/harness/run-typescript.mjs test/operations/write-metric-reference.ts
writeFileSync(METRIC_REFERENCE, await metricReference());
