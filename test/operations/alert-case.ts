/**
 * For each alert a story of a queue or a node in minutes: well, then ill, then well again; and when the alert is to be
 * silent, to fire, and to be silent again. Values are Prometheus' own notation, made by `steady` and `rising`.
 */
export interface AlertCase {
  alert: string;
  /** Where an alert has several. */
  story?: string;
  series: Readonly<Record<string, string>>;
  /** Minutes; the first lies in the ill time when an alert must be patient, the last after it. */
  silentAt: readonly number[];
  firesAt: readonly number[];
}

export const QUEUE = 'job="sluice",instance="n1",queue="images"';
export const NODE = 'job="sluice",instance="n1"';
export const HOUR = 60;

/** The same value for so many minutes. */
export function steady(value: number | string, minutes: number): string {
  return Array.from({ length: minutes }, () => value).join(' ');
}

/** Rising by so much a minute. */
export function rising(from: number, step: number, minutes: number): string {
  return Array.from({ length: minutes }, (_, i) => from + i * step).join(' ');
}

/** A counter that stands still, rises for a while, and stands still again. */
export function burst(before: number, step: number, minutes: number, after: number): string {
  return `${steady(0, before)} ${rising(step, step, minutes)} ${steady(step * minutes, after)}`;
}
