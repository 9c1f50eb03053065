import type { Figures, Measurement } from '../run/measurement.ts';
import type { Peer } from '../run/peer.ts';
import type { Workload } from '../run/workload.ts';
import { type Verdict, verdictsOf } from './bars.ts';
import {
  brief,
  digits,
  figuresTable,
  milliseconds,
  percent,
  short,
  TABLE_COLUMNS,
  type TableColumn,
} from './figures-table.ts';
import { type PeerResult, resultsOf } from './peer-results.ts';

/**
 * The whole report as Markdown: what was run on what, a table a workload, what every bar came to, and what went wrong.
 * Whoever reads it knows neither us nor the machine, so each table says what its columns are.
 */
export function reportOf(
  measurements: readonly Measurement[],
  workloads: readonly Workload[],
  peers: readonly Peer[],
  machine: readonly string[],
): string {
  const results = resultsOf(measurements);
  const parts = [heading(peers, machine)];
  for (const workload of workloads) {
    const rows = peers.flatMap(({ name }) =>
      results.filter((result) => result.peer === name && result.workload === workload.name),
    );
    if (rows.length > 0) parts.push(sectionOf(workload, rows));
  }
  return `${parts.join('\n\n')}\n`;
}

function heading(peers: readonly Peer[], machine: readonly string[]): string {
  const lines = ['# Sluice beside others', '', ...machine.map((text) => `- ${text}`), ''];
  for (const peer of peers) {
    const missing = peer.missing();
    lines.push(...wrapped(`- **${peer.name}**: ${missing === undefined ? peer.describe() : `left out: ${missing}`}`));
  }
  return lines.join('\n');
}

interface FigureColumn extends TableColumn {
  cell(result: PeerResult, verdicts: readonly Verdict[]): string;
}

const right = (title: string, cell: FigureColumn['cell']): FigureColumn => ({ title, align: 'right', cell });
const figure = (title: string, name: keyof Figures, format = digits) =>
  right(title, ({ median }) => format(median[name]));

const PEER: FigureColumn = { title: 'peer', align: 'left', cell: ({ peer }) => peer };
const FSYNC: FigureColumn = {
  title: 'fsync',
  align: 'left',
  cell: ({ sync }) => (sync === undefined ? '' : `${sync.answer}${sync.by === 'documented' ? '*' : ''}`),
};
const DISK = right('disk', ({ median: { writtenBytes }, disk }) => {
  const isOfProcesses = writtenBytes !== undefined && disk === 'processes';
  return `${short(writtenBytes)}${isOfProcesses ? '*' : ''}`;
});
const LOAD = figure('load', 'loadShare', percent);
const BARS_HELD: FigureColumn = { title: 'bars', align: 'left', cell: (_, verdicts) => barsHeld(verdicts) };

const COLUMNS: Readonly<Record<Workload['kind'], readonly FigureColumn[]>> = {
  flow: [
    PEER,
    figure('msg/s', 'rate'),
    figure('µs', 'cpuUs'),
    right('ms p50/p99/p99.9', ({ median: { p50Ms, p99Ms, p999Ms } }) =>
      [p50Ms, p99Ms, p999Ms].map(milliseconds).join('/'),
    ),
    figure('MB', 'rssMb', short),
    DISK,
    FSYNC,
    LOAD,
    BARS_HELD,
  ],
  flat: [
    PEER,
    figure('µs 1st', 'firstCpuUs'),
    figure('µs 2nd', 'secondCpuUs'),
    figure('µs 3rd', 'thirdCpuUs'),
    figure('times most', 'timesMost'),
    BARS_HELD,
  ],
  backlog: [
    PEER,
    figure('fill/s', 'fillRate'),
    figure('µs', 'fillCpuUs'),
    figure('MB', 'fullRssMb', short),
    DISK,
    figure('drain/s', 'drainRate'),
    figure('µs', 'drainCpuUs'),
    figure('MB most', 'rssMb', short),
    LOAD,
    BARS_HELD,
  ],
  surge: [
    PEER,
    figure('kept/s', 'sustainedRate'),
    figure('taken/s', 'takenRate'),
    figure('behind', 'backlogMost', short),
    figure('p99 ms', 'p99BeforeMs', milliseconds),
    figure('back s', 'backS'),
    right('MB', ({ median: { rssBeforeMb, rssMb } }) => [rssBeforeMb, rssMb].map(brief).join('/')),
    right('lost', ({ sequences }) => short(sequences?.lost)),
    LOAD,
    BARS_HELD,
  ],
  idle: [
    PEER,
    figure('KB each', 'connectionKb'),
    figure('µs to connect', 'connectUs'),
    figure('CPU % held', 'idleShare', (share) => digits(share === undefined ? undefined : share * 100)),
    figure('MB', 'rssMb', short),
    BARS_HELD,
  ],
  start: [
    PEER,
    figure('answers after s', 'startS'),
    figure('MB empty', 'rssMb', short),
    figure('CPU % idle', 'idleShare', (share) => digits(share === undefined ? undefined : share * 100)),
    BARS_HELD,
  ],
};

