import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from './broker.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * From the spawn to the ready line on an empty and on a used data directory, and the resident memory after five idle
 * seconds: what an edge device pays for a broker that does nothing.
 *
 *   node test/load/idle.mjs [runs]
 */
const RUNS = Number(process.argv[2] ?? 10);
const IDLE_MS = 5000;

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-idle-'));
const figures = new Figures();
const first = [];
const again = [];
const resident = [];
const processor = [];
try {
  for (let run = 0; run < RUNS; run++) {
    const data = join(folder, `data-${run}`);
    const broker = new Broker(data);
    await broker.start();
    first.push(broker.readyMs);
    processor.push(await broker.cpuMs());
    await broker.stop();
    await broker.start();
    again.push(broker.readyMs);
    // Three are enough: the memory hardly differs, and each costs five seconds.
    if (run < 3) {
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      resident.push((await broker.rssBytes()) / MB);
    }
    await broker.stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
figures.below(`first start to ready, median of ${RUNS}`, median(first) / 1000, 's', 0.5);
figures.below(`start on a used directory to ready, median of ${RUNS}`, median(again) / 1000, 's', 0.5);
figures.note('processor time of a first start, median', median(processor) / 1000, 's');
figures.note('slowest of all', Math.max(...first, ...again) / 1000, 's');
figures.below('resident after 5 s idle, median of 3', median(resident), 'MB', 90);
figures.finish();
