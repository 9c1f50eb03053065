import { readdirSync, readFileSync } from 'node:fs';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import type { Counter, Metrics } from '@sluice/common/metrics';
import { EventLoopLag } from './event-loop-lag.ts';

/** Nothing but the name of a file in this process' own table; absent outside Linux. */
const OPEN_FILES = '/proc/self/fd';
const LIMITS = '/proc/self/limits';

/** Memory, processor, garbage collection, files and event loop of this process, and which build it is. */
export class ProcessMetrics {
  readonly #lag: EventLoopLag;
  readonly #collections: PerformanceObserver;

  constructor(metrics: Metrics, build: { version: string; commit: string }) {
    metrics.gauge('sluice_build_info', 'Which build this is; always 1.', build).set(1);
    metrics
      .gauge('sluice_process_start_time_seconds', 'When the process started, since the Unix epoch.')
      .set(performance.timeOrigin / 1e3);
    collectMemory(metrics);
    collectProcessor(metrics);
    collectOpenFiles(metrics);
    collectOpenFilesMax(metrics);
    this.#collections = observeCollections(metrics);
    this.#lag = new EventLoopLag(metrics);
  }

  close(): void {
    this.#collections.disconnect();
    this.#lag.close();
  }
}

function collectMemory(metrics: Metrics): void {
  metrics.collect('sluice_process_resident_memory_bytes', 'Memory of the process in RAM.', 'gauge', () => [
    [{}, process.memoryUsage.rss()],
  ]);
  metrics.collect('sluice_process_heap_bytes', 'Memory of the JavaScript heap and of buffers.', 'gauge', () => {
    const usage = process.memoryUsage();
    return [
      [{ kind: 'used' }, usage.heapUsed],
      [{ kind: 'total' }, usage.heapTotal],
      [{ kind: 'external' }, usage.external],
      [{ kind: 'array_buffers' }, usage.arrayBuffers],
    ];
  });
}

function collectProcessor(metrics: Metrics): void {
  metrics.collect('sluice_process_cpu_seconds_total', 'Processor time used.', 'counter', () => {
    const usage = process.cpuUsage();
    return [
      [{ mode: 'user' }, usage.user / 1e6],
      [{ mode: 'system' }, usage.system / 1e6],
    ];
  });
}

function collectOpenFiles(metrics: Metrics): void {
  metrics.collect('sluice_process_open_fds', 'Open file descriptors.', 'gauge', () => {
    try {
      return [[{}, readdirSync(OPEN_FILES).length]];
    } catch {
      return [];
    }
  });
}

/** The soft limit, where Linux tells. */
function collectOpenFilesMax(metrics: Metrics): void {
  const limit = openFilesMax();
  if (limit === undefined) return;
  metrics.gauge('sluice_process_max_fds', 'Open file descriptors that the system allows.').set(limit);
}

function openFilesMax(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(LIMITS, 'latin1'))?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

function observeCollections(metrics: Metrics): PerformanceObserver {
  const help = 'Time spent in garbage collection.';
  const byKind = new Map<number, Counter>();
  for (const [kind, code] of [
    ['minor', constants.NODE_PERFORMANCE_GC_MINOR],
    ['major', constants.NODE_PERFORMANCE_GC_MAJOR],
    ['incremental', constants.NODE_PERFORMANCE_GC_INCREMENTAL],
    ['weak_callbacks', constants.NODE_PERFORMANCE_GC_WEAKCB],
  ] as const) {
    byKind.set(code, metrics.counter('sluice_process_gc_seconds_total', help, { kind }));
  }
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as { detail?: { kind?: number } };
      byKind.get(detail?.kind ?? -1)?.add(entry.duration / 1e3);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return observer;
}
