export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Page {
  types: Map<string, string>;
  samples: Sample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/gy;

/**
 * Reads a page of the Prometheus text format 0.0.4, strictly: what a scraper would refuse or misread is an error here.
 */
export function parsePage(text: string): Page {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const page: Page = { types: new Map(), samples: [] };
  const helped = new Set<string>();
  const seen = new Set<string>();
  const closed = new Set<string>();
  let family = '';
  for (const line of text.split('\n').slice(0, -1)) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      if (name !== family) closed.add(family);
      if (closed.has(name)) throw new Error(`the family ${name} is in two places`);
      family = name;
      if (kind === 'HELP' && helped.size === helped.add(name).size) throw new Error(`two HELP of ${name}`);
      if (kind === 'TYPE') page.types.set(name, rest);
      continue;
    }
    const sample = sampleOf(line);
    const base = sample.name.replace(/_(bucket|sum|count)$/, '');
    if (sample.name !== family && !(page.types.get(family) === 'histogram' && base === family))
      throw new Error(`${line}: not of the family ${family}`);
    if (seen.size === seen.add(line.slice(0, line.lastIndexOf(' '))).size) throw new Error(`twice: ${line}`);
    page.samples.push(sample);
  }
  for (const [name, type] of page.types) {
    if (type === 'counter' && !name.endsWith('_total')) throw new Error(`the counter ${name} lacks _total`);
  }
  checkHistograms(page);
  return page;
}

function sampleOf(line: string): Sample {
  const match = SAMPLE.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const [, name, inside, number] = match as unknown as [string, string, string | undefined, string];
  const labels: Record<string, string> = {};
  let at = 0;
  LABEL.lastIndex = 0;
  for (let label = LABEL.exec(inside ?? ''); label !== null; label = LABEL.exec(inside ?? '')) {
    labels[label[1] as string] = (label[2] as string).replace(/\\(.)/g, (_all, c: string) => (c === 'n' ? '\n' : c));
    at = LABEL.lastIndex;
    if (at === inside?.length) break;
  }
  if (at !== (inside ?? '').length) throw new Error(`labels cannot be read: ${line}`);
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  if (Number.isNaN(value) && number !== 'NaN') throw new Error(`not a number: ${line}`);
  return { name, labels, value };
}

function checkHistograms(page: Page): void {
  const last = new Map<string, { value: number; le: number }>();
  for (const { name, labels, value } of page.samples) {
    if (!name.endsWith('_bucket')) continue;
    const { le, ...rest } = labels;
    const id = `${name}${JSON.stringify(rest)}`;
    const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    const before = last.get(id);
    if (before !== undefined && (bound <= before.le || value < before.value)) throw new Error(`${id}: not cumulative`);
    last.set(id, { value, le: bound });
  }
  for (const [id, { le }] of last) if (le !== Number.POSITIVE_INFINITY) throw new Error(`${id} lacks +Inf`);
}

/** The value of one series; undefined when the page does not have it. */
export function seriesValue(page: Page, name: string, labels: Record<string, string> = {}): number | undefined {
  return page.samples.find(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  )?.value;
}

/** As one page: equal series are added up. */
export function sumPages(pages: readonly Page[]): Page {
  const series = new Map<string, Sample>();
  for (const sample of pages.flatMap(({ samples }) => samples)) {
    const id = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`;
    series.set(id, { ...sample, value: (series.get(id)?.value ?? 0) + sample.value });
  }
  return { types: new Map(pages.flatMap(({ types }) => [...types])), samples: [...series.values()] };
}
