import { expect, test } from '@jest/globals';
import { ProcessMetrics } from '@sluice/telemetry/process-metrics';
import { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { type ParsedFamily, parseExposition } from './exposition-parser.ts';

test('the process tells of itself under our own prefix', async () => {
  const metrics = new PrometheusMetrics();
  const about = new ProcessMetrics(metrics, { version: '1.2.3', commit: 'abc' });
  try {
    const page = parseExposition(await metrics.page());
    expect([...page.keys()].sort()).toEqual([
      'sluice_build_info',
      'sluice_metrics_dropped_series',
      'sluice_process_cpu_seconds_total',
      'sluice_process_event_loop_lag_seconds',
      'sluice_process_gc_seconds_total',
      'sluice_process_heap_bytes',
      'sluice_process_max_fds',
      'sluice_process_open_fds',
      'sluice_process_resident_memory_bytes',
      'sluice_process_start_time_seconds',
    ]);
    expect(page.get('sluice_build_info')?.samples.get('sluice_build_info{commit=abc,version=1.2.3}')).toBe(1);
    expect(
      page.get('sluice_process_resident_memory_bytes')?.samples.get('sluice_process_resident_memory_bytes{}'),
    ).toBeGreaterThan(1e6);
  } finally {
    about.close();
  }
});

test('a held event loop shows as lag', async () => {
  const metrics = new PrometheusMetrics();
  const startedMs = performance.now();
  const about = new ProcessMetrics(metrics, { version: '', commit: '' });
  try {
    let longest = 0;
    // The sampler needs a turn before and a turn after to see it; wait for what it says, not for a time.
    while (longest < 0.05) {
      await new Promise((resolve) => setImmediate(resolve));
      hold(80);
      await new Promise((resolve) => setTimeout(resolve, 1));
      longest = maximum(parseExposition(await metrics.page()).get('sluice_process_event_loop_lag_seconds'));
    }
    // In seconds.
    expect(longest * 1_000).toBeLessThan(performance.now() - startedMs);
  } finally {
    about.close();
  }
});

function hold(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

function maximum(family: ParsedFamily | undefined): number {
  return family?.samples.get('sluice_process_event_loop_lag_seconds{stat=max}') ?? 0;
}
