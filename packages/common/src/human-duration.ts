/**
 * Durations as people write them: `250ms`, `10s`, `1h30m`, `1.5d`. A bare number is refused: whether `30` means
 * seconds or milliseconds is the kind of guess that is wrong in production. Where a protocol says milliseconds (the
 * REST API does), its reader takes the number before it asks here.
 */
const UNIT_MS = new Map<string, number>([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

const TERM = /(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*/giy;

export const DURATION_FORM = 'a number with a unit (ms, s, m, h, d or w), for example "500ms", "10s", "1h30m" or "7d"';

export type ParsedDuration = { ok: true; ms: number } | { ok: false; message: string };

export function parseDuration(text: string): ParsedDuration {
  const trimmed = text.trim();
  if (trimmed === '0') return { ok: true, ms: 0 };
  if (/^-/.test(trimmed)) return { ok: false, message: 'must not be negative' };
  if (/^\d+(\.\d+)?$/.test(trimmed)) {
    return { ok: false, message: `has no unit: write "${trimmed}ms" or "${trimmed}s"` };
  }
  let ms = 0;
  TERM.lastIndex = 0;
  let end = 0;
  while (end < trimmed.length) {
    const term = TERM.exec(trimmed);
    if (term === null) return { ok: false, message: `must be ${DURATION_FORM}` };
    ms += Number(term[1]) * (UNIT_MS.get((term[2] as string).toLowerCase()) as number);
    end = TERM.lastIndex;
  }
  if (end === 0) return { ok: false, message: `must be ${DURATION_FORM}` };
  const rounded = Math.round(ms);
  if (!Number.isSafeInteger(rounded)) return { ok: false, message: 'is too long to be counted in milliseconds' };
  return { ok: true, ms: rounded };
}

/** The shortest text that parses back to the same number: 5400000 is `90m`. */
export function formatDuration(ms: number): string {
  // Weeks are read but not written: people write 7d.
  for (const unit of ['d', 'h', 'm', 's']) {
    const unitMs = UNIT_MS.get(unit) as number;
    if (ms !== 0 && ms % unitMs === 0) return `${ms / unitMs}${unit}`;
  }
  return `${ms}ms`;
}

/** For eyes only, two units at most: `3d 4h`, `1m 5s`, `850ms`. */
export function humanizeDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 10_000) return `${trimZeros((ms / 1_000).toFixed(1))}s`;
  const seconds = Math.round(ms / 1_000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(' ');
}

function trimZeros(text: string): string {
  return text.endsWith('.0') ? text.slice(0, -2) : text;
}
