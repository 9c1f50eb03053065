import { assert } from '@sluice/common/assert';
import { Counter, Gauge, Histogram, type Labels, type Metrics } from '@sluice/common/metrics';
import { familyHeader, isLabelName, isMetricName, labelsText, seriesText, valueText } from './exposition-text.ts';

/** Series a page shows, and handles the registry keeps. A scraper that gets a page of this size answers within a second. */
const SERIES_MAX = 10_000;
/** How long the event loop may be held by one slice of a page. */
const SLICE_MS_MAX = 5;
/** Series between two looks at the clock. */
const SLICE_SERIES = 256;
const DROPPED_FAMILY = 'sluice_metrics_dropped_series';

type MetricType = 'counter' | 'gauge' | 'histogram';
type Handle = Counter | Gauge | Histogram;
type CollectedSeries = Iterable<[Labels, number]>;
type CollectedHistograms = Iterable<[Labels, Histogram]>;

interface Series {
  labels: string;
  handle: Handle;
  /** The lines up to their values: one, or a histogram's buckets, sum and count. Built once: only values change. */
  lines: string[];
}

interface Family {
  name: string;
  help: string;
  type: MetricType;
  series: Map<string, Series>;
  collectors: (() => CollectedSeries)[];
  histogramCollectors: (() => CollectedHistograms)[];
  /** Given to whoever asks for a series beyond the bound: it counts, and is not shown. */
  overflow: Handle | undefined;
  dropped: number;
}

/**
 * The `Metrics` port with Prometheus' text format behind it. Handles are plain numbers, so counting costs an addition;
 * the page is built when somebody asks. Built in one go, a page of 10,000 series would hold the event loop, and with it
 * every heartbeat, for tens of milliseconds: `page` builds in slices and shares a build among those who ask meanwhile.
 *
 * Bound: `seriesMax` series a page (a histogram counts its lines) and as many handles. What is beyond is left out, and
 * `sluice_metrics_dropped_series{family}` says how many, so that a truncated page never looks complete.
 */
export class PrometheusMetrics implements Metrics {
  readonly #families = new Map<string, Family>();
  readonly #seriesMax: number;
  #handles = 0;
  #building: Promise<string> | undefined;

  constructor(options: { seriesMax?: number } = {}) {
    this.#seriesMax = options.seriesMax ?? SERIES_MAX;
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#handle(name, help, 'counter', labels, () => new Counter()) as Counter;
  }

  gauge(name: string, help: string, labels: Labels = {}): Gauge {
    return this.#handle(name, help, 'gauge', labels, () => new Gauge()) as Gauge;
  }

  histogram(name: string, help: string, bounds: readonly number[], labels: Labels = {}): Histogram {
    assert(labels.le === undefined, 'le is the label of the buckets');
    return this.#handle(name, help, 'histogram', labels, () => new Histogram(bounds)) as Histogram;
  }

  collect(name: string, help: string, type: 'gauge' | 'counter', read: () => CollectedSeries): void {
    this.#family(name, help, type).collectors.push(read);
  }

  collectHistograms(name: string, help: string, read: () => CollectedHistograms): void {
    this.#family(name, help, 'histogram').histogramCollectors.push(read);
  }

  /** The page. Those who ask while one is being built get the same. */
  page(): Promise<string> {
    this.#building ??= this.#build().finally(() => {
      this.#building = undefined;
    });
    return this.#building;
  }

  /** The page in pieces of a few hundred series; a series is never cut in two. */
  *slices(): Generator<string> {
    const writer = new PageWriter(this.#seriesMax);
    for (const family of this.#families.values()) {
      yield* writer.family(family);
    }
    yield writer.dropped();
  }

  /** The page in pieces, others having their turn between two of them: for one that is too long to be one string. */
  async *pieces(): AsyncGenerator<string> {
    let text = '';
    let startedMs = performance.now();
    for (const slice of this.slices()) {
      text += slice;
      if (performance.now() - startedMs < SLICE_MS_MAX) continue;
      yield text;
      text = '';
      await new Promise((resolve) => setImmediate(resolve));
      startedMs = performance.now();
    }
    yield text;
  }

  async #build(): Promise<string> {
    let text = '';
    for await (const piece of this.pieces()) text += piece;
    return text;
  }

  #handle(name: string, help: string, type: MetricType, labels: Labels, make: () => Handle): Handle {
    const family = this.#family(name, help, type);
    const text = labelsText(labels);
    const known = family.series.get(text);
    if (known !== undefined) return known.handle;
    if (this.#handles >= this.#seriesMax) {
      family.overflow ??= make();
      family.dropped++;
      return family.overflow;
    }
    for (const label of Object.keys(labels)) assert(isLabelName(label), `a label's name is fixed by code: ${label}`);
    const handle = make();
    this.#handles++;
    family.series.set(text, { labels: text, handle, lines: linesOf(name, text, handle) });
    return handle;
  }

  #family(name: string, help: string, type: MetricType): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      assert(isMetricName(name), `a metric's name is fixed by code: ${name}`);
      family = {
        name,
        help,
        type,
        series: new Map(),
        collectors: [],
        histogramCollectors: [],
        overflow: undefined,
        dropped: 0,
      };
      this.#families.set(name, family);
    }
    assert(family.type === type, `${name} has one type: ${family.type}`);
    return family;
  }
}

