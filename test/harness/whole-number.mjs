import { InvalidArgumentError } from 'commander';

/** Of a command line, `1_000_000` too. A run of none would hold every bar, so only what is no count of anything may be 0. */
export function wholeNumber(least = 1) {
  return (text) => {
    const value = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`A whole number from ${least} on.`);
  };
}
