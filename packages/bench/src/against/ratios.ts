import { digits, figuresTable, short, TABLE_COLUMNS, type TableColumn } from '../report/figures-table.ts';
import { median } from '../report/peer-results.ts';

/** One figure of one round, taken one after the other: whatever the machine did beside it, it did to both. */
export interface Pair {
  what: string;
  before: number;
  now: number;
}

export interface Ratio {
  what: string;
  /** Medians of the rounds. */
  before: number;
  now: number;
  /** Median of `now / before` over the rounds, and how far they lie apart. */
  times: number;
  least: number;
  most: number;
  rounds: number;
}

/** In the order in which each was first seen. */
export function ratiosOf(pairs: readonly Pair[]): Ratio[] {
  const groups = new Map<string, Pair[]>();
  for (const pair of pairs) {
    const group = groups.get(pair.what);
    if (group === undefined) groups.set(pair.what, [pair]);
    else group.push(pair);
  }
  return [...groups].map(([what, group]) => {
    const times = sorted(group.map(({ before, now }) => now / before));
    return {
      what,
      before: median(sorted(group.map(({ before }) => before))),
      now: median(sorted(group.map(({ now }) => now))),
      times: median(times),
      least: times[0] as number,
      most: times.at(-1) as number,
      rounds: group.length,
    };
  });
}

/** Changed for certain as far as this run can tell: every round says so, and by more than rounds differ anyway. */
export function isTold({ times, least, most, rounds }: Ratio): boolean {
  if (rounds < 2 || !(least > 1 || most < 1)) return false;
  return Math.abs(times - 1) > Math.max(NOISE, most - least);
}
/** What two runs of the same build differ by. */
const NOISE = 0.03;

const COLUMNS: readonly TableColumn[] = [
  { title: 'what', align: 'left' },
  { title: 'before', align: 'right' },
  { title: 'now', align: 'right' },
  { title: 'times', align: 'right' },
  { title: 'least to most', align: 'right' },
  { title: '', align: 'left' },
];

function ratiosTable(ratios: readonly Ratio[]): string {
  const rows = ratios.map((ratio) => {
    const { what, before, now, times, least, most } = ratio;
    const told = isTold(ratio) ? (times > 1 ? 'more' : 'less') : '';
    return [what, brief(before), brief(now), digits(times), `${digits(least)} to ${digits(most)}`, told];
  });
  return figuresTable(COLUMNS, rows);
}

export interface AgainstReport {
  before: string;
  now: string;
  machine: readonly string[];
  notes: readonly string[];
  ratios: readonly Ratio[];
}

export function againstReport({ before, now, machine, notes, ratios }: AgainstReport): string {
  const lines = [`- before: ${before}`, `- now: ${now}`, ...machine.map((text) => `- ${text}`)];
  const told = ratios.filter(isTold).length;
  const verdict = `${told} of ${ratios.length} figures differ in every round, by more than the rounds differ.`;
  const legend = `times: now / before, of figures taken one after the other; median, least and most of the rounds.`;
  const all = [...lines, ...notes.map((note) => `- ${note}`)].map((line) => line.slice(0, TABLE_COLUMNS));
  return `# Now against before\n\n${all.join('\n')}\n\n${ratiosTable(ratios)}\n\n${legend}\n${verdict}\n`;
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

function brief(value: number): string {
  return value >= 9_999.5 ? short(value) : digits(value);
}