/** One page: counts its series, and what it leaves out. */
class PageWriter {
  #left: number;
  readonly #dropped = new Map<string, number>();

  constructor(seriesMax: number) {
    this.#left = seriesMax;
  }

  *family(family: Family): Generator<string> {
    if (family.dropped > 0) this.#drop(family, family.dropped);
    let text = familyHeader(family.name, family.help, family.type);
    let series = 0;
    for (const each of family.series.values()) {
      if (!this.#take(family, each.lines.length)) continue;
      text += seriesLines(each);
      if (++series % SLICE_SERIES !== 0) continue;
      yield text;
      text = '';
    }
    // A page that names one series twice is refused whole by the scraper: the first one counts.
    const seen = family.collectors.length === 0 ? undefined : new Set(family.series.keys());
    for (const collector of family.collectors) {
      for (const [labels, value] of collector()) {
        const labelled = labelsText(labels);
        if (seen?.has(labelled) || !this.#take(family, 1)) continue;
        seen?.add(labelled);
        text += `${seriesText(family.name, labelled)}${valueText(value)}\n`;
        if (++series % SLICE_SERIES !== 0) continue;
        yield text;
        text = '';
      }
    }
    for (const collector of family.histogramCollectors) {
      for (const [labels, handle] of collector()) {
        const labelled = labelsText(labels);
        const lines = linesOf(family.name, labelled, handle);
        if (!this.#take(family, lines.length)) continue;
        text += seriesLines({ labels: labelled, handle, lines });
        series += lines.length;
        if (series < SLICE_SERIES) continue;
        yield text;
        text = '';
        series = 0;
      }
    }
    yield text;
  }

  dropped(): string {
    let text = familyHeader(DROPPED_FAMILY, 'Series left out of this page because it is full.', 'gauge');
    for (const [family, count] of this.#dropped) {
      text += `${seriesText(DROPPED_FAMILY, labelsText({ family }))}${count}\n`;
    }
    return text;
  }

  #take(family: Family, lines: number): boolean {
    if (lines > this.#left) {
      this.#drop(family, 1);
      return false;
    }
    this.#left -= lines;
    return true;
  }

  #drop(family: Family, series: number): void {
    this.#dropped.set(family.name, (this.#dropped.get(family.name) ?? 0) + series);
  }
}

function linesOf(name: string, labels: string, handle: Handle): string[] {
  if (!(handle instanceof Histogram)) return [seriesText(name, labels)];
  const before = labels === '' ? '' : `${labels},`;
  const lines = handle.bounds.map((bound) => seriesText(`${name}_bucket`, `${before}le="${valueText(bound)}"`));
  lines.push(seriesText(`${name}_bucket`, `${before}le="+Inf"`));
  lines.push(seriesText(`${name}_sum`, labels), seriesText(`${name}_count`, labels));
  return lines;
}

function seriesLines(series: Series): string {
  const { handle, lines } = series;
  if (!(handle instanceof Histogram)) return `${lines[0]}${valueText(handle.value)}\n`;
  let text = '';
  let cumulative = 0;
  for (let i = 0; i < handle.counts.length; i++) {
    cumulative += handle.counts[i] as number;
    text += `${lines[i]}${cumulative}\n`;
  }
  const sumLine = lines[handle.counts.length] as string;
  const countLine = lines[handle.counts.length + 1] as string;
  return `${text}${sumLine}${valueText(handle.sum)}\n${countLine}${handle.count}\n`;
}
