export interface ParsedFamily {
  type: string;
  help: string;
  /** `name{sorted labels}` to value, in order of appearance. */
  samples: Map<string, number>;
}

/**
 * Reads the text format by its specification, and throws where a scraper would refuse the page: a series twice, lines of
 * a family apart, a header after its samples, an unfinished label, buckets that go down or do not end in +Inf.
 */
export function parseExposition(page: string): Map<string, ParsedFamily> {
  if (page !== '' && !page.endsWith('\n')) throw new Error('the last line must end');
  const families = new Map<string, ParsedFamily>();
  let current: { name: string; family: ParsedFamily } | undefined;
  for (const line of page.split('\n').slice(0, -1)) {
    const header = /^# (HELP|TYPE) ([^ ]+) (.*)$/.exec(line) as [string, string, string, string] | null;
    if (header !== null) {
      const [, kind, name, text] = header;
      if (kind === 'HELP') {
        if (families.has(name)) throw new Error(`two families ${name}`);
        current = { name, family: { type: '', help: unescapeText(text, false), samples: new Map() } };
        families.set(name, current.family);
      } else {
        if (current?.name !== name || current.family.samples.size > 0) throw new Error(`TYPE out of place: ${line}`);
        if (!['counter', 'gauge', 'histogram'].includes(text)) throw new Error(`unknown type: ${line}`);
        current.family.type = text;
      }
      continue;
    }
    const sample = parseSample(line);
    if (current === undefined || !belongs(sample.name, current.name, current.family.type)) {
      throw new Error(`a sample outside its family: ${line}`);
    }
    if (current.family.samples.has(sample.key)) throw new Error(`a series twice: ${line}`);
    current.family.samples.set(sample.key, sample.value);
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkBuckets(name, family);
  return families;
}

function belongs(sample: string, family: string, type: string): boolean {
  if (type !== 'histogram') return sample === family;
  return ['_bucket', '_sum', '_count'].some((suffix) => sample === family + suffix);
}

function parseSample(line: string): { name: string; key: string; value: number } {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0];
  if (name === undefined) throw new Error(`no name: ${line}`);
  let at = name.length;
  const labels: string[] = [];
  if (line[at] === '{') {
    at++;
    while (line[at] !== '}') {
      const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\n"])*)"(,?)/.exec(line.slice(at));
      if (label === null) throw new Error(`bad label: ${line}`);
      labels.push(`${label[1]}=${unescapeText(label[2] as string, true)}`);
      at += label[0].length;
      if (label[3] === '' && line[at] !== '}') throw new Error(`labels do not end: ${line}`);
    }
    at++;
  }
  const value = /^ (NaN|[+-]Inf|[+-]?[0-9.]+(?:e[+-]?[0-9]+)?)$/.exec(line.slice(at))?.[1];
  if (value === undefined) throw new Error(`bad value: ${line}`);
  return { name, key: `${name}{${labels.sort().join(',')}}`, value: Number(value.replace('Inf', 'Infinity')) };
}

function unescapeText(text: string, quoted: boolean): string {
  return text.replaceAll(/\\(.)/g, (_, character: string) => {
    if (character === 'n') return '\n';
    if (character === '\\' || (quoted && character === '"')) return character;
    throw new Error(`unknown escape in ${text}`);
  });
}

function checkBuckets(name: string, family: ParsedFamily): void {
  const lastBucket = new Map<string, { le: number; count: number }>();
  for (const [key, count] of family.samples) {
    const le = /(?<=[{,])le=([^,}]*),?/.exec(key);
    if (!key.startsWith(`${name}_bucket`) || le === null) continue;
    const others = key.replace(le[0], '').replace(',}', '}').replace(`${name}_bucket`, `${name}_count`);
    const bound = Number((le[1] as string).replace('Inf', 'Infinity'));
    const before = lastBucket.get(others) ?? { le: Number.NEGATIVE_INFINITY, count: 0 };
    if (bound <= before.le || count < before.count) throw new Error(`buckets go down: ${key}`);
    lastBucket.set(others, { le: bound, count });
  }
  for (const [key, last] of lastBucket) {
    if (last.le !== Number.POSITIVE_INFINITY) throw new Error(`no +Inf bucket: ${key}`);
    if (family.samples.get(key) !== last.count) throw new Error(`count and +Inf bucket differ: ${key}`);
  }
}
