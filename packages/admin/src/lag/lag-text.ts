import { humanizeDuration } from '@sluice/common/human-duration';
import type { StatisticsAnswer } from '../queues/queue-answers.ts';
import { formatTable, groupDigits } from '../text-table.ts';

type Figures = NonNullable<StatisticsAnswer['statistics']>;

/**
 * The worst first. Unknown is worse than anything that is known, and who waits longer than was promised is worse than who
 * may yet be in time, whatever the consumers do.
 */
const SEVERITY = ['ok', 'falling_behind', 'stalled', 'no_consumers'];
const STATUS_TEXT: Readonly<Record<string, string>> = {
  ok: 'ok',
  falling_behind: 'FALLING BEHIND',
  stalled: 'STALLED',
  no_consumers: 'NO CONSUMERS',
};
const UNKNOWN = '?';
/** Above the table, and its titles. */
const HEAD_LINES = 3;

/** Who is behind, by how much, and whether it gets better: the question at three in the morning. */
export function lagText(rows: readonly StatisticsAnswer[], linesMax: number): string {
  return worstFirst(
    rows,
    linesMax,
    ['LAG', 'OLDEST', 'OBJECTIVE', 'BEHIND', 'IN/S', 'OUT/S', 'DONE IN', 'INFLIGHT', 'CONSUMERS'],
    (figures) => [
      groupDigits(figures.lag_messages),
      figures.lag_messages === 0 ? '-' : humanizeDuration(figures.oldest_message_age_seconds * 1_000),
      figures.lag_objective_seconds === undefined ? UNKNOWN : humanizeDuration(figures.lag_objective_seconds * 1_000),
      behindText(figures),
      paceText(figures.published_per_second),
      paceText(figures.settled_per_second),
      drainText(figures),
      groupDigits(figures.inflight_messages),
      groupDigits(figures.consumers),
    ],
  );
}

/** Who works, how much they have, and what comes back. */
export function consumersText(rows: readonly StatisticsAnswer[], linesMax: number): string {
  return worstFirst(
    rows,
    linesMax,
    ['CONSUMERS', 'INFLIGHT', 'READY', 'OUT/S', 'OUT/S EACH', 'DELIVERED', 'AGAIN', 'RETURNED'],
    (figures) => [
      groupDigits(figures.consumers),
      groupDigits(figures.inflight_messages),
      groupDigits(figures.ready_messages),
      paceText(figures.settled_per_second),
      figures.consumers === 0 || figures.settled_per_second === null
        ? '-'
        : paceText(figures.settled_per_second / figures.consumers),
      groupDigits(figures.delivered_total),
      figures.delivered_total === 0 ? '-' : percentText(figures.redelivered_total / figures.delivered_total),
      groupDigits(figures.returned_total),
    ],
  );
}

function worstFirst(
  rows: readonly StatisticsAnswer[],
  linesMax: number,
  titles: readonly string[],
  cells: (figures: Figures) => string[],
): string {
  if (rows.length === 0) return 'No queues.\n';
  const sorted = rows.toSorted(
    (a, b) =>
      Number(b.statistics === null) - Number(a.statistics === null) ||
      ageOfObjective(b.statistics) - ageOfObjective(a.statistics) ||
      severityOf(b.statistics) - severityOf(a.statistics) ||
      (b.statistics?.oldest_message_age_seconds ?? 0) - (a.statistics?.oldest_message_age_seconds ?? 0) ||
      (b.statistics?.lag_messages ?? 0) - (a.statistics?.lag_messages ?? 0) ||
      (a.name < b.name ? -1 : 1),
  );
  const room = Math.max(1, linesMax - HEAD_LINES);
  const shown = sorted.length <= room ? sorted : sorted.slice(0, Math.max(1, room - 1));
  const table = formatTable(
    [
      { title: 'QUEUE', align: 'left' },
      { title: 'STATUS', align: 'left' },
      ...titles.map((title) => ({ title, align: 'right' as const })),
    ],
    shown.map(({ name, statistics }) =>
      statistics === null
        ? [name, 'NO LEADER', ...titles.map(() => UNKNOWN)]
        : [name, STATUS_TEXT[statistics.status] ?? statistics.status, ...cells(statistics)],
    ),
  );
  const left = sorted.length - shown.length;
  return `${summaryOf(rows)}\n\n${table}${left === 0 ? '' : `and ${groupDigits(left)} more\n`}`;
}

function summaryOf(rows: readonly StatisticsAnswer[]): string {
  const parts = [rows.length === 1 ? '1 queue' : `${groupDigits(rows.length)} queues`];
  const unknown = rows.filter(({ statistics }) => statistics === null).length;
  if (unknown > 0) parts.push(`${groupDigits(unknown)} without a leader`);
  const behind = rows.filter(({ statistics }) => ageOfObjective(statistics) > 0).length;
  if (behind > 0) parts.push(`${groupDigits(behind)} behind ${behind === 1 ? 'its' : 'their'} objective`);
  for (const status of SEVERITY.slice(1).reverse()) {
    const count = rows.filter(({ statistics }) => statistics?.status === status).length;
    const words = status === 'no_consumers' ? 'without consumers' : (STATUS_TEXT[status] as string).toLowerCase();
    if (count > 0) parts.push(`${groupDigits(count)} ${words}`);
  }
  if (parts.length === 1) parts.push('all are served in time');
  const lag = rows.reduce((sum, { statistics }) => sum + (statistics?.lag_messages ?? 0), 0);
  parts.push(`${groupDigits(lag)} ${lag === 1 ? 'message' : 'messages'} waiting or in work`);
  return parts.join(', ');
}

function severityOf(figures: Figures | null): number {
  return figures === null ? SEVERITY.length : SEVERITY.indexOf(figures.status);
}

/** How many times as old as its objective allows; 0 for who is in time. */
function ageOfObjective(figures: Figures | null): number {
  const behindSeconds = secondsBehind(figures);
  return behindSeconds === 0 ? 0 : (figures?.oldest_message_age_seconds ?? 0) / (figures?.lag_objective_seconds ?? 1);
}

function secondsBehind(figures: Figures | null): number {
  if (figures?.lag_objective_seconds === undefined || figures.lag_messages === 0) return 0;
  return Math.max(0, figures.oldest_message_age_seconds - figures.lag_objective_seconds);
}

function behindText(figures: Figures): string {
  const seconds = secondsBehind(figures);
  return seconds === 0 ? '-' : humanizeDuration(seconds * 1_000);
}

function paceText(perSecond: number | null): string {
  if (perSecond === null) return '-';
  if (perSecond === 0) return '0';
  return perSecond >= 10 ? groupDigits(Math.round(perSecond)) : perSecond.toFixed(perSecond >= 1 ? 1 : 2);
}

/** `never` is said of queues in trouble alone: what is new always waits a moment, also where workers keep up. */
function drainText({ lag_messages, drain_seconds, settled_per_second, status }: Figures): string {
  if (lag_messages === 0 || settled_per_second === null || (drain_seconds === null && status === 'ok')) return '-';
  return drain_seconds === null ? 'never' : humanizeDuration(Math.round(drain_seconds) * 1_000);
}

function percentText(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}%`;
}
