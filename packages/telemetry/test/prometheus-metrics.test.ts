import { describe, expect, test } from '@jest/globals';
import { Histogram } from '@sluice/common/metrics';
import { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import fc from 'fast-check';
import { parseExposition } from './exposition-parser.ts';

describe('the page', () => {
  test('reads as Prometheus reads it', async () => {
    const metrics = new PrometheusMetrics();
    metrics.counter('sluice_published_total', 'Messages.').add(3);
    metrics.gauge('sluice_sessions', 'By state.', { state: 'connected' }).set(-2.5);
    metrics.gauge('sluice_sessions', 'By state.', { state: 'away' }).set(Number.POSITIVE_INFINITY);
    const seconds = metrics.histogram('sluice_sync_seconds', 'Syncs.', [0.1, 1], { disk: 'a' });
    for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
    expect(await metrics.page()).toBe(
      [
        '# HELP sluice_published_total Messages.',
        '# TYPE sluice_published_total counter',
        'sluice_published_total 3',
        '# HELP sluice_sessions By state.',
        '# TYPE sluice_sessions gauge',
        'sluice_sessions{state="connected"} -2.5',
        'sluice_sessions{state="away"} +Inf',
        '# HELP sluice_sync_seconds Syncs.',
        '# TYPE sluice_sync_seconds histogram',
        'sluice_sync_seconds_bucket{disk="a",le="0.1"} 2',
        'sluice_sync_seconds_bucket{disk="a",le="1"} 3',
        'sluice_sync_seconds_bucket{disk="a",le="+Inf"} 4',
        'sluice_sync_seconds_sum{disk="a"} 7.65',
        'sluice_sync_seconds_count{disk="a"} 4',
        '# HELP sluice_metrics_dropped_series Series left out of this page because it is full.',
        '# TYPE sluice_metrics_dropped_series gauge',
        '',
      ].join('\n'),
    );
  });

  test('shows histograms that somebody else keeps, and what there is at that moment', async () => {
    const metrics = new PrometheusMetrics();
    const kept = new Map<string, Histogram>();
    metrics.collectHistograms('sluice_wait_seconds', 'Waits.', () =>
      [...kept].map(([queue, histogram]): [{ queue: string }, Histogram] => [{ queue }, histogram]),
    );
    const histogram = new Histogram([1]);
    kept.set('a', histogram);
    histogram.observe(0.5);
    histogram.observe(3);
    const samples = (await page()).get('sluice_wait_seconds')?.samples;
    expect([...(samples ?? [])]).toEqual([
      ['sluice_wait_seconds_bucket{le=1,queue=a}', 1],
      ['sluice_wait_seconds_bucket{le=+Inf,queue=a}', 2],
      ['sluice_wait_seconds_sum{queue=a}', 3.5],
      ['sluice_wait_seconds_count{queue=a}', 2],
    ]);
    kept.delete('a');
    expect((await page()).get('sluice_wait_seconds')?.samples.size).toBe(0);
    async function page() {
      return parseExposition(await metrics.page());
    }
  });

  test('comes back equal through a parser, whatever stands in labels, help and values', async () => {
    const number = fc.oneof(fc.double(), fc.integer());
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.string({ unit: 'binary' }), number)), fc.string(), async (rows, help) => {
        const metrics = new PrometheusMetrics();
        const help1 = help.replaceAll('\r', '');
        const expected = new Map<string, number>();
        for (const [text, value] of rows) {
          const label = text.replaceAll(/[\r,]/g, '');
          metrics.gauge('sluice_x', help1, { label }).set(value);
          expected.set(`sluice_x{label=${label}}`, value);
        }
        const page = parseExposition(await metrics.page());
        if (rows.length === 0) return;
        expect(page.get('sluice_x')?.help).toBe(help1);
        const wrong = [...expected].filter(
          ([key, value]) => !sameNumber(page.get('sluice_x')?.samples.get(key), value),
        );
        expect(wrong).toEqual([]);
      }),
      { seed: 20_261_120, numRuns: 200 },
    );
  });

  test('a histogram is cumulative and closed for any observations', async () => {
    const metrics = new PrometheusMetrics();
    const histogram = metrics.histogram('sluice_h', 'h', [1, 2, 5]);
    for (let i = 0; i < 100; i++) histogram.observe(i % 8);
    const samples = parseExposition(await metrics.page()).get('sluice_h')?.samples;
    expect([...(samples?.values() ?? [])]).toEqual([26, 39, 76, 100, 342, 100]);
  });
});

