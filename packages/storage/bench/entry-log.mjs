// Appends of the entry log on the built package: rate, latency, CPU and write amplification. `node bench/entry-log.mjs [dir] [seconds]`.
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { openEntryLog } from '../dist/entry-log/open-entry-log.js';

const parent = process.argv[2] ?? tmpdir();
const seconds = Number(process.argv[3] ?? 3);
const shapes = [
  { name: '1 x 200 B', count: 1, sizeBytes: 200 },
  { name: '16 x 200 B', count: 16, sizeBytes: 200 },
  { name: '256 x 200 B', count: 256, sizeBytes: 200 },
  { name: '1 x 16 KB', count: 1, sizeBytes: 16 * 1024 },
  { name: '1 x 256 KB', count: 1, sizeBytes: 256 * 1024 },
];
const groups = 16;

/** The floor: the same bytes by one write and one fdatasync, nothing else. */
async function bare(directory, sizeBytes) {
  const file = await open(join(directory, 'bare'), 'w');
  const bytes = Buffer.alloc(sizeBytes, 1);
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  let appends = 0;
  for (; performance.now() - start < seconds * 500 && appends * sizeBytes < 1e9; appends++) {
    await file.write(bytes, 0, sizeBytes, appends * sizeBytes);
    await file.datasync();
  }
  const cpu = process.cpuUsage(cpuBefore);
  const rate = appends / ((performance.now() - start) / 1000);
  await file.close();
  return `${rate.toFixed(0)} writes/s, CPU ${((cpu.user + cpu.system) / appends).toFixed(0)} us`;
}

for (const { name, count, sizeBytes } of shapes) {
  const directory = mkdtempSync(join(parent, 'sluice-bench-'));
  const metrics = new PlainMetrics();
  const log = await openEntryLog({ directory, logger: silentLogger, metrics });
  const payloads = Array.from({ length: count }, (_, i) => Buffer.alloc(sizeBytes, i));
  const next = new Array(groups).fill(1);
  const latencies = [];
  let turn = 0;
  const append = async () => {
    // A turn of up to 16 groups, as a store's is.
    const writes = [];
    for (let g = 0; g < Math.min(groups, count); g++) {
      const groupId = (turn + g) % groups;
      const entries = [];
      for (let i = g; i < count; i += groups)
        entries.push({ index: next[groupId]++, term: 1, kind: 0, data: payloads[i] });
      writes.push({ groupId, hardState: undefined, entries });
    }
    turn++;
    await log.append(writes);
    // The window of the contiguous log stays short, as it does when images are taken.
    if (turn % 1000 === 0) for (let g = 0; g < groups; g++) if (next[g] > 1) log.compact(g, next[g] - 1, 1);
  };
  for (let i = 0; i < 50; i++) await append();
  const written = metrics.counter('sluice_storage_written_bytes_total', '');
  const writtenBefore = written.value;
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  let appends = 0;
  let payloadBytes = 0;
  while (performance.now() - start < seconds * 1000 && payloadBytes < 3e9) {
    const began = performance.now();
    await append();
    latencies.push(performance.now() - began);
    appends++;
    payloadBytes += count * sizeBytes;
  }
  const elapsed = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  latencies.sort((a, b) => a - b);
  const at = (q) => (latencies[Math.floor(latencies.length * q)] * 1000).toFixed(0);
  const entries = appends * count;
  console.log(
    name.padEnd(12),
    `${(appends / elapsed).toFixed(0)} appends/s`,
    `${(entries / elapsed / 1000).toFixed(1)} k entries/s`,
    `${(payloadBytes / elapsed / 1e6).toFixed(0)} MB/s`,
    `p50 ${at(0.5)} us p99 ${at(0.99)} us`,
    `CPU ${((cpu.user + cpu.system) / entries).toFixed(2)} us/entry (${((cpu.user + cpu.system) / appends).toFixed(0)} us/append)`,
    `written/payload ${((written.value - writtenBefore) / payloadBytes).toFixed(3)}`,
    `RSS ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`,
  );
  await log.close();
  const reopening = performance.now();
  const reopened = await openEntryLog({ directory, logger: silentLogger, metrics });
  const segments = reopened.sealedSegments().length;
  console.log(
    '  reopened in',
    (performance.now() - reopening).toFixed(0),
    'ms,',
    segments,
    'sealed segments,',
    (reopened.diskBytes / 1e6).toFixed(0),
    'MB',
  );
  await reopened.close();
  console.log('  bare file:', await bare(directory, count * sizeBytes));
  rmSync(directory, { recursive: true });
}
