import { digits, figuresTable, short, type TableColumn } from '../report/figures-table.ts';
import type { Hop } from './hop.ts';
import { type HopFigures, measureHop } from './measure-hop.ts';

export interface HopsRun {
  hops: readonly Hop[];
  /** Each has a directory of its own below. */
  directory: string;
  measureMs: number;
  say(text: string): void;
}

/** One after the other, alone in this process. */
export async function runHops({ hops, directory, measureMs, say }: HopsRun): Promise<HopFigures[]> {
  const all: HopFigures[] = [];
  for (const hop of hops) {
    const figures = await measureHop(hop, directory, measureMs);
    say(`${hop.name}: ${digits(figures.ns)} ns`);
    all.push(figures);
  }
  return all;
}

const COLUMNS: readonly TableColumn[] = [
  { title: 'hop', align: 'left' },
  { title: 'what', align: 'left' },
  { title: 'ns', align: 'right' },
  { title: 'bytes', align: 'right' },
  { title: 'best', align: 'right' },
  { title: 'times', align: 'right' },
];

const LEGEND = `ns: processor time of the process a message, all threads, garbage included, median of slices;
bytes: allocated a message; best: the ns it takes the machine to copy, send or sync the same bytes.`;

export function hopsReport(hops: readonly Hop[], figures: readonly HopFigures[], machine: readonly string[]): string {
  const byName = new Map(figures.map((each) => [each.name, each]));
  const rows = hops.map(({ name, what, limit }) => {
    const { ns, bytes } = byName.get(name) as HopFigures;
    const best = limit === undefined ? undefined : byName.get(limit)?.ns;
    const times = best === undefined ? undefined : ns / best;
    return [name, what, brief(ns), short(bytes), brief(best), digits(times)];
  });
  const heading = ['# Every hop alone', '', ...machine.map((text) => `- ${text}`)].join('\n');
  return `${heading}\n\n${figuresTable(COLUMNS, rows)}\n\n${LEGEND}\n`;
}

/** In five characters. */
function brief(ns: number | undefined): string {
  return ns !== undefined && ns >= 9_999.5 ? short(ns) : digits(ns);
}