describe('handles', () => {
  test('the same name and labels give the same handle, in whatever order the labels come', () => {
    const metrics = new PrometheusMetrics();
    const handle = metrics.counter('sluice_a_total', 'a', { x: '1', y: '2' });
    expect(metrics.counter('sluice_a_total', 'a', { y: '2', x: '1' })).toBe(handle);
    expect(metrics.counter('sluice_a_total', 'a', { x: '1', y: '3' })).not.toBe(handle);
  });

  test('a name has one type, and names are valid', () => {
    const metrics = new PrometheusMetrics();
    metrics.counter('sluice_a_total', 'a');
    expect(() => metrics.gauge('sluice_a_total', 'a')).toThrow('one type');
    expect(() => metrics.gauge('sluice-b', 'b')).toThrow('fixed by code');
    expect(() => metrics.gauge('sluice_b', 'b', { '1x': '' })).toThrow('fixed by code');
    expect(() => metrics.histogram('sluice_c', 'c', [1], { le: '' })).toThrow('label of the buckets');
  });
});

describe('collectors', () => {
  test('are read at each scrape; a series named twice appears once', async () => {
    const metrics = new PrometheusMetrics();
    let depth = 4;
    metrics.gauge('sluice_depth', 'd', { queue: 'a' }).set(1);
    metrics.collect('sluice_depth', 'd', 'gauge', () => [
      [{ queue: 'a' }, 9],
      [{ queue: 'b' }, depth],
      [{ queue: 'b' }, 8],
    ]);
    const first = parseExposition(await metrics.page()).get('sluice_depth');
    expect(Object.fromEntries(first?.samples ?? [])).toEqual({
      'sluice_depth{queue=a}': 1,
      'sluice_depth{queue=b}': 4,
    });
    depth = 5;
    const second = parseExposition(await metrics.page()).get('sluice_depth');
    expect(second?.samples.get('sluice_depth{queue=b}')).toBe(5);
  });
});

describe('bounds', () => {
  test('a full page says what it left out', async () => {
    const metrics = new PrometheusMetrics({ seriesMax: 10 });
    for (let i = 0; i < 6; i++) metrics.gauge('sluice_a', 'a', { i: `${i}` });
    metrics.histogram('sluice_h', 'h', [1, 2, 3]);
    metrics.collect('sluice_b', 'b', 'gauge', () => Array.from({ length: 9 }, (_, i) => [{ i: `${i}` }, i] as const));
    const page = parseExposition(await metrics.page());
    expect(page.get('sluice_a')?.samples.size).toBe(6);
    // Six lines do not fit, and part of a histogram is never shown; four of the next family do.
    expect(page.get('sluice_h')?.samples.size).toBe(0);
    expect(page.get('sluice_b')?.samples.size).toBe(4);
    expect(Object.fromEntries(page.get('sluice_metrics_dropped_series')?.samples ?? [])).toEqual({
      'sluice_metrics_dropped_series{family=sluice_h}': 1,
      'sluice_metrics_dropped_series{family=sluice_b}': 5,
    });
  });

  test('labels that grow without end take no memory without end', async () => {
    const metrics = new PrometheusMetrics({ seriesMax: 10 });
    const handles = new Set<unknown>();
    for (let i = 0; i < 1_000; i++) handles.add(metrics.counter('sluice_a_total', 'a', { i: `${i}` }));
    expect(handles.size).toBe(11);
    const dropped = parseExposition(await metrics.page()).get('sluice_metrics_dropped_series');
    expect([...(dropped?.samples.values() ?? [])]).toEqual([990]);
  });

  test('the page is built in slices, between which others run', async () => {
    const metrics = new PrometheusMetrics();
    for (let i = 0; i < 5_000; i++) metrics.counter('sluice_a_total', 'a', { i: `${i}` });
    const slices = [...metrics.slices()];
    expect(slices.length).toBeGreaterThan(15);
    expect(Math.max(...slices.map((slice) => slice.split('\n').length))).toBeLessThan(300);
    expect(slices.join('')).toBe(await metrics.page());
  });

  test('who asks while a page is built gets the same one', async () => {
    const metrics = new PrometheusMetrics();
    let reads = 0;
    metrics.collect('sluice_a', 'a', 'gauge', () => {
      reads++;
      return [];
    });
    await Promise.all([metrics.page(), metrics.page()]);
    expect(reads).toBe(1);
    await metrics.page();
    expect(reads).toBe(2);
  });
});

describe('the parser of these tests', () => {
  test.each([
    ['a sample outside a family', 'a 1\n'],
    ['a series twice', '# HELP a x\n# TYPE a gauge\na 1\na 2\n'],
    ['buckets that go down', '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_count 1\n'],
    ['no +Inf', '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_count 2\n'],
    ['an open label', '# HELP a x\n# TYPE a gauge\na{b="c} 1\n'],
    ['a raw line break', '# HELP a x\n# TYPE a gauge\na{b="c\nd"} 1\n'],
    ['no end', '# HELP a x\n# TYPE a gauge\na 1'],
  ])('refuses %s', (_, page) => {
    expect(() => parseExposition(page)).toThrow();
  });
});

function sameNumber(actual: number | undefined, expected: number): boolean {
  return actual === expected || (Number.isNaN(actual) && Number.isNaN(expected));
}
