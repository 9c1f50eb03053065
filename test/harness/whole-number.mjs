import { InvalidArgumentError } from 'commander';

/** Of a command line: what is none would be a run of nothing that held every bar. */
export function wholeNumber(text, name) {
  if (!/^\d+$/.test(text)) throw new Error(`--${name} must be a whole number, and is ${text}`);
  return Number(text);
}

/** The same for commander, which says whose it is. `1_000_000` is one too. */
export function countOption(text) {
  const value = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : 0;
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a whole number from 1 on');
  return value;
}
