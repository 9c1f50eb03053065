/**
 * Sizes as people write them: `512KB`, `10MB`, `1.5GiB`. Every unit is a power of 1024, with or without the `i`: the
 * broker's users know `100MB` as 104857600 bytes, and a buffer that is 5 % smaller than meant helps nobody.
 */
const UNIT_BYTES = new Map<string, number>([
  ['', 1],
  ['k', 1024],
  ['m', 1024 ** 2],
  ['g', 1024 ** 3],
  ['t', 1024 ** 4],
  ['p', 1024 ** 5],
]);

export const SIZE_FORM =
  'a number of bytes, or one with a unit (KB, MB, GB, TB; powers of 1024), for example "512KB" or "100MB"';

export type ParsedSize = { ok: true; bytes: number } | { ok: false; message: string };

export function parseSize(text: string): ParsedSize {
  const trimmed = text.trim();
  if (/^-/.test(trimmed)) return { ok: false, message: 'must not be negative' };
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])i?)?b?$/i.exec(trimmed);
  if (match === null) return { ok: false, message: `must be ${SIZE_FORM}` };
  const bytes = Math.round(Number(match[1]) * (UNIT_BYTES.get((match[2] ?? '').toLowerCase()) as number));
  if (!Number.isSafeInteger(bytes)) return { ok: false, message: 'is too large to be counted in bytes' };
  return { ok: true, bytes };
}

/** The shortest text that parses back to the same number: 104857600 is `100MB`. */
export function formatSize(bytes: number): string {
  for (const unit of ['p', 't', 'g', 'm', 'k']) {
    const unitBytes = UNIT_BYTES.get(unit) as number;
    if (bytes !== 0 && bytes % unitBytes === 0) return `${bytes / unitBytes}${unit.toUpperCase()}B`;
  }
  return `${bytes}B`;
}

/** For eyes only, three digits: `1.42 MB`. */
export function humanizeSize(bytes: number): string {
  let amount = bytes;
  let unit = 'B';
  for (const next of ['KB', 'MB', 'GB', 'TB', 'PB']) {
    // Compared after rounding, so that nothing is ever shown as 1024 KB.
    if (Number(amount.toPrecision(3)) < 1000) break;
    amount /= 1024;
    unit = next;
  }
  const digits = unit === 'B' ? String(amount) : Number(amount.toPrecision(3)).toString();
  return `${digits} ${unit}`;
}
