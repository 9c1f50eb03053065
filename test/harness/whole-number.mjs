import { InvalidArgumentError } from 'commander';

/** Of a command line. A run of none would hold every bar, so only what is no count of anything is told that 0 will do. */
export function wholeNumber(text, name, least = 1) {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`--${name} must be a whole number from ${least} on, and is ${text}`);
}

/** The same for commander, which says whose it is. `1_000_000` is one too. */
export function countOption(text) {
  const value = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : 0;
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a whole number from 1 on');
  return value;
}