const LEGENDS: Readonly<Record<Workload['kind'], string>> = {
  flow:
    'µs: processor time of all broker processes a message; ms: from when it was due to its delivery; MB: resident, ' +
    'most; disk: bytes the device was given a message, all copies, synced before and after, what a machine at rest writes ' +
    'taken off (* as the kernel counts processes, too many where files are written again: the device has no counter); fsync: ' +
    'acknowledged means on the disk (* documented, not seen); load: the generator, % of a core.',
  flat: 'µs: processor time of all broker processes a message, in the order of the sentence; times: the most, of the first.',
  backlog:
    'fill/s, µs, MB, disk: acknowledged with nobody consuming (* as the kernel counts processes); drain/s, µs, MB most: delivered while publishing goes ' +
    'on; µs: processor time of all broker processes a message; load: the generator, % of a core while draining.',
  surge:
    'kept/s: sustained with both sides at full speed; taken/s: acknowledged during the surge; behind: acknowledged and ' +
    'not delivered, most; p99: before the surge; back: until the queue is as short and p99 the former again; MB: ' +
    'resident before and most; load: % of a core.',
  idle: 'KB each: resident memory a connection; CPU %: of a core, all broker processes.',
  start: 'Resident memory and processor time of all broker processes, nobody connected.',
};

function sectionOf(workload: Workload, rows: readonly PeerResult[]): string {
  const columns = COLUMNS[workload.kind];
  const verdicts = rows.map((row) => verdictsOf(row, rows));
  const cells = rows.map((row, i) => columns.map(({ cell }) => cell(row, verdicts[i] as Verdict[])));
  const parts = [`## ${workload.name}`, wrapped(sentence(workload.title)).join('\n'), figuresTable(columns, cells)];
  const lines = [
    ...rows.flatMap((row, i) => (verdicts[i] as Verdict[]).map((verdict) => barLine(row, verdict))),
    ...spreadLines(rows),
    ...rows.flatMap(({ peer, shares }) => (shares === undefined ? [] : [`- ${peer}: by worker ${shares.join(' / ')}`])),
    ...sequenceLines(rows),
    ...rows.flatMap(({ peer, notes }) => notes.map((note) => `- ${peer}: ${note}`)),
  ];
  parts.push([...wrapped(LEGENDS[workload.kind]), '', ...lines.flatMap(wrapped)].join('\n'));
  return parts.join('\n\n');
}

/** `2 held`, `1 of 3`: bars whose other side was not measured count for nothing. */
function barsHeld(verdicts: readonly Verdict[]): string {
  const judged = verdicts.filter(isJudged);
  if (judged.length === 0) return '';
  const held = judged.filter(({ isHeld }) => isHeld).length;
  return held === judged.length ? `${held} held` : `${held} of ${judged.length}`;
}

/** What has no figure of its own did not get that far; what has no other side says nothing. */
function isJudged({ bar, value }: Verdict): boolean {
  return value !== undefined || bar.of === undefined;
}

const BAR_NAMES: Partial<Record<keyof Figures, string>> = {
  cpuUs: 'CPU a message',
  rate: 'rate',
  p50Ms: 'p50',
  p99Ms: 'p99',
  writtenBytes: 'bytes written a message',
  startS: 'seconds to start',
  rssMb: 'MB empty',
  connectionKb: 'KB a connection',
  backS: 'seconds until back',
  timesMost: 'times the CPU of the first',
};

function barLine({ peer }: PeerResult, { bar, value, isHeld }: Verdict): string {
  const what = BAR_NAMES[bar.figure] ?? bar.figure;
  const bound = bar.atMost === undefined ? `at least ${digits(bar.atLeast)}` : `at most ${digits(bar.atMost)}`;
  if (value === undefined && bar.of !== undefined) return `- ${peer}: ${what} against ${bar.of}: not measured`;
  const times = bar.of === undefined ? '' : ` of ${bar.of}'s`;
  const found = value === undefined ? 'none' : digits(value);
  return `- ${isHeld ? 'held' : '**missed**'}  ${peer}: ${what} ${found}${times} (${bound})`;
}

function spreadLines(rows: readonly PeerResult[]): string[] {
  const several = rows.filter(({ rounds, least }) => rounds > 1 && least.cpuUs !== undefined);
  if (several.length === 0) return [];
  const spreads = several.map(({ peer, least, most }) => `${peer} ${digits(least.cpuUs)} to ${digits(most.cpuUs)}`);
  return [`- medians of ${several[0]?.rounds} rounds; µs over the rounds: ${spreads.join(', ')}`];
}

function sequenceLines(rows: readonly PeerResult[]): string[] {
  const checked = rows.filter(({ sequences }) => sequences !== undefined);
  if (checked.length === 0) return [];
  const wrong = checked.flatMap(({ peer, sequences }) => {
    const found = [
      [sequences?.lost, 'lost'],
      [sequences?.duplicated, 'duplicated'],
      [sequences?.outOfOrder, 'out of order'],
      [sequences?.foreign, 'foreign'],
    ].filter(([count]) => count !== 0 && count !== undefined);
    return found.length === 0 ? [] : [`- **${peer}**: ${found.map(([count, what]) => `${what} ${count}`).join(', ')}`];
  });
  if (wrong.length === 0) return ['- every message was checked: lost 0, duplicated 0, out of order 0'];
  return [...wrong, ...(wrong.length < checked.length ? ['- all others: lost 0, duplicated 0, out of order 0'] : [])];
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

/** Prose no wider than the tables. */
function wrapped(text: string): string[] {
  const indent = text.startsWith('- ') ? '  ' : '';
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > TABLE_COLUMNS) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
