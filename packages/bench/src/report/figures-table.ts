import { SluiceError } from '@sluice/common/errors';

/**
 * A Markdown table whose columns also line up in a terminal. It is at most `TABLE_COLUMNS` wide: what is wider breaks
 * where it is read, and then nobody can read it.
 */
export const TABLE_COLUMNS = 100;

export interface TableColumn {
  title: string;
  align: 'left' | 'right';
}

export function figuresTable(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, i) => Math.max(title.length, MIN, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => pad(cell, widths[i] as number, columns[i]?.align ?? 'left')).join(' | ')} |`;
  const rule = columns.map(({ align }, i) => {
    const dashes = '-'.repeat(widths[i] as number);
    return align === 'right' ? `${dashes}-:` : `-${dashes}-`;
  });
  const lines = [line(columns.map(({ title }) => title)), `|${rule.join('|')}|`, ...rows.map(line)];
  const width = Math.max(...lines.map((text) => text.length));
  if (width > TABLE_COLUMNS) {
    throw new SluiceError('BENCH_TABLE_TOO_WIDE', `a table of ${width} columns, ${TABLE_COLUMNS} at most`);
  }
  return lines.join('\n');
}

const MIN = 3;

function pad(text: string, width: number, align: 'left' | 'right'): string {
  return align === 'right' ? text.padStart(width) : text.padEnd(width);
}

/** Three digits that matter, thousands apart: `0.052`, `1.23`, `45.6`, `1,230`. */
export function digits(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 100) return group(Math.round(value));
  if (size >= 10) return value.toFixed(1);
  if (size >= 0.995) return value.toFixed(2);
  return value.toPrecision(2).replace(/^(-?0\.\d*?)0+$/, '$1');
}

/** For counts of bytes, which have no parts. */
export function whole(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '' : group(Math.round(value));
}

/** In as few characters as a column has: `1.07M`, `281k`, `812`. */
export function short(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '';
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return whole(value);
}

export function percent(share: number | undefined): string {
  return share === undefined || !Number.isFinite(share) ? '' : `${Math.round(share * 100)}`;
}

function group(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}
