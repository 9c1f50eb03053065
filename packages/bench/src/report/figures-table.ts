/** What a terminal or a review shows without breaking lines. The tests hold every table to it, whatever is measured. */
export const TABLE_COLUMNS = 100;

export interface TableColumn {
  title: string;
  align: 'left' | 'right';
}

/** A Markdown table whose columns also line up in a terminal. */
export function figuresTable(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, i) => Math.max(title.length, MIN, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => pad(cell, widths[i] as number, columns[i]?.align ?? 'left')).join(' | ')} |`;
  const rule = columns.map(({ align }, i) => {
    const dashes = '-'.repeat(widths[i] as number);
    return align === 'right' ? `${dashes}-:` : `-${dashes}-`;
  });
  return [line(columns.map(({ title }) => title)), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}

const MIN = 3;

function pad(text: string, width: number, align: 'left' | 'right'): string {
  return align === 'right' ? text.padStart(width) : text.padEnd(width);
}

/** About three digits, thousands apart: `0.052`, `1.23`, `45.6`, `1,230`, `2.47M`. */
export function digits(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '';
  const size = Math.abs(value);
  if (size >= 999_999.5) return short(value);
  if (size >= 99.95) return group(Math.round(value));
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.995) return value.toFixed(2);
  return String(Number(value.toFixed(size < 0.1 ? 3 : 2)));
}

/** In five characters: `1.07M`, `281k`, `812`. */
export function short(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '';
  const size = Math.abs(value);
  if (size >= 999_500) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 9_999.5) return `${Number((value / 1e3).toPrecision(3))}k`;
  return group(Math.round(value));
}

/** Where two stand in one column: four characters at most, up to a million. */
export function brief(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value) || Math.abs(value) < 999.5) return short(value);
  if (Math.abs(value) >= 99_500) return short(value);
  return `${Number((value / 1e3).toPrecision(2))}k`;
}

export function percent(share: number | undefined): string {
  return share === undefined || !Number.isFinite(share) ? '' : `${Math.round(share * 100)}`;
}

/** Beyond ten seconds nobody asks for milliseconds. */
export function milliseconds(value: number | undefined): string {
  return value !== undefined && value >= 9_999.5 ? short(value) : digits(value);
}

function group(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}
