/**
 * Metrics on the hot path are plain numbers: a handle is looked up once, `add` is one addition, and the exposition
 * format is built only when somebody scrapes (`telemetry/prometheus-metrics`). Names follow Prometheus: base units,
 * `_total` on counters, prefix `sluice_`.
 */
export class Counter {
  value = 0;
  add(amount = 1): void {
    this.value += amount;
  }
}

export class Gauge {
  value = 0;
  set(value: number): void {
    this.value = value;
  }
  add(amount: number): void {
    this.value += amount;
  }
}

export class Histogram {
  /** Upper bounds, ascending, without +Inf. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not cumulative; the last one is +Inf. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let i = 0;
    while (i < this.bounds.length && value > (this.bounds[i] as number)) i++;
    this.counts[i] = (this.counts[i] as number) + 1;
    this.sum += value;
    this.count++;
  }
}

export type Labels = Readonly<Record<string, string>>;

/** Where handles come from. Asking twice for the same name and labels gives the same handle. */
export interface Metrics {
  counter(name: string, help: string, labels?: Labels): Counter;
  gauge(name: string, help: string, labels?: Labels): Gauge;
  histogram(name: string, help: string, bounds: readonly number[], labels?: Labels): Histogram;
  /** `read` is called at scrape time and returns series of one gauge or counter family, e.g. one a queue. */
  collect(name: string, help: string, type: 'gauge' | 'counter', read: () => Iterable<[Labels, number]>): void;
  /** As `collect`, for histograms that somebody else keeps, e.g. with his queue. */
  collectHistograms(name: string, help: string, read: () => Iterable<[Labels, Histogram]>): void;
}

/** Seconds, for writes that wait on a disk: 100 µs to 10 s. */
export const SYNC_SECONDS_BOUNDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Seconds, for jobs that wait for workers and keep them busy: 5 ms to an hour. */
export const WORK_SECONDS_BOUNDS: readonly number[] = [
  0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1_800, 3_600,
];

/** For tests, and for code run without an exporter. Handles are real, so a test may read what was counted. */
export class PlainMetrics implements Metrics {
  readonly #handles = new Map<string, Counter | Gauge | Histogram>();

  #handle<H extends Counter | Gauge | Histogram>(name: string, labels: Labels | undefined, make: () => H): H {
    const key = name + JSON.stringify(labels ?? {});
    let handle = this.#handles.get(key) as H | undefined;
    if (handle === undefined) {
      handle = make();
      this.#handles.set(key, handle);
    }
    return handle;
  }

  counter(name: string, _help: string, labels?: Labels): Counter {
    return this.#handle(name, labels, () => new Counter());
  }
  gauge(name: string, _help: string, labels?: Labels): Gauge {
    return this.#handle(name, labels, () => new Gauge());
  }
  histogram(name: string, _help: string, bounds: readonly number[], labels?: Labels): Histogram {
    return this.#handle(name, labels, () => new Histogram(bounds));
  }
  collect(): void {}
  collectHistograms(): void {}
}
